"""The figures, against hand tables and a loop that walks the wealth bar by bar."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.validation import backtest

AT = pd.date_range("2024-01-01", periods=8, freq="D", tz="UTC")


def test_the_summary_by_hand() -> None:
    net = pd.Series([0.10, -0.20, 0.0, 0.05])
    found = backtest.summary(net, periods_per_year=100)
    mean = -0.05 / 4
    spread = math.sqrt(sum((value - mean) ** 2 for value in net) / 3)
    downside = math.sqrt(0.2**2 / 4)
    total = 1.1 * 0.8 * 1.05
    assert found == pytest.approx({
        "net_return": total - 1, "sharpe_per_period": mean / spread, "sharpe_annualised": mean / spread * 10,
        "sortino_per_period": mean / downside, "sortino_annualised": mean / downside * 10,
        "calmar": (total**25 - 1) / 0.2, "max_drawdown": -0.20, "win_rate": 2 / 3, "profit_factor": 0.15 / 0.20})
    assert backtest.drawdown(pd.Series([-0.1, 0.2])).tolist() == pytest.approx([-0.1, 0.0])
    assert backtest.equity(net).iloc[-1] == pytest.approx(1 + found["net_return"])


def test_the_sharpe_of_a_period_and_of_a_year_differ_by_the_root_of_the_periods() -> None:
    net = pd.Series(np.random.default_rng(0).normal(0.001, 0.01, 500))
    daily, hourly = backtest.summary(net, 252), backtest.summary(net)
    assert daily["sharpe_per_period"] == hourly["sharpe_per_period"] == pytest.approx(net.mean() / net.std())
    assert daily["sharpe_annualised"] == pytest.approx(daily["sharpe_per_period"] * math.sqrt(252))
    assert hourly["sharpe_annualised"] == pytest.approx(hourly["sharpe_per_period"] * math.sqrt(8760))


def test_what_the_returns_cannot_define_is_nan() -> None:
    idle = backtest.summary(pd.Series([0.0, 0.0]))
    assert {name for name, value in idle.items() if math.isnan(value)} == {
        "sharpe_per_period", "sharpe_annualised", "sortino_per_period", "sortino_annualised", "calmar", "win_rate",
        "profit_factor"}
    assert idle["net_return"] == 0.0
    steady = backtest.summary(pd.Series([0.01] * 30))
    assert math.isnan(steady["sharpe_annualised"])  # no variation; not 1e16
    assert math.isnan(steady["profit_factor"])
    empty = backtest.summary(pd.Series([], dtype=float))
    assert (empty["net_return"], empty["max_drawdown"]) == (0.0, 0.0)


@pytest.mark.parametrize(("net", "depth", "dates"), [
    ([0.1, -0.5, 0.2, 1.0, 0.0], -0.5, (0, 1, 3)),
    ([0.1, -0.5, 0.2, 0.1], -0.5, (0, 1, None)),             # not recovered
    ([-0.1, 0.05, 0.2], -0.1, (None, 0, 2)),                 # falls from the start
    ([0.1, -0.1, 0.5, -0.2, -0.1, 0.5], -0.28, (2, 4, 5)),   # the deeper of two
    ([0.0, 0.1], 0.0, (None, None, None)),
    ([], 0.0, (None, None, None)),
])
def test_the_worst_drawdown_and_its_dates(
        net: list[float], depth: float, dates: tuple[int | None, ...]) -> None:
    found = backtest.worst_drawdown(pd.Series(net, index=AT[: len(net)], dtype=float))
    assert found.depth == pytest.approx(depth)
    assert (found.peak, found.trough, found.recovery) == tuple(None if at is None else AT[at] for at in dates)


@given(st.lists(st.sampled_from([-0.3, -0.02, 0.0, 0.01, 0.25]), min_size=2, max_size=40))
@settings(max_examples=150, deadline=None)
def test_as_a_loop_that_walks_the_wealth(values: list[float]) -> None:
    wealth = high = 1.0
    deepest = 0.0
    for value in values:
        wealth *= 1 + value
        high = max(high, wealth)
        deepest = min(deepest, wealth / high - 1)
    net = pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC"))
    found = backtest.summary(net, 1000)
    assert found["net_return"] == pytest.approx(wealth - 1)
    assert found["max_drawdown"] == pytest.approx(deepest)
    lost, gained = -sum(v for v in values if v < 0), sum(v for v in values if v > 0)
    assert found["profit_factor"] == pytest.approx(gained / lost if lost else math.nan, nan_ok=True)
    if deepest < 0:
        assert found["calmar"] == pytest.approx((wealth ** (1000 / len(values)) - 1) / -deepest)
    dated = backtest.worst_drawdown(net)
    assert dated.depth == pytest.approx(deepest)
    if dated.trough is not None:
        assert dated.peak is None or dated.peak < dated.trough
        assert dated.recovery is None or dated.recovery > dated.trough
