"""Recent losses against the promised ones."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.monitoring.performance import blocks_for, mean_log_loss, shift

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def hourly(values: np.ndarray | list[float], start: str = "2024-03-01") -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values), freq="h", tz="UTC"), dtype=float)


@pytest.mark.parametrize(("span", "horizon", "blocks"), [
    (7 * DAY, HOUR, 7), (5 * DAY, HOUR, 5), (2 * DAY, HOUR, 4), (7 * DAY, DAY, 4), (14 * DAY, DAY, 7)])
def test_a_block_is_a_day_or_two_horizons(span: timedelta, horizon: timedelta, blocks: int) -> None:
    assert blocks_for(span, horizon) == blocks


def test_the_statistic_is_welchs_on_block_means() -> None:
    rng = np.random.default_rng(0)
    then, now = hourly(rng.normal(0.69, 0.02, 168)), hourly(rng.normal(0.70, 0.02, 120), "2024-03-10")
    found = shift(then, now, HOUR)
    a, b = then.to_numpy().reshape(7, 24).mean(axis=1), now.to_numpy().reshape(5, 24).mean(axis=1)
    statistic = stats.ttest_ind(b, a, equal_var=False).statistic
    assert found.p_upper == pytest.approx(stats.t.sf(statistic, 4))
    assert found.blocks == 5
    assert found.current - found.reference == pytest.approx(b.mean() - a.mean())


def test_a_rise_is_an_alarm_and_a_fall_is_not() -> None:
    rng = np.random.default_rng(1)
    then = hourly(rng.normal(0.67, 0.02, 168))
    worse, better = (hourly(rng.normal(mean, 0.02, 120)) for mean in (0.72, 0.60))
    assert shift(then, worse, HOUR).p_upper < 0.01
    assert shift(then, better, HOUR).p_upper > 0.99
    assert shift(then, better, HOUR).p_two_sided < 0.01


def test_too_little_is_no_answer() -> None:
    found = shift(hourly([0.69] * 168), hourly([0.9] * 7), HOUR)
    assert math.isnan(found.p_upper)
    assert found.current == pytest.approx(0.9)
    assert math.isnan(shift(hourly([]), hourly([0.9] * 50), HOUR).reference)


@pytest.mark.parametrize(("current", "p"), [(0.69, 0.5), (0.7, 0.0), (0.68, 1.0)])
def test_constants_compare_exactly(current: float, p: float) -> None:
    assert shift(hourly([0.69] * 168), hourly([current] * 120), HOUR).p_upper == p


def test_loss_is_averaged_over_symbols_and_sorted() -> None:
    at = pd.to_datetime(["2024-03-01T01:00Z", "2024-03-01T00:00Z", "2024-03-01T00:00Z"])
    frame = pd.DataFrame({"event_time": at, "y": [1.0, 1.0, 0.0], "probability": [0.5, 0.8, 0.2]})
    assert mean_log_loss(frame, "probability").tolist() == pytest.approx([-math.log(0.8), math.log(2)])
    assert mean_log_loss(frame.iloc[:0], "probability").empty


def test_false_alarms_keep_their_level() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(1000):
        losses = 0.69 + rng.standard_t(5, 288) * 0.03
        alarms += shift(hourly(losses[:168]), hourly(losses[168:]), HOUR).p_upper <= 0.01
    assert alarms <= 20  # the conservative degrees of freedom keep it well below 1 %
