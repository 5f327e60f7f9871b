"""What people wrote about a symbol, and about the market, up to the row's time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group, Rows
from pipelines.sentiment.aggregate import MARKET
from pipelines.sentiment.hours import TICK_US, TICKS, Ints, microseconds, times
from pipelines.store import derived, tables

_WINDOWS = ("1h", "4h", "1d")
_MEASURES = ("mean", "documents", "bullish", "bearish")
_CHANGE_HOURS = 4


class _Grid:
    """Aggregates as an array (window, measure, symbol, moment); NaN where there is no row."""

    def __init__(self, aggregates: pd.DataFrame, symbols: list[str], moments: Ints) -> None:
        self._symbols, self._moments = pd.Index(symbols, dtype=object), moments
        self._values = np.full((len(_WINDOWS), len(_MEASURES), len(symbols), len(moments)), np.nan)
        place = (pd.Index(_WINDOWS).get_indexer(aggregates["window"]), slice(None),
                 self._symbols.get_indexer(aggregates["symbol"]),
                 np.searchsorted(moments, microseconds(aggregates["at"]) // TICK_US))
        self._values[place] = aggregates[list(_MEASURES)].to_numpy(dtype=np.float64)

    def at(self, window: str, measure: str, symbol: pd.Series | str, tick: Ints) -> FloatArray:
        """At a tick; where there is no row (history from before the grid of ten minutes), at the full hour before."""
        code = self._symbols.get_indexer([symbol] * len(tick) if isinstance(symbol, str) else symbol)
        own, hour = (np.searchsorted(self._moments, moment) for moment in (tick, _full_hour(tick)))
        table = self._values[_WINDOWS.index(window)]
        there = ~np.isnan(table[_MEASURES.index("documents"), code, own])
        values: FloatArray = table[_MEASURES.index(measure), code, np.where(there, own, hour)]
        return values


def _full_hour(tick: Ints) -> Ints:
    return tick // TICKS * TICKS


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    frame = rows.frame
    if frame.empty:
        return {feature.name: np.empty(0) for feature in GROUP.features}
    # The newest aggregate at the row's time; only such moments are read, not the grid between them.
    tick = microseconds(frame["available_at"]) // TICK_US
    before = tick - _CHANGE_HOURS * TICKS
    symbols = [MARKET, *sorted(frame["symbol"].unique())]
    moments = np.unique(np.concatenate([tick, before, _full_hour(tick), _full_hour(before)]))
    at = times(moments * TICK_US)
    aggregates = derived.read(
        rows.warehouse, tables.sentiment_aggregates, columns=["symbol", "window", "at", *_MEASURES],
        where={"symbol": symbols, "window": list(_WINDOWS), "at": list(at.to_pydatetime())}, by="at",
        start=at[0].to_pydatetime(), as_of=rows.as_of)
    grid = _Grid(aggregates, symbols, moments)
    symbol = frame["symbol"]
    documents = {window: grid.at(window, "documents", symbol, tick) for window in ("4h", "1d")}
    bullish, bearish = (grid.at("4h", side, symbol, tick) for side in ("bullish", "bearish"))
    mean = grid.at("4h", "mean", symbol, tick)
    return {
        **{f"sentiment_mean_{window}": grid.at(window, "mean", symbol, tick) for window in _WINDOWS},
        "sentiment_net_4h": _share(bullish - bearish, documents["4h"]),
        "sentiment_change_4h": mean - grid.at("4h", "mean", symbol, before),
        "sentiment_bullish_share_1d": _share(grid.at("1d", "bullish", symbol, tick), documents["1d"]),
        "sentiment_documents_4h": np.log1p(documents["4h"]),
        "market_sentiment_mean_4h": grid.at("4h", "mean", MARKET, tick),
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
    from_rows=_compute,
    gaps="without a document in the window the value is absent; the count is then 0")
