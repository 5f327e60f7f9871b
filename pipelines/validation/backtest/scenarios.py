"""Stress tests: the same forecasts in a worse world. A new one is a function and a line in :data:`SCENARIOS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation.backtest.bookkeeping import BAR, book
from pipelines.validation.backtest.returns import HOURS_PER_YEAR, summary

AS_IS = "as_is"
#: Share of the rows that ``missing_bars`` drops.
DROPPED = 0.1


@dataclass(frozen=True)
class Setting:
    """One backtest: what a scenario takes and gives back.

    Attributes:
        frame: columns ``symbol``, ``event_time``, ``available_at``, ``forward_return`` and ``p``, P(y = 1).
        costs, horizon_bars, bar: as of ``book``.
        seed: of scenarios that draw.
    """

    frame: pd.DataFrame
    costs: Costs
    horizon_bars: int
    bar: timedelta = BAR
    seed: int = 0

    def book(self) -> pd.DataFrame:
        return book(self.frame, self.frame["p"], self.costs, self.horizon_bars, self.bar)


def doubled_costs(setting: Setting) -> Setting:
    """Fees, slippage and spread twice as high; the band stays, so the same trades are made."""
    costs = setting.costs
    return replace(setting, costs=costs.model_copy(update={
        name: 2 * getattr(costs, name) for name in ("fee_bps", "slippage_bps", "spread_bps")}))


def delayed_fills(setting: Setting) -> Setting:
    """Every decision is filled, and given up, one bar later than planned: each row trades on the forecast of the row
    one bar before it, and not at all where that row is missing or came late."""
    frame = setting.frame.reset_index(drop=True)
    keys = pd.MultiIndex.from_arrays([frame["symbol"], frame["event_time"]])
    source = keys.get_indexer(pd.MultiIndex.from_arrays([frame["symbol"], frame["event_time"] - setting.bar]))
    late = (frame["available_at"] > frame["event_time"] + 1.5 * setting.bar).to_numpy()
    acted = (source >= 0) & ~late[source]
    frame["p"] = np.where(acted, frame["p"].to_numpy()[source], 0.5)
    # The fill no longer waits for this row's own forecast.
    frame["available_at"] = frame["event_time"] + setting.bar
    return replace(setting, frame=frame)


def missing_bars(setting: Setting) -> Setting:
    """A tenth of the rows, drawn by the seed, is not there: no decision, and a position that would have been handed
    on is closed and opened again."""
    ordered = setting.frame.sort_values(["event_time", "symbol"])
    kept = np.random.default_rng(setting.seed).random(len(ordered)) >= DROPPED
    return replace(setting, frame=ordered[kept])


def worst_month_again(setting: Setting) -> Setting:
    """The calendar month (UTC) with the lowest compounded net return comes once more after the last bar."""
    net = setting.book()["net"]
    months = pd.DatetimeIndex(net.index).strftime("%Y-%m")
    worst = str((1.0 + net).groupby(months).prod().idxmin())
    again = setting.frame[setting.frame["event_time"].dt.strftime("%Y-%m") == worst].copy()
    shift = setting.frame["event_time"].max() + setting.bar - again["event_time"].min()
    for name in ("event_time", "available_at"):
        again[name] = again[name] + shift
    return replace(setting, frame=pd.concat([setting.frame, again], ignore_index=True))


def doubled_volatility(setting: Setting) -> Setting:
    """Each forward return lies twice as far from its symbol's mean; nothing falls by more than its whole value."""
    returns = setting.frame["forward_return"]
    mean = returns.groupby(setting.frame["symbol"]).transform("mean")
    return replace(setting, frame=setting.frame.assign(forward_return=(2 * returns - mean).clip(lower=-1.0)))


SCENARIOS: dict[str, Callable[[Setting], Setting]] = {
    "doubled_costs": doubled_costs,
    "delayed_fills": delayed_fills,
    "missing_bars": missing_bars,
    "worst_month_again": worst_month_again,
    "doubled_volatility": doubled_volatility,
}


def stress(setting: Setting, names: Iterable[str] = tuple(SCENARIOS),
           periods_per_year: float = HOURS_PER_YEAR) -> pd.DataFrame:
    """The figures of ``summary`` as it was (``as_is``, the first row) and in each scenario.

    Raises:
        ContractError: an unknown scenario, or as ``book``.
    """
    asked = list(names)
    if unknown := sorted(set(asked) - set(SCENARIOS)):
        raise ContractError(f"unknown scenario(s) {unknown}; there are {sorted(SCENARIOS)}")
    rows = {AS_IS: summary(setting.book(), periods_per_year)}
    rows |= {name: summary(SCENARIOS[name](setting).book(), periods_per_year) for name in asked}
    return pd.DataFrame(rows).T.rename_axis("scenario")
