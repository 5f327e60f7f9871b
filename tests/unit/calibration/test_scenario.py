"""Intervals against published tables, and the choice of scenarios."""

from __future__ import annotations

import pytest

from pipelines.calibration.scenario import Scenario, per_exposure, repeated, select
from pipelines.errors import ConfigError, ContractError

#: Garwood, *Biometrika* 28, 1936, table 1: events; 95 % interval of the mean.
GARWOOD = [(0, 0.0, 3.69), (1, 0.03, 5.57), (5, 1.62, 11.67), (10, 4.80, 18.39), (20, 12.22, 30.89)]


@pytest.mark.parametrize(("events", "lower", "upper"), GARWOOD)
def test_poisson_means_have_garwoods_intervals(events: int, lower: float, upper: float) -> None:
    found = per_exposure([events], 1.0)
    assert (found.rate, round(found.lower, 2), round(found.upper, 2)) == (events, lower, upper)


def test_counts_of_several_lines_are_per_unit_of_all_of_them() -> None:
    found = per_exposure([2, 1, 0, 2], 0.5)  # 5 events in 2 years, less spread than Poisson's
    assert found.rate == 2.5
    assert (found.lower, found.upper) == pytest.approx((1.6235 / 2, 11.6683 / 2), abs=1e-3)


def test_one_unlucky_line_widens_the_interval() -> None:
    """Ten events in one of five lines: their variance is 20, ten times the mean of 2."""
    even, uneven = per_exposure([2] * 5, 1.0), per_exposure([10, 0, 0, 0, 0], 1.0)
    assert even.rate == uneven.rate == 2.0
    assert (even.lower, even.upper) == pytest.approx((4.795 / 5, 18.390 / 5), abs=1e-3)
    assert (uneven.lower, uneven.upper) == pytest.approx((10 * 0.02532 / 5, 10 * 5.5716 / 5), abs=1e-3)


@pytest.mark.parametrize(("counts", "exposure"), [([], 1.0), ([-1], 1.0), ([1], 0.0)])
def test_impossible_exposures_are_refused(counts: list[int], exposure: float) -> None:
    with pytest.raises(ContractError, match="positive exposure"):
        per_exposure(counts, exposure)


def _known() -> dict[str, Scenario[float, str]]:
    return {name: Scenario(name, "null", "", "", repeated(name, lambda rng: rng.random()), needs_data=name == "coins")
            for name in ("null_a", "null_b", "coins")}


@pytest.mark.parametrize(("patterns", "names"), [
    ((), ["null_a", "null_b"]), (("*",), ["null_a", "null_b", "coins"]), (("c*", "null_b"), ["null_b", "coins"])])
def test_what_needs_data_is_chosen_by_name_only(patterns: tuple[str, ...], names: list[str]) -> None:
    assert [item.name for item in select(_known(), patterns)] == names


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no scenario fits 'x'; there are: null_a, null_b, coins"):
        select(_known(), ["x"])
