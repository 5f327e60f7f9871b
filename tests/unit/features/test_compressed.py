"""The lasso against scikit-learn, recovery as the theory says, and the gap at a jump."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from pipelines.features.groups.compressed import AGAIN, GROUP, HIDDEN, HOURS, PENALTY, SHOWN, SWEEPS, showing
from pipelines.features.numerics.sparse import cosines, lasso
from tests.unit.features.spectra import bars, computed, walk

PLACES = showing(HOURS, SHOWN, HIDDEN)
BASIS = cosines(HOURS, HOURS - 1)
GIVEN = bars(walk(600, seed=4))
FOUND = computed(GROUP, GIVEN, "l1_error", "l1_atoms", "l1_gap")


def solved(matrix: np.ndarray, y: np.ndarray, penalty: float, rounds: int = 400, again: int = 10) -> np.ndarray:
    found = np.empty(matrix.shape[1])
    lasso(matrix.T @ y, np.ascontiguousarray(matrix.T @ matrix), penalty, rounds, again, found)
    return found


def test_the_shown_hours_have_no_pattern_and_no_end() -> None:
    assert len(set(PLACES.tolist())) == SHOWN
    assert PLACES.max() < HOURS - HIDDEN
    assert PLACES.tolist() == showing(HOURS, SHOWN, HIDDEN).tolist()
    assert len(set(np.diff(PLACES).tolist())) > 3
    assert np.allclose(BASIS @ BASIS.T, np.eye(HOURS - 1))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_lasso_is_scikit_learns(share: float) -> None:
    rng = np.random.default_rng(1)
    matrix, y = rng.standard_normal((60, 40)), rng.standard_normal(60)
    penalty = share * np.abs(matrix.T @ y).max()
    peer = Lasso(alpha=penalty / len(y), fit_intercept=False, tol=1e-14, max_iter=100_000).fit(matrix, y)
    np.testing.assert_allclose(solved(matrix, y, penalty), peer.coef_, atol=1e-8)


def test_each_row_is_a_lasso_of_its_window() -> None:
    """Within what a few rounds leave; with many rounds to the digit."""
    design = BASIS[:, PLACES].T
    errors = []
    for row in range(HOURS - 1, 600, 29):
        path = np.log(GIVEN.close[row - HOURS + 1:row + 1, 0])
        path = path - path[-1]
        seen = design - design.mean(axis=0)
        penalty = PENALTY * np.abs(seen.T @ (path[PLACES] - path[PLACES].mean())).max()
        peer = Lasso(alpha=penalty / SHOWN, tol=1e-13, max_iter=200_000).fit(design, path[PLACES])
        rest = path - BASIS.T @ peer.coef_ - peer.intercept_
        hidden = np.setdiff1d(np.arange(HOURS), PLACES)
        error = np.sqrt((rest[hidden] ** 2).mean())
        assert solved(seen, path[PLACES] - path[PLACES].mean(), penalty) == pytest.approx(peer.coef_, abs=1e-7)
        errors.append([FOUND["l1_error"][row, 0] - error / path.std(), FOUND["l1_gap"][row, 0] - rest[-1] / error,
                       FOUND["l1_atoms"][row, 0] - (peer.coef_ != 0).mean()])
    assert np.abs(errors).max(axis=0) == pytest.approx([0, 0, 0], abs=0.03)
    assert np.abs(errors).mean() < 0.002
    assert (SWEEPS, AGAIN) == (3, 4)


def recovery(nonzeros: int, seed: int, shown: int = SHOWN) -> float:
    """Share of a path that is lost when it is made of so many cosines and so many of its hours are shown."""
    rng = np.random.default_rng(seed)
    code = np.zeros(HOURS - 1)
    code[rng.choice(HOURS - 1, nonzeros, replace=False)] = rng.choice([-1, 1], nonzeros) * rng.uniform(1, 2, nonzeros)
    seen = BASIS[:, showing(HOURS, shown, HIDDEN)].T
    y = seen @ code
    found = solved(seen, y, 1e-4 * np.abs(seen.T @ y).max(), 600)
    return float(((found - code) ** 2).sum() / (code ** 2).sum())


def test_few_cosines_are_recovered_from_half_of_the_hours_and_many_are_not() -> None:
    """Candès, Romberg & Tao 2006: with k non-zeros, of the order of k ln(n / k) samples are enough; Donoho & Tanner's
    transition for half of the samples lies at k / m = 0.39, so between 4 and 36 of 48."""
    assert max(recovery(4, seed) for seed in range(12)) < 1e-4
    assert min(recovery(36, seed) for seed in range(12)) > 0.02
    assert max(recovery(4, seed, shown=6) for seed in range(12)) > 0.1  # too few hours, for as few cosines


def test_a_path_of_few_cosines_has_a_small_error_and_noise_a_large_one() -> None:
    wave = 0.05 * (BASIS[2] + 0.5 * BASIS[6])
    smooth = computed(GROUP, bars(wave))
    rough = computed(GROUP, bars(0.01 * np.random.default_rng(3).standard_normal(HOURS)))
    assert smooth["l1_error"][-1, 0] < 0.25 < 0.8 < rough["l1_error"][-1, 0]
    assert smooth["l1_atoms"][-1, 0] < 0.06 < rough["l1_atoms"][-1, 0]


def test_the_gap_is_high_at_a_jump() -> None:
    path = 0.02 * np.sin(np.arange(400) / 9) + 0.0005 * np.random.default_rng(5).standard_normal(400)
    path[350:] += 0.05
    gap = computed(GROUP, bars(path), "l1_gap")["l1_gap"][:, 0]
    assert gap[350] > 4
    assert np.nanquantile(np.abs(gap[:350]), 0.5) < 2.5
