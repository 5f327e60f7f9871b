"""Lengths in bars, and the holdout."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError
from pipelines.validation.splits import AnchoredHoldout, WalkForward
from tests.unit.validation.splits.frames import DAY, HOUR, START, panel, ragged


def hours(frame: pd.DataFrame, rows: np.ndarray) -> list[int]:
    return sorted(set(((frame["event_time"].iloc[rows] - START) // HOUR).tolist()))


@pytest.mark.parametrize(("scheme", "train", "expected"), [
    ("rolling", 3, [([1], [4, 5]), ([3], [6, 7]), ([5], [8, 9])]),
    ("rolling", 99, [([0, 1], [4, 5]), ([0, 1, 2, 3], [6, 7]), ([0, 1, 2, 3, 4, 5], [8, 9])]),
    ("expanding", 3, [([0, 1], [4, 5]), ([0, 1, 2, 3], [6, 7]), ([0, 1, 2, 3, 4, 5], [8, 9])]),
])
def test_bars_by_hand(scheme: str, train: int, expected: list[tuple[list[int], list[int]]]) -> None:
    """Ten hours, labels of two hours: closed, so the last two training bars before a test are purged."""
    frame = panel(10, symbols=3, horizon=2)
    splitter = WalkForward(train=train, test=2, folds=3, scheme=scheme)  # type: ignore[arg-type]
    found = list(splitter.split(frame["event_time"], frame["label_end"]))
    assert [(hours(frame, fold.train), hours(frame, fold.test)) for fold in found] == expected
    assert all(len(fold.test) == 2 * 3 for fold in found)


def test_bars_count_timestamps_over_a_gap_and_days_do_not() -> None:
    frame = panel(100)
    frame = frame[(frame["event_time"] < START + 40 * HOUR) | (frame["event_time"] >= START + 90 * HOUR)]
    by_bars, = WalkForward(train=20, test=10, folds=1).split(frame["event_time"], frame["label_end"])
    by_time, = WalkForward(train=20 * HOUR, test=10 * HOUR, folds=1).split(frame["event_time"], frame["label_end"])
    assert (len(by_bars.train), len(by_time.train)) == (20, 0)
    mixed, = WalkForward(train=60 * HOUR, test=10, folds=1).split(frame["event_time"], frame["label_end"])
    assert hours(frame, mixed.train) == list(range(30, 40))


def test_more_bars_asked_than_there_are_leave_windows_out() -> None:
    frame = panel(5)
    found = list(WalkForward(train=1, test=2, folds=4).split(frame["event_time"], frame["label_end"]))
    assert [hours(frame, fold.test) for fold in found] == [[0], [1, 2], [3, 4]]
    assert [fold.number for fold in found] == [0, 1, 2]


@given(ragged(), st.integers(1, 30), st.integers(1, 10), st.integers(1, 5), st.integers(0, 20),
       st.sampled_from(["rolling", "expanding"]))
@settings(max_examples=150, deadline=None)
def test_with_bars_no_training_label_meets_a_test_interval(
        frame: pd.DataFrame, train: int, test: int, folds: int, embargo: int, scheme: str) -> None:
    splitter = WalkForward(train, test, folds, scheme, embargo * HOUR)  # type: ignore[arg-type]
    times = np.unique(frame["event_time"])
    found = list(splitter.split(frame["event_time"], frame["label_end"]))
    assert len(found) == min(folds, -(-len(times) // test))
    for fold in found:
        inside, learned = frame.iloc[fold.test], frame.iloc[fold.train]
        assert len(np.unique(inside["event_time"])) <= test
        assert np.array_equal(np.flatnonzero(frame["event_time"].isin(inside["event_time"])), fold.test)
        if len(learned):
            assert learned["label_end"].max() + embargo * HOUR < inside["event_time"].min()
            if scheme == "rolling":
                assert len(np.unique(learned["event_time"])) <= train


def test_a_holdout_cut_at_an_instant_stays_when_rows_are_added() -> None:
    for length in (48, 60):
        frame = panel(length, symbols=2, horizon=3)
        fold, = AnchoredHoldout(start=START + 40 * HOUR, embargo=2 * HOUR).split(frame["event_time"],
                                                                                 frame["label_end"])
        assert hours(frame, fold.train) == list(range(35))  # 34 is known at 37, before 40 - 2; 35 at 38 is not
        assert hours(frame, fold.test) == list(range(40, length))


@pytest.mark.parametrize("test", [8, 8 * HOUR - timedelta(microseconds=1)])
def test_a_holdout_of_a_length(test: int | timedelta) -> None:
    frame = panel(48)
    fold, = AnchoredHoldout(test=test).split(frame["event_time"], frame["label_end"])
    assert hours(frame, fold.test) == list(range(40, 48))
    assert list(AnchoredHoldout(start=START + 3 * DAY).split(frame["event_time"], frame["label_end"])) == []
    assert list(AnchoredHoldout(test=test).split(frame["event_time"].iloc[:0], frame["label_end"].iloc[:0])) == []


@given(ragged(), st.integers(0, 310), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_no_training_label_meets_the_holdout(frame: pd.DataFrame, cut: int, embargo: int) -> None:
    for fold in AnchoredHoldout(start=START + cut * HOUR, embargo=embargo * HOUR).split(frame["event_time"],
                                                                                        frame["label_end"]):
        assert (frame["event_time"].iloc[fold.test] >= START + cut * HOUR).all()
        assert (frame["label_end"].iloc[fold.train] + embargo * HOUR < START + cut * HOUR).all()
        assert np.array_equal(np.flatnonzero(frame["label_end"] + embargo * HOUR < START + cut * HOUR), fold.train)


@pytest.mark.parametrize(("make", "reason"), [
    (lambda: WalkForward(train=0, test=1, folds=1), "longer than zero"),
    (lambda: WalkForward(train=1.5, test=1, folds=1), "timedelta, or a whole number"),
    (lambda: WalkForward(train=1, test=True, folds=1), "timedelta, or a whole number"),
    (lambda: AnchoredHoldout(), "either start or test"),
    (lambda: AnchoredHoldout(start=START, test=1), "either start or test"),
    (lambda: AnchoredHoldout(test=3, embargo=-HOUR), "negative")])
def test_nonsense_is_refused(make: object, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        make()  # type: ignore[operator]


def test_an_instant_needs_its_zone() -> None:
    frame = panel(5)
    with pytest.raises(ContractError, match="no zone"):
        next(AnchoredHoldout(start=pd.Timestamp("2024-01-01")).split(frame["event_time"], frame["label_end"]))
