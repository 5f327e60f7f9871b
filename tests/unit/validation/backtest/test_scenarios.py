"""Stress tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation import backtest
from pipelines.validation.backtest import SCENARIOS, Setting, stress
from tests.unit.validation.backtest.worlds import HOUR, START, world

COSTS = Costs(fee_bps=8, slippage_bps=2, spread_bps=4, band=0.02)


def hand(returns: list[float], p: list[float]) -> Setting:
    frame = world(len(returns), symbols=1).assign(forward_return=returns, p=p)
    return Setting(frame, COSTS, 1)


def test_doubled_costs_cost_twice_and_earn_the_same() -> None:
    setting = Setting(world(100), COSTS, 2)
    before, after = setting.book(), SCENARIOS["doubled_costs"](setting).book()
    assert after["cost"].to_numpy() == pytest.approx(2 * before["cost"].to_numpy())
    assert after["gross"].equals(before["gross"])


def test_delayed_fills_earn_the_next_bar_s_return() -> None:
    setting = hand([0.01, 0.02, -0.03, 0.04], [0.9, 0.1, 0.9, 0.5])
    book = SCENARIOS["delayed_fills"](setting).book()
    assert book["gross"].tolist() == pytest.approx([0.0, 0.02, 0.03, 0.04])
    assert book["exposure"].tolist() == [0, 1, 1, 1]


def test_a_late_forecast_and_a_missing_one_are_not_filled_later_either() -> None:
    setting = hand([0.01, 0.02, -0.03, 0.04], [0.9] * 4)
    late = setting.frame.copy()
    late.loc[1, "available_at"] = late.loc[1, "event_time"] + 3 * HOUR
    assert SCENARIOS["delayed_fills"](replace(setting, frame=late)).book()["exposure"].tolist() == [0, 1, 0, 1]
    gap = setting.frame.drop(index=1)
    assert SCENARIOS["delayed_fills"](replace(setting, frame=gap)).book()["exposure"].tolist() == [0, 0, 1]


def test_missing_bars_drop_a_tenth_by_the_seed_whatever_the_order_of_the_rows() -> None:
    setting = Setting(world(2000), COSTS, 1, seed=3)
    dropped = SCENARIOS["missing_bars"](setting).frame
    assert len(dropped) == pytest.approx(3600, abs=80)
    shuffled = replace(setting, frame=setting.frame.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(SCENARIOS["missing_bars"](shuffled).frame, dropped)
    assert not SCENARIOS["missing_bars"](replace(setting, seed=4)).frame.index.equals(dropped.index)


def test_the_worst_month_comes_again_after_the_last_bar() -> None:
    frame = world(24 * 91, symbols=1)  # January to March
    month = frame["event_time"].dt.month
    frame = frame.assign(p=0.9, forward_return=np.select([month == 1, month == 2], [0.0001, -0.0002], 0.0001))
    setting = Setting(frame, Costs(fee_bps=0, slippage_bps=0), 1)
    after = SCENARIOS["worst_month_again"](setting)
    net = after.book()["net"]
    assert len(after.frame) == 24 * (91 + 29)
    assert net.index.is_unique
    assert net.index[24 * 91] == START + 24 * 91 * HOUR
    assert net.iloc[24 * 91:].tolist() == pytest.approx([-0.0002] * 24 * 29)
    assert net.iloc[: 24 * 91].equals(setting.book()["net"])


def test_doubled_volatility_keeps_the_mean() -> None:
    setting = Setting(world(500), COSTS, 1)
    before, after = setting.frame, SCENARIOS["doubled_volatility"](setting).frame
    for symbol in ("S0", "S1"):
        old, new = (frame.loc[frame["symbol"] == symbol, "forward_return"] for frame in (before, after))
        assert new.mean() == pytest.approx(old.mean())
        assert new.std() == pytest.approx(2 * old.std())
    crash = hand([-0.9, 0.5, 0.0], [0.9] * 3)
    assert SCENARIOS["doubled_volatility"](crash).frame["forward_return"].min() == -1.0


def test_the_report_has_a_row_for_each_and_changes_nothing() -> None:
    setting = Setting(world(24 * 40), COSTS, 2)
    kept = setting.frame.copy()
    table = stress(setting)
    assert table.index.tolist() == ["as_is", *SCENARIOS]
    assert table.loc["as_is"].to_dict() == pytest.approx(backtest.summary(setting.book()))
    assert table.loc["doubled_costs", "net_return"] < table.loc["as_is", "net_return"]
    assert table.notna().all().all()
    pd.testing.assert_frame_equal(setting.frame, kept)
    assert stress(setting, ["delayed_fills"]).index.tolist() == ["as_is", "delayed_fills"]
    with pytest.raises(ContractError, match=r"unknown scenario\(s\) \['flood'\]"):
        stress(setting, ["flood"])
