"""Intervals against statsmodels, and repetitions that can be looked at alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from pipelines.calibration.gate import Outcome, Scenario, measure
from pipelines.calibration.scenario import generator, repeated, wilson
from pipelines.errors import ContractError


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_is_that_of_statsmodels(reps: int, share: float) -> None:
    hits = round(share * reps)
    found = wilson(hits, reps)
    lower, upper = proportion_confint(hits, reps, method="wilson")
    assert (found.rate, found.lower, found.upper) == pytest.approx((hits / reps, lower, upper), abs=1e-12)


def test_wilson_of_newcombe() -> None:
    """Newcombe, *Statistics in Medicine* 17, 1998, table I: 81 of 263 has 0.2553 to 0.3662."""
    found = wilson(81, 263)
    assert (round(found.lower, 4), round(found.upper, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("hits", "reps"), [(1, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(hits: int, reps: int) -> None:
    with pytest.raises(ContractError, match="count them again"):
        wilson(hits, reps)


def _scenario(name: str) -> Scenario:
    def draw(rng):  # type: ignore[no-untyped-def]
        value = rng.random()
        return Outcome(value < 0.5, True, {"other": value < 0.25}, delay=value)
    return Scenario(name, "null", "coins", "heads", repeated(name, draw))


def test_rates_counts_and_delays() -> None:
    values = [generator("coins", 3, number).random() for number in range(40)]
    found = measure(_scenario("coins"), 40, 3)
    heads = sorted(value for value in values if value < 0.5)
    assert (found.rate, found.promoted, found.reps) == (len(heads) / 40, 1.0, 40)
    assert found.rules["other"].rate == sum(value < 0.25 for value in values) / 40
    assert heads[0] <= found.delay_days <= heads[-1]
    assert math.isclose(found.lower, wilson(len(heads), 40).lower)


def test_a_repetition_depends_on_seed_name_and_number_only() -> None:
    first = [item.delay for item in _scenario("coins").outcomes(5, 3, None)]
    assert [item.delay for item in _scenario("coins").outcomes(9, 3, None)][:5] == first
    assert [item.delay for item in _scenario("others").outcomes(5, 3, None)] != first
    assert [item.delay for item in _scenario("coins").outcomes(5, 4, None)] != first


def test_no_repetitions_measure_nothing() -> None:
    with pytest.raises(ContractError, match="at least 1"):
        measure(_scenario("coins"), 0, 1)
