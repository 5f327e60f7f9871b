"""The simulated columns are what they say: figures over long stretches against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.calibration.drift.series import SWELL, WAVE, WEEKEND, Process, Shift, simulate
from pipelines.errors import ContractError

LONG = 24 * 7 * 300


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.corrcoef(left, right)[0, 1])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("common", [0.0, 0.5])
def test_autoregressions_have_their_moments(memory: float, common: float) -> None:
    values = simulate(Process(memory=memory, common=common, columns=4), LONG, np.random.default_rng(1))
    # rows that are worth as much as independent ones: LONG (1 - rho) / (1 + rho)
    error = 4 / np.sqrt(LONG * (1 - memory) / (1 + memory))
    assert values.mean(axis=0) == pytest.approx(np.zeros(4), abs=error)
    assert values.var(axis=0) == pytest.approx(np.ones(4), abs=2 * error)
    assert _correlation(values[:, 0], values[:, 3]) == pytest.approx(common, abs=error)
    for lag in (1, 5):
        assert _correlation(values[lag:, 1], values[:-lag, 1]) == pytest.approx(memory**lag, abs=error)


def test_garch_columns_are_calm_and_nervous_together() -> None:
    values = simulate(Process("garch", columns=3), LONG, np.random.default_rng(2))
    assert values.std(axis=0) == pytest.approx(np.ones(3), rel=0.1)
    assert abs(_correlation(values[1:, 0], values[:-1, 0])) < 0.05
    size = np.abs(values)
    assert _correlation(size[1:, 0], size[:-1, 0]) > 0.05
    assert _correlation(size[:, 0], size[:, 2]) > 0.05


def test_garch_features_are_returns_and_their_volatilities() -> None:
    values = simulate(Process("garch_features", columns=6), 3000, np.random.default_rng(3))
    assert values.shape == (3000, 6)
    expected = np.log(np.sqrt((values[101:125, 1] ** 2).mean()))
    assert values[124, 4] == pytest.approx(expected)
    assert _correlation(values[1:, 4], values[:-1, 4]) > 0.9


def test_seasonal_columns_follow_the_clock() -> None:
    """With a wave ``a sin``, a weekend's step of standard deviation ``b`` and noise ``(1 + s sin) x`` the variance over
    weeks is ``a^2/2 + b^2 + 1 + s^2/2``; levels by hour span ``2 a``, weekend and weekdays are ``b / sqrt(10/49)``
    apart."""
    values = simulate(Process("seasonal", columns=2), LONG, np.random.default_rng(4))
    whole = np.sqrt(WAVE**2 / 2 + WEEKEND**2 + 1 + SWELL**2 / 2)
    assert values.std(axis=0) == pytest.approx(np.ones(2), rel=0.02)
    by_hour = values[:, 0].reshape(-1, 24).mean(axis=0)
    assert np.ptp(by_hour) == pytest.approx(2 * WAVE / whole, abs=0.06)
    week = values[:, 1].reshape(-1, 7, 24).mean(axis=(0, 2))
    assert week[5:].mean() - week[:5].mean() == pytest.approx(WEEKEND / np.sqrt(10 / 49) / whole, abs=0.06)
    spread = values[:, 0].reshape(-1, 24).std(axis=0)
    assert spread.max() / spread.min() == pytest.approx(
        np.sqrt(((1 + SWELL) ** 2 + WEEKEND**2) / ((1 - SWELL) ** 2 + WEEKEND**2)), rel=0.1)


@pytest.mark.parametrize("shift", [Shift("mean", 2.0, 3), Shift("variance", 4.0, 3), Shift("correlation", 0.5, 3)])
def test_what_is_planted_begins_at_the_onset_in_its_columns(shift: Shift) -> None:
    process, onset = Process(memory=0.5, columns=5), 20_000
    plain, moved = (simulate(process, LONG, np.random.default_rng(5), found, onset) for found in (None, shift))
    assert np.array_equal(plain[:onset], moved[:onset])
    assert np.array_equal(plain[:, 3:], moved[:, 3:])
    late = moved[onset:, :3]
    mean, variance, correlation = {"mean": (2.0, 1.0, 0.0), "variance": (0.0, 4.0, 0.0),
                                   "correlation": (0.0, 1.0, 0.5)}[shift.kind]
    assert late.mean(axis=0) == pytest.approx(np.full(3, mean), abs=0.1)
    assert late.var(axis=0) == pytest.approx(np.full(3, variance), rel=0.1)
    assert _correlation(late[:, 0], late[:, 2]) == pytest.approx(correlation, abs=0.05)
    assert _correlation(late[1:, 1], late[:-1, 1]) == pytest.approx(0.5, abs=0.05)


def test_a_gradual_shift_gets_there_in_its_time() -> None:
    plain, moved = (simulate(Process(columns=1), 24 * 60, np.random.default_rng(6), found, 24 * 10)
                    for found in (None, Shift("mean", 3.0, 1, over_days=30)))
    added = (moved - plain)[:, 0]
    assert added[[0, 239, 239 + 24 * 15, 239 + 24 * 30, -1]] == pytest.approx([0, 0, 1.5, 3, 3])


@pytest.mark.parametrize("process", [Process(common=0.5), Process("garch"), Process("seasonal")])
def test_a_correlation_is_planted_where_there_is_none(process: Process) -> None:
    with pytest.raises(ContractError, match="independent autoregressions"):
        simulate(process, 100, np.random.default_rng(7), Shift("correlation", 0.5, 3), 50)
