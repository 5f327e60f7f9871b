"""What people wrote about a symbol, and about the market, up to the row's time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group, Rows
from pipelines.sentiment.aggregate import MARKET
from pipelines.sentiment.hours import HOUR_US, Ints, microseconds
from pipelines.store import derived, tables

_WINDOWS = ("1h", "4h", "1d")
_MEASURES = ("mean", "documents", "bullish", "bearish")
_CHANGE_HOURS = 4


class _Grid:
    """Aggregates as an array (window, measure, symbol, hour); NaN where there is no row."""

    def __init__(self, aggregates: pd.DataFrame, symbols: list[str], first: int, hours: int) -> None:
        self._symbols, self._first = pd.Index(symbols, dtype=object), first
        self._values = np.full((len(_WINDOWS), len(_MEASURES), len(symbols), hours), np.nan)
        place = (pd.Index(_WINDOWS).get_indexer(aggregates["window"]), slice(None),
                 self._symbols.get_indexer(aggregates["symbol"]),
                 microseconds(aggregates["at"]) // HOUR_US - first)
        self._values[place] = aggregates[list(_MEASURES)].to_numpy(dtype=np.float64)

    def at(self, window: str, measure: str, symbol: pd.Series | str, hour: Ints) -> FloatArray:
        code = self._symbols.get_indexer([symbol] * len(hour) if isinstance(symbol, str) else symbol)
        values: FloatArray = self._values[
            _WINDOWS.index(window), _MEASURES.index(measure), code, hour - self._first]
        return values


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    frame = rows.frame
    hour = microseconds(frame["available_at"]) // HOUR_US
    symbols = [MARKET, *sorted(frame["symbol"].unique())]
    first, last = (int(hour.min()) - _CHANGE_HOURS, int(hour.max()) + 1) if len(hour) else (0, 0)
    aggregates = derived.read(
        rows.warehouse, tables.sentiment_aggregates, columns=["symbol", "window", "at", *_MEASURES],
        where={"symbol": symbols, "window": list(_WINDOWS)}, by="at",
        start=pd.Timestamp(first * HOUR_US, unit="us", tz="UTC"),
        end=pd.Timestamp(last * HOUR_US, unit="us", tz="UTC"), as_of=rows.as_of)
    grid = _Grid(aggregates, symbols, first, last - first)
    symbol = frame["symbol"]
    documents = {window: grid.at(window, "documents", symbol, hour) for window in ("4h", "1d")}
    bullish, bearish = (grid.at("4h", side, symbol, hour) for side in ("bullish", "bearish"))
    mean = grid.at("4h", "mean", symbol, hour)
    return {
        **{f"sentiment_mean_{window}": grid.at(window, "mean", symbol, hour) for window in _WINDOWS},
        "sentiment_net_4h": _share(bullish - bearish, documents["4h"]),
        "sentiment_change_4h": mean - grid.at("4h", "mean", symbol, hour - _CHANGE_HOURS),
        "sentiment_bullish_share_1d": _share(grid.at("1d", "bullish", symbol, hour), documents["1d"]),
        "sentiment_documents_4h": np.log1p(documents["4h"]),
        "market_sentiment_mean_4h": grid.at("4h", "mean", MARKET, hour),
    }


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return part / np.where(whole == 0, np.nan, whole)


_TABLE = ("sentiment_aggregates",)

GROUP = Group(
    "sentiment",
    (*(Feature(f"sentiment_mean_{window}", _TABLE, 0, "compound, -1 to 1",
               f"mean compound of the symbol's documents of the last {window}", neutral=0.0) for window in _WINDOWS),
     Feature("sentiment_net_4h", _TABLE, 0, "-1 to 1", "(bullish - bearish) / documents, last 4 h", neutral=0.0),
     Feature("sentiment_change_4h", _TABLE, 0, "compound", "mean of the last 4 h - mean of the 4 h before",
             neutral=0.0),
     Feature("sentiment_bullish_share_1d", _TABLE, 0, "0 to 1", "bullish / documents, last day", neutral=0.0),
     Feature("sentiment_documents_4h", _TABLE, 0, "ln(1 + count)", "ln(1 + documents of the last 4 h)", neutral=0.0),
     Feature("market_sentiment_mean_4h", _TABLE, 0, "compound, -1 to 1",
             "mean compound of all documents of the last 4 h", neutral=0.0)),
    from_rows=_compute)
