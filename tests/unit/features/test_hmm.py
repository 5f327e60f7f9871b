"""The learned regime: the filter against every path and statsmodels, the fit against simulated truth, and no look
ahead."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from pipelines.features.numerics import hmm
from pipelines.features.numerics.anchors import FIT, WEEK

#: 2024-03-04 00:00 UTC, a Monday, in hours since 1970.
MONDAY = 474_864
HOURS = 1300
MODEL = hmm.Model(np.array([[0.001, -5.0], [-0.002, -3.8]]), np.array([[1e-4, 0.1], [9e-4, 0.2]]),
                  np.array([[0.97, 0.03], [0.08, 0.92]]), np.array([0.6, 0.4]))


def simulated(hours: int, symbols: int, ratio: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, log returns and logarithms of log ranges, shape (hours, symbols); each hour is a random walk of 60 steps
    whose standard deviation is ``ratio`` times as large in the second state."""
    rng = np.random.default_rng(seed)
    states = np.zeros((hours, symbols), dtype=int)
    for row in range(1, hours):
        states[row] = np.where(rng.random(symbols) < 0.98, states[row - 1], 1 - states[row - 1])
    size = 0.005 * np.where(states == 1, ratio, 1.0) / 60 ** 0.5
    steps = rng.standard_normal((hours, symbols, 60)) * size[..., None]
    path = np.concatenate([np.zeros((hours, symbols, 1)), np.cumsum(steps, axis=2)], axis=2)
    return states, path[..., -1].copy(), np.log(path.max(axis=2) - path.min(axis=2))


def seen(hours: int, seed: int) -> np.ndarray:
    _, returns, ranges = simulated(hours, 1, seed=seed)
    return np.concatenate([returns, ranges], axis=1)


def probability_of_paths(numbers: np.ndarray, until: int) -> np.ndarray:
    """P(state at row | rows 0 .. ``until``) for every row up to it, by adding up every path of states."""
    weights = np.zeros((until + 1, 2))
    for path in product((0, 1), repeat=until + 1):
        likely = MODEL.start[path[0]] * np.prod([MODEL.transition[step] for step in pairwise(path)])
        for row, state in enumerate(path):
            if not np.isnan(numbers[row]).any():
                likely *= norm.pdf(numbers[row], MODEL.mean[state], np.sqrt(MODEL.variance[state])).prod()
        for row, state in enumerate(path):
            weights[row, state] += likely
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("hole", [None, 0, 3, 7])
def test_filter_and_smoother_equal_the_sum_over_all_paths(hole: int | None) -> None:
    numbers = seen(8, seed=4)
    if hole is not None:
        numbers[hole] = np.nan
    known = hmm.filtered(hmm.likelihood(numbers, MODEL), MODEL)
    for row in range(8):
        np.testing.assert_allclose(known[row], probability_of_paths(numbers, row)[row], rtol=1e-9)
    after, moves = hmm.smoothed(known, MODEL)
    np.testing.assert_allclose(after, probability_of_paths(numbers, 7), rtol=1e-9)
    assert moves.sum() == pytest.approx(7)
    np.testing.assert_allclose(moves.sum(axis=1), after[:-1].sum(axis=0), rtol=1e-9)


def test_filter_equals_statsmodels() -> None:
    numbers = seen(FIT + WEEK, seed=5)
    numbers[:, 1] = 0.0  # the second number tells nothing: both states draw it alike
    stay, leave = MODEL.transition[0, 0], MODEL.transition[1, 0]
    model = hmm.Model(np.array([MODEL.mean[0] * [1, 0], MODEL.mean[1] * [1, 0]]), np.array([[1e-4, 1.0], [9e-4, 1.0]]),
                      MODEL.transition, np.array([leave, 1 - stay]) / (leave + 1 - stay))
    theirs = MarkovRegression(numbers[:, 0], k_regimes=2, trend="c", switching_variance=True).filter(
        [stay, leave, *model.mean[:, 0], *model.variance[:, 0]]).filtered_marginal_probabilities
    np.testing.assert_allclose(hmm.filtered(hmm.likelihood(numbers, model), model), theirs, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("ratio", "least"), [(3.0, 0.95), (2.0, 0.9)])
def test_it_finds_the_state_of_simulated_hours(ratio: float, least: float) -> None:
    states, returns, ranges = simulated(3000, 8, ratio)
    turbulent, ahead = hmm.turbulence(returns, ranges, MONDAY)
    there = np.isfinite(turbulent)
    assert np.flatnonzero(there.all(axis=1))[0] == FIT + WEEK  # a Monday with FIT rows and one more before it
    right = ((turbulent > 0.5) == (states == 1))[there]
    # Hours of one regime err together, so the interval counts regimes of about 50 hours.
    low, _ = proportion_confint(right.mean() * right.size / 50, right.size / 50, method="wilson")
    assert low > least
    sizes = [np.median(ahead[there & (states == state)]) for state in (0, 1)]
    assert sizes == pytest.approx([0.005, 0.005 * ratio], rel=0.2)


def test_a_week_is_the_filter_of_the_model_of_the_weeks_before() -> None:
    _, returns, ranges = simulated(FIT + 1 + 2 * WEEK, 1, seed=7)
    turbulent, ahead = hmm.turbulence(returns, ranges, MONDAY - 1)
    for monday in (FIT + 1, FIT + 1 + WEEK):
        numbers = np.concatenate([returns, ranges], axis=1)[monday - FIT:monday + WEEK]
        model = hmm.fit(numbers[:FIT].copy(), hmm.STEPS)
        states = hmm.filtered(hmm.likelihood(numbers, model), model)[FIT:]
        np.testing.assert_allclose(turbulent[monday:monday + WEEK, 0], states[:, 1], rtol=1e-12)
        mixed = (states @ model.transition) @ (model.variance[:, 0] + model.mean[:, 0] ** 2)
        np.testing.assert_allclose(ahead[monday:monday + WEEK, 0], np.sqrt(mixed), rtol=1e-9)


def test_the_fit_finds_the_model() -> None:
    model = hmm.fit(seen(FIT, seed=1), hmm.STEPS)
    assert np.sqrt(model.variance[:, 0]) == pytest.approx([0.005, 0.015], rel=0.15)
    assert np.diag(model.transition) == pytest.approx([0.98, 0.98], abs=0.02)
    assert model.mean[1, 1] - model.mean[0, 1] == pytest.approx(np.log(3), abs=0.15)
    np.testing.assert_allclose(model.transition.sum(axis=1), 1, rtol=1e-12)


def test_each_round_of_the_fit_explains_the_hours_better() -> None:
    numbers = seen(FIT, seed=2)

    def log_likelihood(model: hmm.Model) -> float:
        total, state = 0.0, model.start
        for row, pair in enumerate(numbers):
            state = state @ model.transition if row else state
            joint = state * norm.pdf(pair, model.mean, np.sqrt(model.variance)).prod(axis=1)
            total, state = total + np.log(joint.sum()), joint / joint.sum()
        return total

    values = [log_likelihood(hmm.fit(numbers, steps)) for steps in range(hmm.STEPS + 1)]
    assert (np.diff(values) > -1e-6).all()
    assert values[-1] - values[-2] < 1e-3 * (values[-1] - values[0]) + 0.05


class TestNothingSeesAhead:
    @staticmethod
    def smooth(returns: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        """What `turbulence` would be with the smoother in the place of the filter."""
        numbers = np.stack([returns[:, 0], ranges[:, 0]], axis=1)
        model = hmm.fit(numbers[:FIT], hmm.STEPS)
        return hmm.smoothed(hmm.filtered(hmm.likelihood(numbers, model), model), model)[0][FIT:, 1]

    @given(st.integers(0, 1000), st.integers(FIT + 2, HOURS - 1))
    @settings(max_examples=10)
    def test_cutting_off_the_future_changes_no_bit(self, seed: int, end: int) -> None:
        _, returns, ranges = simulated(HOURS, 2, seed=seed)
        first = MONDAY + seed
        whole = hmm.turbulence(returns, ranges, first)
        cut = hmm.turbulence(returns[:end].copy(), ranges[:end].copy(), first)
        for one, other in zip(whole, cut, strict=True):
            assert one[:end].tobytes() == other.tobytes()

    def test_a_smoother_would_be_caught(self) -> None:
        _, returns, ranges = simulated(FIT + WEEK, 1, ratio=1.5, seed=3)
        whole = self.smooth(returns, ranges)
        moved = []
        for end in range(10, WEEK, 10):
            cut = self.smooth(returns[:FIT + end], ranges[:FIT + end])
            assert cut.tobytes() != whole[:end].tobytes()
            moved.append(np.abs(cut - whole[:end]).max())
        assert max(moved) > 0.05

    @given(st.integers(0, 1000), st.integers(1, HOURS - FIT - 2 * WEEK), st.floats(0, 0.12))
    @settings(max_examples=10)
    def test_the_start_and_other_symbols_change_no_bit(self, seed: int, start: int, holes: float) -> None:
        _, returns, ranges = simulated(HOURS, 2, seed=seed)
        gone = np.random.default_rng(seed).random(returns.shape) < holes
        returns[gone], ranges[gone] = np.nan, np.nan
        first, back = MONDAY + seed, FIT + WEEK
        whole = hmm.turbulence(returns, ranges, first)
        part = hmm.turbulence(returns[start:, 1:].copy(), ranges[start:, 1:].copy(), first + start)
        for one, other in zip(whole, part, strict=True):
            assert one[start + back:, 1:].tobytes() == other[back:].tobytes()


def test_missing_hours() -> None:
    _, returns, ranges = simulated(FIT + 1 + 2 * WEEK, 1, seed=6)
    full = hmm.turbulence(returns, ranges, MONDAY - 1)[0][:, 0]
    gap = FIT + 50
    returns[gap:gap + 2], ranges[gap] = np.nan, np.nan  # a bar is missing: so is the next one's return
    holed = hmm.turbulence(returns, ranges, MONDAY - 1)[0][:, 0]
    assert np.flatnonzero(np.isnan(holed[FIT + 1:FIT + 1 + WEEK])).tolist() == [49]
    assert holed[FIT + 1:gap].tobytes() == full[FIT + 1:gap].tobytes()
    assert 0 < holed[gap + 1] < 1
    assert np.abs(holed[gap + 30:FIT + 1 + WEEK] - full[gap + 30:FIT + 1 + WEEK]).max() < 0.01
    returns[100:100 + FIT // 10 + 1] = np.nan  # more than a tenth of the weeks that are fitted on
    assert np.isnan(hmm.turbulence(returns, ranges, MONDAY - 1)[0][:FIT + 1 + WEEK]).all()


@pytest.mark.parametrize("returned", [0.0, 1e-9])
def test_a_frozen_price_is_finite(returned: float) -> None:
    shape = FIT + 1 + WEEK, 1
    turbulent, ahead = hmm.turbulence(np.full(shape, returned), np.full(shape, np.log(1e-4)), MONDAY - 1)
    assert np.isfinite(turbulent[FIT + 1:]).all()
    assert (ahead[FIT + 1:] < 1e-5).all()
