"""Two stages, one p-value: its level by simulation and by another library, and the promises of the docstring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.errors import ContractError
from pipelines.validation.significance.combination import for_untold, two_stage

PROBABILITY = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.parametrize(("fresh", "search", "weight"), [
    (0.002, 0.5, 0.5), (0.03, 0.05, 0.5), (0.2, 0.01, 0.5), (0.05, 0.9, 0.5), (0.01, 0.01, 0.3), (0.6, 0.7, 0.8)])
def test_it_is_the_tail_of_a_bivariate_normal(fresh: float, search: float, weight: float) -> None:
    z, other = stats.norm.isf(fresh), stats.norm.isf(search)
    greatest = max(z, np.sqrt(weight) * z + np.sqrt(1 - weight) * other)
    rho = np.sqrt(weight)
    expected = 1 - stats.multivariate_normal.cdf([greatest, greatest], cov=[[1, rho], [rho, 1]])
    assert two_stage(fresh, search, weight) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.8])
def test_its_level_is_exact(weight: float) -> None:
    pairs = np.random.default_rng(1).random((20_000, 2))
    found = np.array([two_stage(fresh, search, weight) for fresh, search in pairs])
    assert stats.kstest(found, "uniform").pvalue > 0.001


@given(PROBABILITY, PROBABILITY, PROBABILITY)
def test_less_of_either_is_never_more(fresh: float, search: float, less: float) -> None:
    assert two_stage(min(fresh, less), search) <= two_stage(fresh, search) + 1e-12
    assert two_stage(fresh, min(search, less)) <= two_stage(fresh, search) + 1e-12


@given(PROBABILITY, PROBABILITY)
def test_a_hopeless_search_cannot_outvote_fresh_days(fresh: float, search: float) -> None:
    """The price of looking twice is bounded: never more than twice the fresh p-value."""
    assert two_stage(fresh, search) <= min(1.0, 2 * fresh) + 1e-9


def test_certainties_stay_finite() -> None:
    assert two_stage(0.0, 0.0) < 1e-15
    assert two_stage(0.0, 1.0) < 1e-14
    assert two_stage(1.0, 1.0) == pytest.approx(1.0)


def test_the_dropped_trials_are_paid_for() -> None:
    assert for_untold(0.01, 16, 16) == pytest.approx(0.01)
    assert for_untold(0.01, 32, 16) == pytest.approx(1 - 0.99**2)
    best = np.random.default_rng(2).random((20_000, 40)).min(axis=1)
    found = np.array([for_untold(1 - (1 - p) ** 10, 40, 10) for p in best])  # p over ten, forty were tried
    assert np.mean(found <= 0.05) == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize("wrong", [(-0.1, 0.5), (0.5, 1.1)])
def test_what_is_no_probability_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ContractError, match="one-sided p-values"):
        two_stage(*wrong)
    with pytest.raises(ContractError, match="between 0 and 1"):
        two_stage(0.5, 0.5, 1.0)
    with pytest.raises(ContractError, match="count them again"):
        for_untold(0.5, 3, 4)
