"""The same folds as skfolio and purgedcv where the questions are the same, and where they are not.

Conventions that make the questions the same, on one series of hourly rows with labels of equal length:

=============  ==========================================  =====================================================
subject        here                                        there
=============  ==========================================  =====================================================
label          closed, ``[event_time, label_end]``         purgedcv: half-open; give it ``label_end`` + 1 us
                                                           skfolio: none; ``purged_size`` = the label's bars
training       counted back from the test, purge inside    skfolio: counted back from the purge
embargo        on both sides of the test                   purgedcv ``purge_horizon``: the same; its ``embargo`` and
                                                           skfolio's ``embargo_size``: after the test only
boundaries     between timestamps                          both: between rows, a panel straddles
=============  ==========================================  =====================================================
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import purgedcv
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from purgedcv._paths import reconstruct_paths
from skfolio import model_selection as skfolio

from pipelines.validation import CombinatorialPurged, PurgedKFold, WalkForward
from tests.unit.validation.splits.frames import HOUR, START, panel, ragged

US = pd.Timedelta(microseconds=1)
Pairs = list[tuple[np.ndarray, np.ndarray]]


def naive(values: pd.Series) -> pd.Series:
    return values.dt.tz_localize(None).reset_index(drop=True)


def times(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """purgedcv's times for closed labels."""
    return {"prediction_times": naive(frame["event_time"]), "evaluation_times": naive(frame["label_end"]) + US}


def ours(splitter: object, frame: pd.DataFrame) -> Pairs:
    return [(fold.train, fold.test) for fold in splitter.split(frame["event_time"], frame["label_end"])]  # type: ignore[attr-defined]


def equal(left: Pairs, right: Pairs) -> bool:
    return len(left) == len(right) and all(
        np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(left, right, strict=True))


@pytest.mark.parametrize("horizon", [0, 1, 5])
@pytest.mark.parametrize("expanding", [True, False])
def test_walk_forward_as_skfolio(horizon: int, expanding: bool) -> None:
    frame, train, test, folds = panel(30 + horizon + 4 * 7, horizon=horizon), 30, 7, 4
    peer = skfolio.WalkForward(test_size=test, train_size=train, expand_train=expanding, purged_size=horizon)
    splitter = WalkForward(train + horizon, test, folds, "expanding" if expanding else "rolling")
    assert equal(ours(splitter, frame), list(peer.split(np.zeros((len(frame), 1)))))


@pytest.mark.parametrize("horizon", [0, 1, 5])
@pytest.mark.parametrize("embargo", [0, 3])
@pytest.mark.parametrize("window", ["expanding", "sliding"])
def test_walk_forward_as_purgedcv(horizon: int, embargo: int, window: str) -> None:
    """Its sliding window keeps so many rows after the purge; ours is the window before it, so we ask for more."""
    frame, train = panel(80, horizon=horizon), 20
    peer = purgedcv.WalkForwardSplit(4, 10, window=window, train_size=train if window == "sliding" else None,  # type: ignore[arg-type]
                                     purge_horizon=embargo * HOUR, **times(frame))
    splitter = WalkForward(train + horizon + embargo, 10, 4, "expanding" if window == "expanding" else "rolling",
                           embargo * HOUR)
    assert equal(ours(splitter, frame), list(peer.split(np.zeros((len(frame), 1)))))


@pytest.mark.parametrize(("groups", "tests"), [(4, 2), (6, 2), (6, 4), (10, 8)])
@pytest.mark.parametrize("horizon", [0, 2])
def test_combinatorial_as_skfolio(groups: int, tests: int, horizon: int) -> None:
    frame, splitter = panel(groups * 12, horizon=horizon), CombinatorialPurged(groups, tests)
    peer = skfolio.CombinatorialPurgedCV(n_folds=groups, n_test_folds=tests, purged_size=horizon)
    theirs = [(train, np.sort(np.concatenate(test))) for train, test in peer.split(np.zeros((len(frame), 1)))]
    assert equal(ours(splitter, frame), theirs)
    assert np.array_equal(splitter.paths, peer.recombined_paths.T)


@pytest.mark.parametrize("embargo", [0, 1, 4])
@pytest.mark.parametrize("horizon", [0, 1, 5])
def test_k_fold_and_combinatorial_as_purgedcv(horizon: int, embargo: int) -> None:
    frame, nothing = panel(62, horizon=horizon), np.zeros((62, 1))
    peer = purgedcv.PurgedKFold(5, purge_horizon=embargo * HOUR, **times(frame))
    assert equal(ours(PurgedKFold(5, embargo * HOUR), frame), list(peer.split(nothing)))
    combined = purgedcv.CombinatorialPurgedCV(6, 2, purge_horizon=embargo * HOUR, **times(frame))
    splitter = CombinatorialPurged(6, 2, embargo * HOUR)
    pairs = ours(splitter, frame)
    assert equal(pairs, list(combined.split(nothing)))
    made = [test + 100.0 * number for number, (_, test) in enumerate(pairs)]
    theirs = reconstruct_paths(made, [test for _, test in pairs], 6, 2, len(frame))
    assert np.array_equal(splitter.assemble(frame["event_time"], frame["label_end"], made), theirs)


@given(ragged(least=10), st.integers(2, 5), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_on_ragged_series_we_keep_no_row_that_purgedcv_drops(frame: pd.DataFrame, folds: int, embargo: int) -> None:
    """Unequal labels leave holes between the test labels, where purgedcv trains; our test interval has no holes."""
    frame = frame.sort_values("event_time").drop_duplicates("event_time")
    assume(len(frame) >= folds)
    peer = purgedcv.PurgedKFold(folds, purge_horizon=embargo * HOUR, **times(frame))
    for (train, test), (their_train, their_test) in zip(
            ours(PurgedKFold(folds, embargo * HOUR), frame), peer.split(np.zeros((len(frame), 1))), strict=True):
        assert np.array_equal(test, their_test)
        assert set(train) <= set(their_train)


# Where we differ, and why.

def test_a_label_that_touches_the_test_trains_at_purgedcv_and_not_here() -> None:
    frame = panel(20)
    half_open = {"prediction_times": naive(frame["event_time"]), "evaluation_times": naive(frame["label_end"])}
    (_, _), (theirs, _) = purgedcv.PurgedKFold(2, **half_open).split(np.zeros((20, 1)))
    (_, _), (mine, _) = ours(PurgedKFold(2), frame)
    assert theirs.tolist() == list(range(10))  # row 9: [09:00, 10:00) beside a test from 10:00
    assert mine.tolist() == list(range(9))


def test_a_boundary_by_rows_cuts_a_panel_through_one_timestamp() -> None:
    frame = panel(25, symbols=3, horizon=0)
    at, nothing = frame["event_time"], np.zeros((75, 1))
    peers = [list(skfolio.WalkForward(test_size=10, train_size=25).split(nothing)),
             list(purgedcv.PurgedKFold(4, **{name: naive(at) for name in ("prediction_times", "evaluation_times")})
                  .split(nothing))]
    for pairs in peers:
        assert any(set(at.iloc[train]) & set(at.iloc[test]) for train, test in pairs)
    for splitter in (WalkForward(8, 3, 5), PurgedKFold(4)):
        assert not any(set(at.iloc[train]) & set(at.iloc[test]) for train, test in ours(splitter, frame))


def test_skfolio_purges_rows_and_a_long_label_slips_through() -> None:
    """One label of ten hours among labels of one: a count of rows cannot know it, ``label_end`` does."""
    frame = panel(40)
    frame.loc[15, "label_end"] = START + 25 * HOUR
    (theirs, _), = skfolio.WalkForward(test_size=20, train_size=19, purged_size=1).split(np.zeros((40, 1)))
    (mine, _), = ours(WalkForward(20, 20, 1), frame)
    assert sorted(set(theirs) - set(mine)) == [15]


def test_the_embargo_of_skfolio_lies_after_the_test_only() -> None:
    frame = panel(30, horizon=1)
    theirs = list(skfolio.CombinatorialPurgedCV(3, 2, purged_size=1, embargo_size=2).split(np.zeros((30, 1))))
    mine = ours(CombinatorialPurged(3, 2, 2 * HOUR), frame)
    assert sorted(set(theirs[2][0]) - set(mine[2][0])) == [7, 8]  # training before its test
    assert np.array_equal(theirs[0][0], mine[0][0])               # training after its test
