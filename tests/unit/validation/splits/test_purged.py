"""Purged K-fold and combinatorial purged splits."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation import CombinatorialPurged, PurgedKFold
from pipelines.validation.splits import PurgedFold
from tests.unit.validation.splits.frames import HOUR, START, panel, ragged


def hours(frame: pd.DataFrame, rows: np.ndarray) -> list[int]:
    return sorted(set(((frame["event_time"].iloc[rows] - START) // HOUR).tolist()))


@pytest.mark.parametrize(("embargo", "trains"), [
    # labels of one hour; a bar whose label touches the test interval, or that begins where it ends, is purged
    (0, [[5, 6, 7, 8, 9, 10], [0, 1, 2, 9, 10], [0, 1, 2, 3, 4, 5, 6]]),
    (1, [[6, 7, 8, 9, 10], [0, 1, 10], [0, 1, 2, 3, 4, 5]]),
])
def test_k_fold_by_hand(embargo: int, trains: list[list[int]]) -> None:
    """Eleven hours in three groups of 4, 4 and 3."""
    frame = panel(11, symbols=2)
    found = list(PurgedKFold(3, embargo * HOUR).split(frame["event_time"], frame["label_end"]))
    assert [hours(frame, fold.test) for fold in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [hours(frame, fold.train) for fold in found] == trains
    assert found[1].spans == ((START + 4 * HOUR, START + 8 * HOUR),)


def test_combinations_and_paths_by_hand() -> None:
    splitter = CombinatorialPurged(groups=4, test_groups=2)
    frame = panel(8, symbols=2, horizon=0)
    found = list(splitter.split(frame["event_time"], frame["label_end"]))
    assert [fold.groups for fold in found] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert [hours(frame, fold.test) for fold in found][1] == [0, 1, 4, 5]
    assert [hours(frame, fold.train) for fold in found][1] == [2, 3, 6, 7]
    # López de Prado 2018, figure 12.1, in our order: group 0 is tested by folds 0, 1, 2; group 1 by 0, 3, 4; ...
    assert splitter.paths.tolist() == [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]
    assembled = splitter.assemble(frame["event_time"], frame["label_end"],
                                  [np.full(len(fold.test), fold.number) for fold in found])
    assert assembled[:, ::4].tolist() == splitter.paths.tolist()


def check(frame: pd.DataFrame, fold: PurgedFold, embargo: int) -> None:
    train, test = frame.iloc[fold.train], frame.iloc[fold.test]
    assert set(train["event_time"]).isdisjoint(test["event_time"])
    # a timestamp is never cut
    assert np.array_equal(np.flatnonzero(frame["event_time"].isin(test["event_time"])), fold.test)
    meets = np.zeros(len(frame), dtype=bool)
    for first, last in fold.spans:
        meets |= ((frame["event_time"] <= last + embargo * HOUR)
                  & (frame["label_end"] >= first - embargo * HOUR)).to_numpy()
    assert np.array_equal(np.flatnonzero(~meets), fold.train)  # nothing that meets, and nothing too many thrown away
    assert all(any(first <= at and end <= last for first, last in fold.spans)
               for at, end in zip(test["event_time"], test["label_end"], strict=True))


@given(ragged(), st.integers(2, 8), st.integers(0, 20))
@settings(max_examples=150, deadline=None)
def test_k_fold_no_training_label_meets_a_test_interval(frame: pd.DataFrame, folds: int, embargo: int) -> None:
    assume(frame["event_time"].nunique() >= folds)
    found = list(PurgedKFold(folds, embargo * HOUR).split(frame["event_time"], frame["label_end"]))
    for fold in found:
        check(frame, fold, embargo)
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == list(range(len(frame)))


@given(ragged(), st.integers(3, 6), st.integers(1, 3), st.integers(0, 20))
@settings(max_examples=80, deadline=None)
def test_combinatorial_no_training_label_meets_a_test_interval(
        frame: pd.DataFrame, groups: int, tests: int, embargo: int) -> None:
    assume(frame["event_time"].nunique() >= groups > tests)
    splitter = CombinatorialPurged(groups, tests, embargo * HOUR)
    found = list(splitter.split(frame["event_time"], frame["label_end"]))
    assert len(found) == comb(groups, tests) == splitter.folds
    for fold in found:
        check(frame, fold, embargo)
    paths = splitter.paths
    assert paths.shape == (comb(groups - 1, tests - 1), groups)
    used = {(int(number), group) for path in paths for group, number in enumerate(path)}
    assert used == {(fold.number, group) for fold in found for group in fold.groups}
    # on every path every row is predicted once, by a fold that tested it
    made = [fold.test + 1000.0 * fold.number for fold in found]
    history = splitter.assemble(frame["event_time"], frame["label_end"], made)
    assert (history % 1000 == np.arange(len(frame))).all()


@pytest.mark.parametrize(("make", "reason"), [
    (lambda: PurgedKFold(1), "at least 2"), (lambda: PurgedKFold(2, -HOUR), "negative"),
    (lambda: CombinatorialPurged(4, 4), "at least one to train"),
    (lambda: CombinatorialPurged(4, 0), "at least one to train"), (lambda: CombinatorialPurged(30, 15), "155,117,520")])
def test_nonsense_is_refused(make: object, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        make()  # type: ignore[operator]


def test_too_few_times_and_wrong_predictions_are_refused() -> None:
    frame = panel(3, symbols=10)
    with pytest.raises(InsufficientData, match="3 distinct times do not fill 4 groups"):
        next(PurgedKFold(4).split(frame["event_time"], frame["label_end"]))
    splitter = CombinatorialPurged(3, 2)
    with pytest.raises(ContractError, match="predictions of 1 folds"):
        splitter.assemble(frame["event_time"], frame["label_end"], [np.zeros(20)])
    with pytest.raises(ContractError, match="fold 0 tests 20 rows"):
        splitter.assemble(frame["event_time"], frame["label_end"], [np.zeros(19)] * 3)
