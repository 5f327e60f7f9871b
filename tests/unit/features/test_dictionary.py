"""Pursuit against scikit-learn, K-SVD on a planted dictionary, anomalies at breaks, and the calendar."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp

from pipelines.features.groups.dictionary import ATOMS, DAY, GROUP, LEARNED, WEEK
from pipelines.features.numerics.sparse import cosines, learn, pursue
from tests.unit.features.spectra import MONDAY, bars, computed


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
