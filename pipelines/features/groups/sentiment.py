"""What people wrote about a symbol, and about the market, up to the row's time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group, Rows
from pipelines.sentiment.aggregate import MARKET
from pipelines.sentiment.hours import TICK_US, TICKS, Ints, moment
from pipelines.store import derived

_WINDOWS = ("1h", "4h", "1d")
_MEASURES = ("mean", "documents", "bullish", "bearish")
_CHANGE_HOURS = 4


class _Grid:
    """Aggregates as an array (window, measure, symbol, moment); NaN where there is no row."""

    def __init__(self, aggregates: np.ndarray[Any, Any], symbols: int, moments: Ints) -> None:
        self._moments = moments
        self._values = np.full((len(_WINDOWS), len(_MEASURES), symbols, len(moments)), np.nan)
        place = np.searchsorted(moments, aggregates["at"] // TICK_US)
        for number, measure in enumerate(_MEASURES):
            self._values[aggregates["window"], number, aggregates["symbol"], place] = aggregates[measure]

    def at(self, window: str, symbol: Ints | int, tick: Ints) -> dict[str, FloatArray]:
        """The measures of a symbol (its number) at a tick; where there is no row (history from before the grid of ten
        minutes), at the full hour before."""
        own, hour = (np.searchsorted(self._moments, when) for when in (tick, _full_hour(tick)))
        table = self._values[_WINDOWS.index(window)]
        there = ~np.isnan(table[_MEASURES.index("documents"), symbol, own])
        place = np.where(there, own, hour)
        return {measure: table[number, symbol, place] for number, measure in enumerate(_MEASURES)}


def _full_hour(tick: Ints) -> Ints:
    return tick // TICKS * TICKS


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    if not len(rows):
        return {feature.name: np.empty(0) for feature in GROUP.features}
    # The newest aggregate at the row's time; only such moments are read, not the grid between them.
    tick = rows.at // TICK_US
    before = tick - _CHANGE_HOURS * TICKS
    symbols = [MARKET, *sorted(set(rows.symbols))]
    moments = np.unique(np.concatenate([tick, before, _full_hour(tick), _full_hour(before)]))
    with rows.warehouse.begin() as connection:
        aggregates = derived.aggregates(
            connection, symbols=symbols, windows=_WINDOWS, at=[moment(at) for at in (moments * TICK_US).tolist()],
            as_of=rows.as_of.to_pydatetime(), columns=_MEASURES)
    grid = _Grid(aggregates, len(symbols), moments)
    places = {name: place for place, name in enumerate(symbols)}
    symbol = np.array([places[name] for name in rows.symbols])
    own = {window: grid.at(window, symbol, tick) for window in _WINDOWS}
    hours, day = own["4h"], own["1d"]
    return {
        **{f"sentiment_mean_{window}": own[window]["mean"] for window in _WINDOWS},
        "sentiment_net_4h": _share(hours["bullish"] - hours["bearish"], hours["documents"]),
        "sentiment_change_4h": hours["mean"] - grid.at("4h", symbol, before)["mean"],
        "sentiment_bullish_share_1d": _share(day["bullish"], day["documents"]),
        "sentiment_documents_4h": np.log1p(hours["documents"]),
        "market_sentiment_mean_4h": grid.at("4h", symbols.index(MARKET), tick)["mean"],
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
