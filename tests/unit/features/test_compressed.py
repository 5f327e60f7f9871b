"""The lasso against scikit-learn, recovery as the theory says, K-SVD on planted dictionaries, anomalies at breaks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Lasso, orthogonal_mp

from pipelines.features.groups.compressed import (
    AGAIN,
    ATOMS,
    DAY,
    GROUP,
    HIDDEN,
    HOURS,
    LEARNED,
    PENALTY,
    SHOWN,
    SWEEPS,
    WEEK,
    cosines,
    showing,
)
from pipelines.features.sparse import lasso, learn, pursue
from tests.unit.features.spectra import MONDAY, bars, computed, walk

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
    assert (SWEEPS, AGAIN) == (4, 4)


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
    assert smooth["l1_error"][-1, 0] < 0.15 < 0.8 < rough["l1_error"][-1, 0]
    assert smooth["l1_atoms"][-1, 0] < 0.06 < rough["l1_atoms"][-1, 0]


def test_the_gap_is_high_at_a_jump() -> None:
    path = 0.02 * np.sin(np.arange(400) / 9) + 0.0005 * np.random.default_rng(5).standard_normal(400)
    path[350:] += 0.05
    gap = computed(GROUP, bars(path), "l1_gap")["l1_gap"][:, 0]
    assert gap[350] > 4
    assert np.nanquantile(np.abs(gap[:350]), 0.5) < 2.5


@pytest.mark.parametrize("nonzeros", [1, 2, 3, 5])
def test_pursuit_is_scikit_learns(nonzeros: int) -> None:
    rng = np.random.default_rng(nonzeros)
    dictionary = rng.standard_normal((30, 20))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    for signal in rng.standard_normal((20, 20)):
        code, rest = np.empty(30), np.empty(20)
        pursue(signal, dictionary, nonzeros, code, rest)
        peer = orthogonal_mp(dictionary.T, signal, n_nonzero_coefs=nonzeros)
        np.testing.assert_allclose(code, peer, atol=1e-10)
        np.testing.assert_allclose(rest, signal - dictionary.T @ peer, atol=1e-10)


def test_a_signal_of_one_atom_or_of_nothing() -> None:
    dictionary, code, rest = cosines(DAY, ATOMS), np.empty(ATOMS), np.empty(DAY)
    pursue(2 * dictionary[3], dictionary, 3, code, rest)
    assert code == pytest.approx(2 * np.eye(ATOMS)[3])
    pursue(np.zeros(DAY), dictionary, 3, code, rest)
    assert not code.any()


def test_learning_finds_a_planted_dictionary() -> None:
    """The synthetic experiment of Aharon et al. 2006, section V.A, in small."""
    rng = np.random.default_rng(2)
    planted = rng.standard_normal((12, 24))
    planted /= np.linalg.norm(planted, axis=1, keepdims=True)
    codes = np.zeros((400, 12))
    for code in codes:
        code[rng.choice(12, 2, replace=False)] = rng.choice([-1, 1], 2) * rng.uniform(0.5, 1.5, 2)
    signals = codes @ planted
    learned = signals[:12] / np.linalg.norm(signals[:12], axis=1, keepdims=True)
    learn(signals, learned, 2, 40)
    assert np.linalg.norm(learned, axis=1) == pytest.approx(np.ones(12))
    assert (np.abs(planted @ learned.T).max(axis=1) > 0.99).sum() >= 11


def daily(weeks: int, seed: int = 0) -> np.ndarray:
    """A price with the same shape every day, and some noise."""
    hours = np.arange(weeks * WEEK)
    shape = 0.02 * np.sin(2 * np.pi * hours / 24) + 0.01 * np.sign(np.sin(2 * np.pi * hours / 12 + 0.1))
    return shape + 0.001 * np.random.default_rng(seed).standard_normal(len(hours))


def test_a_day_like_none_before_is_an_anomaly() -> None:
    path = daily(7)
    broken = path.copy()
    begin = 6 * WEEK + 60
    broken[begin:begin + 24] += 0.03 * np.where(np.arange(24) % 5 < 2, 1, -1)
    usual, strange = (computed(GROUP, bars(values), "dictionary_anomaly", "dictionary_rest")
                      for values in (path, broken))
    after = slice(WEEK + LEARNED, None)
    assert np.abs(np.median(usual["dictionary_anomaly"][after])) < 0.5
    assert strange["dictionary_anomaly"][begin:begin + 24].max() > 4 > 2 * usual["dictionary_anomaly"][after].max()
    assert strange["dictionary_rest"][begin:begin + 24].max() > 2 * usual["dictionary_rest"][after].max()
    assert strange["dictionary_rest"][begin:begin + 24].max() > 5 * np.median(usual["dictionary_rest"][after])


def test_the_dictionary_changes_on_mondays_only() -> None:
    """What happens within a week does not change what its rows are compared with."""
    path = daily(8)
    other = path.copy()
    other[6 * WEEK:6 * WEEK + 48] += 0.05 * np.random.default_rng(1).standard_normal(48)
    one, two = (computed(GROUP, bars(values, MONDAY), "dictionary_rest")["dictionary_rest"][:, 0]
                for values in (path, other))
    same = one == two
    assert same[WEEK + LEARNED:6 * WEEK].all()
    assert not same[6 * WEEK:6 * WEEK + 48 + DAY - 1].any()
    # Until Monday; the last rows' 24 hours are the same, and so is their dictionary. Returns of the step's edge count.
    assert same[6 * WEEK + 48 + DAY:7 * WEEK].all()
    assert not same[7 * WEEK:].any()
