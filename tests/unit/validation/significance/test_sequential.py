"""Boundaries against published tables, and against plain simulation of the same Brownian motion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.errors import ContractError
from pipelines.validation.significance import (
    Boundary,
    constant_boundary,
    crossing_probabilities,
    spending_boundary,
    with_futility,
)
from pipelines.validation.significance.sequential import hwang_shih_decani

#: Jennison and Turnbull 2000, tables 2.1 (Pocock) and 2.3 (O'Brien-Fleming), two-sided alpha .05
POCOCK = {1: 1.960, 2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 8: 2.512, 10: 2.555, 20: 2.672}
OBRIEN_FLEMING = {1: 1.960, 2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 8: 2.072, 10: 2.087, 12: 2.098, 20: 2.126}


@pytest.mark.parametrize(("looks", "constant"), POCOCK.items())
def test_pocock_table(looks: int, constant: float) -> None:
    found = constant_boundary("pocock", looks, 0.05, two_sided=True)
    assert found.efficacy == pytest.approx([constant] * looks, abs=5.01e-4)
    assert found.spent[-1] == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(("looks", "constant"), OBRIEN_FLEMING.items())
def test_obrien_fleming_table(looks: int, constant: float) -> None:
    found = constant_boundary("obrien_fleming", looks, 0.05, two_sided=True)
    expected = constant * np.sqrt(looks / np.arange(1, looks + 1))
    assert found.efficacy == pytest.approx(expected.tolist(), abs=5.01e-4 * np.sqrt(looks))


def test_lan_demets_tables() -> None:
    """Five equal looks, two-sided .05: as published, three decimals."""
    found = spending_boundary(5, 0.05, "obrien_fleming", two_sided=True)
    assert found.efficacy == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=5.01e-4)
    found = spending_boundary(5, 0.05, "pocock", two_sided=True)
    assert found.efficacy == pytest.approx((2.438, 2.427, 2.410, 2.397, 2.386), abs=5.01e-4)


def test_the_default_design_of_gsdesign() -> None:
    """R's gsDesign(): three looks, one-sided .025, power .9, Hwang-Shih-DeCani -4 above, -2 below, not binding."""
    upper = spending_boundary(3, 0.025, hwang_shih_decani(-4))
    found = with_futility(upper, 0.9, hwang_shih_decani(-2))
    assert found.efficacy == pytest.approx((3.010739, 2.546531, 1.999226), abs=1e-6)
    assert found.futility == pytest.approx((-0.238724, 0.941067, 1.999226), abs=1e-5)
    inflation = (found.drift / (stats.norm.isf(0.025) + stats.norm.isf(0.1))) ** 2
    assert inflation == pytest.approx(1.0699, abs=1e-4)


@pytest.mark.parametrize("shares", [(0.1, 0.15, 0.6, 1.0), (0.02, 0.5, 0.51, 1.0), tuple(np.arange(1, 53) / 52)])
@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("two_sided", [True, False])
def test_what_is_spent_is_what_was_asked(shares: tuple[float, ...], spending: str, two_sided: bool) -> None:
    found = spending_boundary(shares, 0.05, spending, two_sided)  # type: ignore[arg-type]
    up, down = crossing_probabilities(found, 0.0)
    side = 0.025 if two_sided else 0.05
    t = np.array(shares)
    expected = (2 * stats.norm.sf(stats.norm.isf(side / 2) / np.sqrt(t)) if spending == "obrien_fleming"
                else side * np.log(1 + (np.e - 1) * t))
    assert np.cumsum(up) == pytest.approx(expected, abs=1e-9)
    assert found.spent[-1] == pytest.approx(0.05, abs=1e-9)
    assert down == pytest.approx(up if two_sided else [0.0] * len(up), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(gaps=st.lists(st.floats(0.003, 1.0), min_size=1, max_size=6), two_sided=st.booleans())
def test_looks_at_any_times_spend_the_level(gaps: list[float], two_sided: bool) -> None:
    shares = np.cumsum(gaps) / np.sum(gaps)
    shares[-1] = 1.0
    found = spending_boundary(tuple(shares), 0.05, "pocock", two_sided)
    up, down = crossing_probabilities(found, 0.0)
    assert sum(up) + sum(down) == pytest.approx(0.05, abs=1e-7)
    assert all(value >= 0 for value in up)


def brownian(drift: float, shares: tuple[float, ...], runs: int) -> np.ndarray:
    steps = np.diff(np.array(shares), prepend=0.0)
    moves = np.random.default_rng(1).normal(drift * steps, np.sqrt(steps), (runs, len(steps)))
    return moves.cumsum(axis=1) / np.sqrt(shares)


@pytest.mark.parametrize("drift", [0.0, 1.5, 3.0])
def test_crossing_probabilities_equal_simulation(drift: float) -> None:
    shares, runs = (0.15, 0.3, 0.35, 0.8, 1.0), 400_000
    found = with_futility(spending_boundary(shares, 0.05), 0.8)
    z = brownian(drift, shares, runs)
    above, below = z >= np.array(found.efficacy), z < np.array(found.futility)
    first = np.argmax(above | below, axis=1)  # at the last look one of the two always holds
    assert (above | below).any(axis=1).all()
    won = above[np.arange(runs), first]
    up, down = crossing_probabilities(found, drift)
    assert np.bincount(first[won], minlength=5) / runs == pytest.approx(up, abs=4e-3)
    assert np.bincount(first[~won], minlength=5) / runs == pytest.approx(down, abs=4e-3)
    assert sum(up) + sum(down) == pytest.approx(1, abs=1e-9)


def test_futility_does_not_bind_and_keeps_the_power() -> None:
    found = with_futility(spending_boundary(12, 0.05), 0.8)
    assert sum(crossing_probabilities(found, 0.0, heed_futility=False)[0]) == pytest.approx(0.05, abs=1e-9)
    assert sum(crossing_probabilities(found, 0.0)[0]) < 0.05
    assert sum(crossing_probabilities(found, found.drift)[0]) == pytest.approx(0.8, abs=1e-8)
    assert np.cumsum(crossing_probabilities(found, found.drift)[1])[-1] == pytest.approx(0.2, abs=1e-8)
    assert all(low <= high for low, high in zip(found.futility or (), found.efficacy, strict=True))
    assert (found.futility or (0,))[-1] == found.efficacy[-1]


def test_weekly_peeking_without_a_boundary_is_the_trap() -> None:
    naive = Boundary(tuple(np.arange(1, 53) / 52), (1.645,) * 52, (0.05,) * 52, False)
    assert sum(crossing_probabilities(naive, 0.0)[0]) > 0.25
    single = Boundary((1.0,), (1.6448536269514722,), (0.05,), False)
    assert sum(crossing_probabilities(single, 0.0)[0]) == pytest.approx(0.05, abs=1e-12)


def test_looks_so_far_need_no_future() -> None:
    """What the first looks ask for does not depend on how many follow; that is why they may be chosen on the way."""
    whole = spending_boundary((0.2, 0.5, 0.7, 1.0), 0.05)
    assert spending_boundary((0.2, 0.5), 0.05).efficacy == whole.efficacy[:2]
    assert spending_boundary((0.2, 0.5), 0.05).spent[-1] < 0.05


def test_one_sided_looks_are_lower_than_two_sided_at_the_same_level() -> None:
    assert constant_boundary("pocock", 4, 0.05).efficacy[0] < constant_boundary("pocock", 4, 0.05, True).efficacy[0]
    late = constant_boundary("pocock", (0.8, 0.9, 1.0), 0.05)  # looks at nearly the same data cost less
    assert late.efficacy[0] < constant_boundary("pocock", 3, 0.05).efficacy[0]


@pytest.mark.parametrize(("information", "alpha"), [
    (0, 0.05), ([], 0.05), ([0.5, 0.5, 1.0], 0.05), ([0.0, 1.0], 0.05), ([0.5, 1.1], 0.05), ([0.6, 0.3], 0.05),
    (3, 0.0), (3, 0.5), ([float("nan"), 1.0], 0.05)])
def test_nonsense_looks_are_refused(information: object, alpha: float) -> None:
    for plan in (spending_boundary, lambda *rest: constant_boundary("pocock", *rest)):
        with pytest.raises(ContractError):
            plan(information, alpha)  # type: ignore[operator]


def test_other_refusals() -> None:
    with pytest.raises(ContractError, match="all to 1"):
        constant_boundary("pocock", (0.5, 0.8), 0.05)
    with pytest.raises(ContractError, match="no shape"):
        constant_boundary("haybittle", 3, 0.05)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="no spending"):
        spending_boundary(3, 0.05, "haybittle")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="ascend"):
        spending_boundary(3, 0.05, lambda share, alpha: alpha * (1 - share))
    with pytest.raises(ContractError, match="one-sided"):
        with_futility(spending_boundary(3, 0.05, two_sided=True), 0.8)
    with pytest.raises(ContractError, match="power"):
        with_futility(spending_boundary(3, 0.05), 0.3)
