"""What earlier trades have brought, as far as it was known when the row was decided: for lines that learn from a log.

A row of a trade sees the trades of its own log (``source``), a row of a bar those of all logs. Of a trade with several
versions the one in force then counts. Everything is over the last so many closed trades, in the order of their
closings, so it does not depend on where the log begins; nor on the row's own trade, which is open.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.features import history
from pipelines.features.declare import Feature, Group, Rows
from pipelines.sentiment.hours import microseconds

LAST = 10
CURVE = 100
NAMES = (f"log_win_rate_{LAST}", f"log_mean_profit_{LAST}", f"market_win_rate_{LAST}", f"market_mean_profit_{LAST}",
         f"log_drawdown_{CURVE}", "log_open_trades")


@dataclass
class _Book:
    """The trades known so far: closings in order, of all markets and of each one, and what is open."""

    profit: dict[str, float] = field(default_factory=dict)
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)
    by_market: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    open: dict[str, int] = field(default_factory=dict)

    def learn(self, trade: str, market: str, opened: int, closed: int | None, profit: float) -> None:
        lists = (self.order, self.by_market[market])
        if (before := self.closed.pop(trade, None)) is not None:
            for found in lists:
                found.remove(before)
        if closed is None:
            self.open[trade] = opened
            return
        self.open.pop(trade, None)
        if not np.isnan(profit):
            self.profit[trade], self.closed[trade] = profit, (closed, trade)
            for found in lists:
                insort(found, (closed, trade))

    def last(self, found: list[tuple[int, str]], count: int) -> FloatArray:
        return np.array([self.profit[trade] for _, trade in found[-count:]])

    def figures(self, market: str, at: int) -> tuple[float, ...]:
        of_all, of_market = self.last(self.order, LAST), self.last(self.by_market[market], LAST)
        opened = sum(begun < at for begun in self.open.values())
        return (*_rate_and_mean(of_all), *_rate_and_mean(of_market), _drawdown(self.last(self.order, CURVE)),
                float(opened))


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
    frame, log = rows.frame, history.versions(rows)
    values = np.full((len(frame), len(NAMES)), np.nan)
    at = microseconds(frame["available_at"])
    markets = frame["symbol"].to_numpy(dtype=object)
    source = frame["source"].to_numpy(dtype=object) if "source" in frame else np.full(len(frame), None)
    for name in pd.unique(source):
        mine, places = log if name is None else log[log["source"] == name], np.flatnonzero(source == name)
        book, coming = _Book(), _events(mine)
        event = next(coming, None)
        for place in places[np.argsort(at[places], kind="stable")]:
            while event is not None and event[0] <= at[place]:
                book.learn(*event[1:])
                event = next(coming, None)
            values[place] = book.figures(markets[place], int(at[place]))
    return {name: values[:, column] for column, name in enumerate(NAMES)}


def _events(log: pd.DataFrame) -> Iterator[tuple[int, str, str, int, int | None, float]]:
    """(known, trade, market, opened, closed or None, profit) of every version in order of time; microseconds."""
    if log.empty:
        return
    ends = log["closed_at"].notna().tolist()
    closings = microseconds(log["closed_at"].fillna(log["event_time"])).tolist()
    opened = microseconds(log["event_time"]).tolist()
    names = [f"{source}\n{trade}\n{at}" for source, trade, at in zip(
        log["source"].tolist(), log["trade_id"].tolist(), opened, strict=True)]
    rows = zip(microseconds(log["known"]).tolist(), names, log["symbol"].tolist(), opened, closings, ends,
               log["profit_ratio"].tolist(), strict=True)
    for known, name, market, begun, closed, over, profit in rows:
        yield known, name, market, begun, closed if over else None, profit


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
