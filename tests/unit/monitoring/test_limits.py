"""Variances of window means and the limits made of them, against formulas and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter

from pipelines.contracts.line import Drift
from pipelines.monitoring import learn, limits, wander
from pipelines.monitoring.limits import Together


def days(rho: float, count: int, series: int, seed: int = 0) -> np.ndarray:
    """Daily values of unit-variance AR(1) series, shape (count, series)."""
    shocks = np.random.default_rng(seed).standard_normal((count + 100, series))
    return lfilter([np.sqrt(1 - rho ** 2)], [1.0, -rho], shocks, axis=0)[100:]


def truth(rho: float, length: int) -> float:
    """Variance of the mean of ``length`` values, from the covariance matrix."""
    lags = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    return float((rho ** lags).mean())


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("window", [1, 7])
def test_the_variance_of_a_window_is_not_taken_too_small(rho: float, window: int) -> None:
    found = wander.variance_of_means(days(rho, 120, 400), window)
    exact = truth(rho, window) + truth(rho, 120)
    assert found.shape == (window, 400)
    assert exact < np.median(found[-1]) < 2 * exact
    assert (found[-1] < exact / 2).mean() < 0.03


def test_missing_days_and_constants() -> None:
    daily = days(0.5, 60, 3)
    daily[10:14, 0] = np.nan
    daily[:, 1] = 2.0
    found = wander.variance_of_means(daily, 5)
    assert np.isfinite(found).all()
    assert (found[:, 1] == 0).all()
    assert found[-1, 0] == pytest.approx(wander.variance_of_means(days(0.5, 60, 3), 5)[-1, 0], rel=0.5)


def test_slid_windows_by_hand() -> None:
    # Windows (1, 2), (2, 6), (6, 3) of 1, 2, 6, 3 against the other two: gaps -3, 2, 3.
    assert wander.slid(np.array([[1.0], [2.0], [6.0], [3.0]]), 2) == pytest.approx([(9 + 4 + 9) / 3])


def test_variances_that_agree_are_pooled_and_others_are_left_alone() -> None:
    rng = np.random.default_rng(2)
    degrees = np.full(200, 8.0)
    same = rng.chisquare(8, 200) / 8
    pooled, dof = limits.moderated(same, degrees)
    assert pooled.std() < 0.3 * same.std()
    assert dof[0] > 40
    apart = same * np.exp(3 * rng.standard_normal(200))
    kept, dof = limits.moderated(apart, degrees)
    assert np.corrcoef(np.log(kept), np.log(apart))[0, 1] > 0.99
    assert dof[0] < 10
    assert limits.moderated(same[:2], degrees[:2])[0] is not None


def test_columns_that_move_together_count_once() -> None:
    noise = np.random.default_rng(3).standard_normal((300, 40))
    alone, common = Together.of(noise), Together.of(noise[:, :1] + 1e-3 * noise)
    assert alone.shared == pytest.approx(40, rel=0.1)
    assert alone.largest < 0.05
    assert common.shared == pytest.approx(1, rel=0.05)
    assert common.largest == pytest.approx(1, abs=0.15)
    assert limits.mean_square(1e-3, Together(1.0, 1.0), 30) == pytest.approx(stats.t.isf(5e-4, 30) ** 2)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], [1.0, 0.25, 0.1]])
def test_the_limit_of_a_distance_holds_its_level(weights: list[float]) -> None:
    rng = np.random.default_rng(4)

    def draw(count: int) -> np.ndarray:
        return np.sqrt((rng.standard_normal((count, len(weights))) ** 2 * weights).sum(axis=1))

    limit = limits.distance_limit(draw(500), 2, 1e-3, 1e6)
    assert 2e-4 < (draw(400_000) > limit).mean() < 3e-3


def test_a_column_that_looks_back_for_long_has_wider_limits_and_others_have_the_same() -> None:
    values = np.random.default_rng(0).standard_normal((100 * 24, 4))
    times = pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC")
    frame = pd.DataFrame(values, columns=list("abcd")).assign(event_time=times)
    usual, known = learn(frame, Drift()), learn(frame, Drift(), memory={"a": 25.0, "b": 7.0})
    assert [column.level_limit for column in known.columns[1:]] == [column.level_limit for column in usual.columns[1:]]
    # Half of the budget is for single columns: four, level and spread of each.
    alpha = 0.5 * Drift().false_alarms_per_year / 365 / 4 / 2
    assert known.columns[0].level_limit == pytest.approx(stats.t.isf(alpha / 2, 100 / 25))
    assert known.columns[0].spread_limit == pytest.approx(stats.t.isf(alpha / 2, 100 / 25))


def test_no_window_is_known_better_than_a_fiftieth_of_a_deviation() -> None:
    values = np.tile(np.sin(np.arange(24.0)), 60) + 1e-6 * np.random.default_rng(0).standard_normal(60 * 24)
    times = pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC")
    column = learn(pd.DataFrame({"a": values, "event_time": times}), Drift()).columns[0]
    assert np.sqrt(column.level[-1]) == pytest.approx(0.02)
    assert np.sqrt(column.spread) == pytest.approx(0.02)
