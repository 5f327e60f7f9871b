"""The simulated returns are what they say: figures over a long world."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.calibration.gate.returns import DAILY_VOLATILITY, DAYS_PER_YEAR, World, simulate

LONG = 60_000


def _sharpe(returns: np.ndarray) -> np.ndarray:
    return returns.mean(axis=0) / returns.std(axis=0) * np.sqrt(DAYS_PER_YEAR)


@pytest.mark.parametrize("noise", ["white", "ar", "garch"])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_any_two_contenders_have_the_correlation(noise: str, correlation: float) -> None:
    world = World(LONG, 2, correlation, noise, 0.5)  # type: ignore[arg-type]
    returns = simulate(world, np.random.default_rng(1))
    found = np.corrcoef(returns.T)[np.triu_indices(3, 1)]
    assert found == pytest.approx(np.full(3, correlation), abs=0.05)
    assert returns.std(axis=0) == pytest.approx(np.full(3, DAILY_VOLATILITY), rel=0.1)


def test_gains_are_where_they_belong() -> None:
    world = World(LONG, 3, gain=(2.0, -1.0), better=2, champion=1.0)
    returns = simulate(world, np.random.default_rng(2))
    cut = world.search_periods
    assert cut == 40_000
    # the error of a Sharpe ratio over 40,000 days is 0.08 a year, over 20,000 days 0.11
    assert _sharpe(returns[:cut]) == pytest.approx([1, 3, 3, 1], abs=0.35)
    assert _sharpe(returns[cut:]) == pytest.approx([1, 0, 0, 1], abs=0.45)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_differences_remember(memory: float) -> None:
    returns = simulate(World(LONG, 1, 0.5, "ar", memory), np.random.default_rng(3))
    difference = returns[:, 1] - returns[:, 0]
    assert np.corrcoef(difference[1:], difference[:-1])[0, 1] == pytest.approx(memory, abs=0.03)


def test_the_break_hits_everybody_alike() -> None:
    returns = simulate(World(LONG, 2, regime_break=True), np.random.default_rng(4))
    before, after = returns[:LONG // 2], returns[LONG // 2:]
    assert after.std() / before.std() == pytest.approx(2.0, rel=0.02)
    assert _sharpe(before) == pytest.approx([1, 1, 1], abs=0.35)
    assert _sharpe(after) == pytest.approx(np.full(3, -0.5), abs=0.35)


def test_garch_returns_have_heavy_tails_and_calm_spells() -> None:
    column = simulate(World(LONG, 1, 0.0, "garch", champion=0.0), np.random.default_rng(5))[:, 0]
    squares = column**2
    assert (column**4).mean() / squares.mean() ** 2 > 4
    assert np.corrcoef(squares[1:], squares[:-1])[0, 1] > 0.02
