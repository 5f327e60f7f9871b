"""What earlier trades have brought, as far as it was known when the row was decided: for lines that learn from a log.

A row of a trade sees the trades of its own log (``source``), a row of a bar those of all logs. Of a trade with several
versions the one in force then counts. Everything is over the last so many closed trades, in the order of their
closings, so it does not depend on where the log begins; nor on the row's own trade, which is open.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features import history
from pipelines.features.declare import Feature, Group, Rows

LAST = 10
CURVE = 100
NAMES = (f"log_win_rate_{LAST}", f"log_mean_profit_{LAST}", f"market_win_rate_{LAST}", f"market_mean_profit_{LAST}",
         f"log_drawdown_{CURVE}", "log_open_trades")


class _Book:
    """The trades known so far: closings in order, of all markets and of each one, and what is open."""

    def __init__(self, known: history.Versions) -> None:
        """From all versions up to some time: of each trade the last one counts."""
        newest = known[::-1][np.unique(known["trade"][::-1], return_index=True)[1]]
        self._open = dict(_items(newest[newest["over"] == 0], "trade", "opened"))
        closed = newest[(newest["over"] == 1) & ~np.isnan(newest["profit"])]
        closed = closed[np.argsort(closed["closed"], kind="stable")]
        self._profit = dict(_items(closed, "trade", "profit"))
        self._closed = {trade: (at, trade) for trade, at in _items(closed, "trade", "closed")}
        self._order = list(self._closed.values())
        self._by_market: dict[int, list[_Closing]] = defaultdict(list)
        for closing, market in zip(self._order, closed["market"].tolist(), strict=True):
            self._by_market[market].append(closing)

    def learn(self, trade: int, market: int, opened: int, over: int, closed: int, profit: float) -> None:
        lists = (self._order, self._by_market[market])
        if (before := self._closed.pop(trade, None)) is not None:
            for found in lists:
                found.remove(before)
        if not over:
            self._open[trade] = opened
            return
        self._open.pop(trade, None)
        if not math.isnan(profit):
            self._profit[trade], self._closed[trade] = profit, (closed, trade)
            for found in lists:
                insort(found, (closed, trade))

    def figures(self, market: int, at: int) -> tuple[float, ...]:
        of_all, of_market = self._last(self._order, LAST), self._last(self._by_market[market], LAST)
        opened = sum(begun < at for begun in self._open.values())
        return (*_rate_and_mean(of_all), *_rate_and_mean(of_market), _drawdown(self._last(self._order, CURVE)),
                float(opened))

    def _last(self, found: list[_Closing], count: int) -> FloatArray:
        return np.array([self._profit[trade] for _, trade in found[-count:]])


#: When a trade closed, and which it was.
_Closing = tuple[int, int]


def _items(versions: history.Versions, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(versions[name].tolist() for name in names), strict=True)


def _rate_and_mean(profits: FloatArray) -> tuple[float, float]:
    if not len(profits):
        return np.nan, np.nan
    return float((profits > 0).mean()), float(profits.mean())


def _drawdown(profits: FloatArray) -> float:
    if not len(profits):
        return np.nan
    curve = np.concatenate([[0.0], np.cumsum(profits)])
    return float(curve.max() - curve[-1])


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    values = np.full((len(rows), len(NAMES)), np.nan)
    markets = {market: place for place, market in enumerate(sorted(set(rows.symbols)))}
    logs = {} if rows.sources is None else {source: place for place, source in enumerate(sorted(set(rows.sources)))}
    versions = history.log(rows, markets=list(markets), sources=list(logs))
    own = np.zeros(len(rows), np.int64) if rows.sources is None else np.array([logs[name] for name in rows.sources])
    for log in range(max(len(logs), 1)) if len(rows) else ():
        places = np.flatnonzero(own == log)
        places = places[np.argsort(rows.at[places], kind="stable")]
        mine = versions[versions["source"] == log] if logs else versions
        before = int(np.searchsorted(mine["known"], rows.at[places[0]], side="right"))
        book, coming = _Book(mine[:before]), _items(
            mine[before:], "known", "trade", "market", "opened", "over", "closed", "profit")
        event = next(coming, None)
        for place in places:
            while event is not None and event[0] <= rows.at[place]:
                book.learn(*event[1:])
                event = next(coming, None)
            values[place] = book.figures(markets[rows.symbols[place]], int(rows.at[place]))
    return {name: values[:, column] for column, name in enumerate(NAMES)}


_INPUTS = ("closed_trades.profit_ratio",)
_OF = {"log": "its log", "market": "its market"}
GROUP = Group(
    "history",
    (*(feature for where, whose in _OF.items() for feature in (
        Feature(f"{where}_win_rate_{LAST}", _INPUTS, 0, "0 to 1",
                f"share of the last {LAST} closed trades of {whose} with a profit", neutral=0.5),
        Feature(f"{where}_mean_profit_{LAST}", _INPUTS, 0, "ratio (0.01 is 1 %)",
                f"mean profit of the last {LAST} closed trades of {whose}", neutral=0.0))),
     Feature(f"log_drawdown_{CURVE}", _INPUTS, 0, "stakes",
             f"highest point minus end of the sum of the last {CURVE} closed trades' profits", neutral=0.0),
     Feature("log_open_trades", ("openings.event_time",), 0, "trades",
             "trades of its log opened before and not known to be closed", neutral=0.0)),
    from_rows=_compute)
