"""Distances counted in bins, against SciPy on the raw values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from pipelines.monitoring.distances import DISTANCES, EMPTY_SHARE, Bins, Method

METHODS: list[Method] = list(DISTANCES)


def score(method: Method, reference: np.ndarray, current: np.ndarray) -> float:
    bins = Bins.of(reference, method)
    assert bins is not None
    return float(bins.distance(bins.counts(current), bins.counts(reference))) + bins.beyond(current)


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e6])
@pytest.mark.parametrize("move", [0.0, 0.3, 5.0])
def test_wasserstein_is_in_standard_deviations(unit: float, move: float) -> None:
    rng = np.random.default_rng(1)
    reference, current = unit * rng.standard_t(4, 8000), unit * (rng.standard_t(4, 600) + move)
    expected = stats.wasserstein_distance(reference, current) / reference.std()
    assert score("wasserstein", reference, current) == pytest.approx(expected, abs=0.01, rel=0.02)


def test_ks_is_the_largest_gap() -> None:
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=8000), rng.normal(0.4, 1.2, 600)
    assert score("ks", reference, current) == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=0.005)


def test_few_values_are_counted_exactly() -> None:
    reference = np.repeat([0.0, 1.0, 4.0], [50, 30, 20])
    current = np.repeat([0.0, 1.0, 4.0], [10, 10, 80])
    exact = stats.wasserstein_distance(reference, current) / reference.std()
    assert score("wasserstein", reference, current) == pytest.approx(exact, rel=1e-12)
    assert score("ks", reference, current) == pytest.approx(0.6)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    assert score("psi", reference, current) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert score("jensenshannon", reference, current) == pytest.approx(float(jensenshannon(p, q)))


def test_chi_square_of_few_values_is_scipys() -> None:
    reference = np.repeat([0.0, 1.0, 4.0], [50, 30, 20])
    current = np.repeat([0.0, 1.0, 4.0], [10, 10, 80])
    expected = stats.chisquare([10, 10, 80], [50, 30, 20]).statistic
    assert 100 * score("chi2", reference, current) == pytest.approx(expected)
    # Against an equally large reference the contingency table's statistic is that of the same gaps, symmetrised.
    table = stats.chi2_contingency([[10, 10, 80], [50, 30, 20]], correction=False).statistic
    p, q = np.array([0.1, 0.1, 0.8]), np.array([0.5, 0.3, 0.2])
    assert table == pytest.approx(100 * float(((p - q) ** 2 / (p + q)).sum()))


@pytest.mark.parametrize("method", METHODS)
def test_neither_unit_nor_origin_matters(method: Method) -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.gamma(2.0, size=3000), rng.gamma(2.5, size=400)
    assert score(method, 1e-4 * reference - 7, 1e-4 * current - 7) == pytest.approx(
        score(method, reference, current), rel=0.02, abs=1e-3)


def test_values_beyond_the_reference_count_with_their_distance() -> None:
    reference = np.array([0.0, 1.0] * 50)
    bins = Bins.of(reference, "wasserstein")
    assert bins is not None
    assert bins.beyond(np.array([11.0, 0.5])) == pytest.approx(10.0)  # 10 units of std 0.5, half of the values
    assert bins.beyond(np.array([-1.0])) == pytest.approx(2.0)


def test_psi_has_ten_bins_and_survives_an_empty_one() -> None:
    reference = np.arange(1000.0)
    bins = Bins.of(reference, "psi")
    assert bins is not None
    assert bins.upper.size == DISTANCES["psi"].bins == 10
    p, q = np.full(10, 0.1), np.array([1.0] + [EMPTY_SHARE] * 9)
    assert score("psi", reference, np.zeros(100)) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(5), np.full(1000, 0.1 + 0.2)])
@pytest.mark.parametrize("method", METHODS)
def test_constants_have_no_bins(values: np.ndarray, method: Method) -> None:
    assert Bins.of(values, method) is None


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1),
       st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_a_sample_is_nearest_to_itself(method: Method, reference: list[int], current: list[int]) -> None:
    then, now = np.array(reference, dtype=float), np.array(current, dtype=float)
    assert score(method, then, then) == pytest.approx(0.0, abs=1e-12)
    assert score(method, then, now) >= 0.0
