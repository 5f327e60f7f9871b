from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Line
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.splits import Fold, WalkForward, plan

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = pd.Timestamp("2024-01-01", tz="UTC")


def line(horizon: int = 1, **walk_forward: object) -> Line:
    rules = {"scheme": "rolling", "train_days": 4, "test_days": 1, "search_folds": 2, "evidence_days": 3,
             "evidence_fold_days": 1, "embargo_bars": 1} | walk_forward
    return Line.model_validate({
        "name": "direction_1h", "title": "test", "target": {"kind": "direction", "horizon_bars": horizon},
        "features": {"groups": ["returns"]}, "walk_forward": rules,
        "search": {"families": ["lightgbm"], "trials": 2}})


def panel(hours: int, symbols: int = 2, horizon: int = 1, start: pd.Timestamp = START) -> pd.DataFrame:
    """Hourly rows; y alternates so that every window has both classes."""
    times = pd.date_range(start, periods=hours, freq="h", unit="us").repeat(symbols)
    return pd.DataFrame({
        "symbol": np.tile([f"S{number}" for number in range(symbols)], hours), "event_time": times,
        "available_at": times + HOUR, "label_end": times + HOUR * (horizon + 1),
        "y": np.arange(hours * symbols) // symbols % 2 * 1.0})


def dates(fold: Fold, frame: pd.DataFrame) -> tuple[str, str, str, str]:
    """First and last training row, first and last test row."""
    at = frame["event_time"].dt.strftime("%m-%d %H")
    return (at.iloc[fold.train[0]], at.iloc[fold.train[-1]], at.iloc[fold.test[0]], at.iloc[fold.test[-1]])


# A label of one hour is known two hours after the bar's open. With an embargo of one hour the last training row of a
# test window from 00:00 is the bar of 20:00: known at 22:00, which lies before 23:00 (21:00 is known at 23:00: closed)
ROLLING = [
    ("01-05 00", "01-06 20", "01-07 00", "01-07 23"),
    ("01-06 00", "01-07 20", "01-08 00", "01-08 23"),
    ("01-07 00", "01-08 20", "01-09 00", "01-09 23"),
]
EXPANDING = [
    ("01-01 00", "01-06 20", "01-07 00", "01-07 23"),
    ("01-01 00", "01-07 20", "01-08 00", "01-08 23"),
    ("01-01 00", "01-08 20", "01-09 00", "01-09 23"),
]


@pytest.mark.parametrize(("scheme", "expected"), [("rolling", ROLLING), ("expanding", EXPANDING)])
def test_the_dates_of_each_fold(scheme: str, expected: list[tuple[str, str, str, str]]) -> None:
    frame = panel(9 * 24)
    splitter = WalkForward(train=2 * DAY, test=DAY, folds=3, scheme=scheme, embargo=HOUR, end=START + 9 * DAY)  # type: ignore[arg-type]
    assert [dates(fold, frame) for fold in splitter.split(frame["event_time"], frame["label_end"])] == expected


@pytest.mark.parametrize(("embargo", "horizon", "last"), [
    (0, 1, "01-06 21"), (1, 1, "01-06 20"), (24, 1, "01-05 21"), (0, 24, "01-05 22"), (24, 24, "01-04 22")])
def test_purge_and_embargo_move_the_last_training_row(embargo: int, horizon: int, last: str) -> None:
    frame = panel(7 * 24, horizon=horizon)
    splitter = WalkForward(train=5 * DAY, test=DAY, folds=1, embargo=embargo * HOUR)
    fold, = splitter.split(frame["event_time"], frame["label_end"])
    assert dates(fold, frame)[1] == last
    assert fold.test_start == START + 6 * DAY + timedelta(microseconds=1) - HOUR  # the window ends after the last row


@st.composite
def panels(draw: st.DrawFn) -> tuple[pd.DataFrame, WalkForward]:
    """Irregular panels: missing hours, symbols that come and go, labels of varying length, shuffled rows."""
    hours = draw(st.lists(st.integers(0, 400), min_size=1, max_size=60))
    symbols = draw(st.lists(st.integers(0, 3), min_size=len(hours), max_size=len(hours)))
    spans = draw(st.lists(st.integers(0, 60), min_size=len(hours), max_size=len(hours)))
    times = START + pd.to_timedelta(hours, unit="h")
    frame = pd.DataFrame({"symbol": symbols, "event_time": pd.DatetimeIndex(times).as_unit("us"),
                          "label_end": pd.DatetimeIndex(times + pd.to_timedelta(spans, unit="h")).as_unit("us")})
    splitter = WalkForward(
        train=draw(st.integers(1, 200)) * HOUR, test=draw(st.integers(1, 48)) * HOUR, folds=draw(st.integers(1, 6)),
        scheme=draw(st.sampled_from(["rolling", "expanding"])), embargo=draw(st.integers(0, 48)) * HOUR,
        end=draw(st.sampled_from([None, START + 300 * HOUR])))
    return frame, splitter


@given(panels())
@settings(max_examples=200, deadline=None)
def test_no_training_label_meets_a_test_window_and_no_panel_straddles(drawn: tuple[pd.DataFrame, WalkForward]) -> None:
    frame, splitter = drawn
    seen: set[int] = set()
    previous = None
    for fold in splitter.split(frame["event_time"], frame["label_end"]):
        train, test = frame.iloc[fold.train], frame.iloc[fold.test]
        if len(train):
            # closed intervals: touching is meeting
            assert train["label_end"].max() < fold.test_start - splitter.embargo
            assert train["label_end"].max() < test["event_time"].min() - splitter.embargo
            assert set(train["event_time"]).isdisjoint(test["event_time"])
            if splitter.scheme == "rolling":
                assert train["event_time"].min() >= fold.test_start - splitter.train
        # every row of a test time is in the test: a timestamp is never cut
        inside = (frame["event_time"] >= fold.test_start) & (frame["event_time"] < fold.test_end)
        assert np.array_equal(np.flatnonzero(inside), fold.test)
        assert seen.isdisjoint(fold.test.tolist())
        seen |= set(fold.test.tolist())
        assert previous is None or fold.test_start >= previous
        previous = fold.test_end


@given(panels(), st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_a_training_set_does_not_know_the_future(drawn: tuple[pd.DataFrame, WalkForward], cut: int) -> None:
    """Prefix: cutting off every row known after a fold's end changes nothing in that fold."""
    frame, splitter = drawn
    fixed = WalkForward(splitter.train, splitter.test, splitter.folds, splitter.scheme, splitter.embargo,
                        START + 300 * HOUR)
    kept = np.flatnonzero((frame["event_time"] < START + cut * HOUR).to_numpy())
    short = {fold.test_start: fold for fold in fixed.split(frame["event_time"].iloc[kept],
                                                           frame["label_end"].iloc[kept])}
    for fold in fixed.split(frame["event_time"], frame["label_end"]):
        if fold.test_end <= START + cut * HOUR:
            same = short[fold.test_start]
            assert np.array_equal(kept[same.train], fold.train)
            assert np.array_equal(kept[same.test], fold.test)


@pytest.mark.parametrize("horizon", [1, 24])
def test_the_search_never_sees_the_evidence(horizon: int) -> None:
    frame = panel(12 * 24, horizon=horizon)
    found = plan(line(horizon, embargo_bars=horizon), frame)
    embargo = horizon * HOUR
    assert found.evidence_start == START + 9 * DAY
    assert [fold.test_start for fold in found.evidence] == [START + day * DAY for day in (9, 10, 11)]
    # the last bar whose label and embargo end before the evidence closes the search
    last = found.evidence_start - 2 * embargo - HOUR
    assert [fold.test_end for fold in found.search] == [last - DAY, last]
    assert all(len(fold.test) == 48 for fold in found.search)
    for fold in found.search:
        rows = frame.iloc[np.concatenate([fold.train, fold.test])]
        assert rows["label_end"].max() < found.evidence_start - embargo
    for fold in found.evidence:
        assert frame.iloc[fold.train]["label_end"].max() < fold.test_start - embargo
        assert frame.iloc[fold.test]["event_time"].min() >= found.evidence_start


def test_evidence_days_that_do_not_divide_end_with_a_shorter_fold() -> None:
    found = plan(line(evidence_days=3, evidence_fold_days=2), panel(9 * 24))
    assert [(fold.test_start, len(fold.test)) for fold in found.evidence] == [
        (START + 6 * DAY, 96), (START + 8 * DAY, 48)]


def test_too_little_history_says_what_is_there_and_what_is_needed() -> None:
    words = r"has 5\.0 days .* needs 8\.0 \(train 75% of 4 \+ search 2 x 1 \+ evidence 3"
    with pytest.raises(InsufficientData, match=words):
        plan(line(), panel(5 * 24))
    with pytest.raises(InsufficientData, match="no labelled rows"):
        plan(line(), panel(24).iloc[:0])


def test_a_gap_over_the_search_is_refused() -> None:
    frame = panel(9 * 24)
    hole = frame[(frame["event_time"] < START + 3 * DAY) | (frame["event_time"] >= START + 6 * DAY)]
    with pytest.raises(InsufficientData, match="0 search and 3 evidence folds"):
        plan(line(), hole)


def test_a_fold_of_one_class_is_refused() -> None:
    frame = panel(9 * 24)
    frame.loc[frame["event_time"] < START + 4 * DAY, "y"] = 1.0
    with pytest.raises(InsufficientData, match=r"search fold from 2024-01-04 21:00.* of class\(es\) \[1\.0\]"):
        plan(line(), frame)


@pytest.mark.parametrize(("arguments", "reason"), [
    ({"train": timedelta(0)}, "longer than zero"), ({"test": -HOUR}, "longer than zero"),
    ({"folds": 0}, "at least one"), ({"embargo": -HOUR}, "negative")])
def test_nonsense_is_refused(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        WalkForward(**({"train": DAY, "test": DAY, "folds": 1} | arguments))  # type: ignore[arg-type]


def test_frames_that_break_the_contract_are_refused() -> None:
    frame, splitter = panel(48), WalkForward(train=DAY, test=HOUR, folds=1)
    at, known = frame["event_time"], frame["label_end"]
    with pytest.raises(ContractError, match="aware UTC"):
        next(splitter.split(at.dt.tz_localize(None), known))
    with pytest.raises(ContractError, match="missing in 1 rows"):
        next(splitter.split(at, known.where(known != known.iloc[0]).iloc[: len(at)].mask(frame.index == 5)
                            .fillna({0: known.iloc[0], 1: known.iloc[0]})))
    with pytest.raises(ContractError, match="before its event_time"):
        next(splitter.split(at, at - HOUR))
    with pytest.raises(ContractError, match="96 event times but 95"):
        next(splitter.split(at, known.iloc[1:]))
    assert list(splitter.split(at.iloc[:0], known.iloc[:0])) == []
