"""Leaks around the fold: whatever was fitted on rows outside of it is caught, with the column and since when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment.hours import microseconds
from pipelines.validation.audit import AuditReport, Limits, Subject, audit, audit_frame
from pipelines.validation.audit.purging import meeting
from pipelines.validation.splits import Fold, WalkForward
from tests.unit.validation.audit.worlds import DAY, HOUR, training

COLUMNS = ["return_1", "trend", "slow", "noise", "group"]
AS_OF = pd.Timestamp("2024-06-01", tz="UTC").to_pydatetime()
Fit = Callable[[pd.DataFrame, Fold, pd.DataFrame], FloatArray]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return training()


def folds(frame: pd.DataFrame, count: int = 3) -> list[Fold]:
    split = WalkForward(20 * DAY, 4 * DAY, count, "rolling", HOUR, frame["event_time"].max() + HOUR)
    return list(split.split(frame["event_time"], frame["label_end"]))


def linear(x: FloatArray, y: FloatArray, probe: FloatArray) -> FloatArray:
    """Least squares, squeezed into a probability."""
    ones = np.ones((len(x), 1))
    weights, *_ = np.linalg.lstsq(np.hstack([x, ones]), y, rcond=None)
    return 1 / (1 + np.exp(-4 * (np.hstack([probe, np.ones((len(probe), 1))]) @ weights - 0.5)))


def parts(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    values = frame[COLUMNS].to_numpy()
    return values[fold.train], frame["y"].to_numpy()[fold.train], probe[COLUMNS].to_numpy()


def honest(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    x, y, asked = parts(frame, fold, probe)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    return linear((x - mean) / spread, y, (asked - mean) / spread)


def scaled_on_everything(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    x, y, asked = parts(frame, fold, probe)
    mean, spread = frame[COLUMNS].to_numpy().mean(axis=0), frame[COLUMNS].to_numpy().std(axis=0)
    return linear((x - mean) / spread, y, np.clip((asked - mean) / spread, -2, 2))


def components_of_train_and_test(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    x, y, asked = parts(frame, fold, probe)
    both = frame[COLUMNS].to_numpy()[np.concatenate([fold.train, fold.test])]
    _, _, axes = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    return linear(x @ axes[:2].T, y, asked @ axes[:2].T)


def target_encoding_on_all_rows(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    mean = frame.groupby("group")["y"].mean()
    y = frame["y"].to_numpy()[fold.train]
    groups = frame["group"].iloc[fold.train].map(mean).to_numpy()[:, None]
    return linear(groups, y, probe["group"].map(mean).fillna(0.5).to_numpy()[:, None])


def selected_on_all_rows(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    strength = [abs(np.corrcoef(frame[name], frame["y"])[0, 1]) for name in COLUMNS]
    best = int(np.argmax(strength))
    x, y, asked = parts(frame, fold, probe)
    return linear(x[:, [best]], y, asked[:, [best]])


def calibrated_on_the_test_fold(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    said = honest(frame, fold, frame.iloc[fold.test])
    bias = frame["y"].to_numpy()[fold.test].mean() - said.mean()
    return np.clip(honest(frame, fold, probe) + bias, 0, 1)


def weighted_on_the_test_fold(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    """An ensemble of the model and the base rate whose weight fits the test labels best."""
    y = frame["y"].to_numpy()
    said, base = honest(frame, fold, frame.iloc[fold.test]), y[fold.train].mean()
    gap = said - base
    weight = float(gap @ (y[fold.test] - base)) / float(gap @ gap)
    return base + weight * (honest(frame, fold, probe) - base)


def base_rate_of_all_rows(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    return np.column_stack([honest(frame, fold, probe), np.full(len(probe), frame["y"].mean())])


def stopped_on_the_test_fold(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
    """The shrinkage with the least test loss."""
    x, y, asked = parts(frame, fold, probe)
    test, truth = frame[COLUMNS].to_numpy()[fold.test], frame["y"].to_numpy()[fold.test]
    losses = [float(np.mean((factor * (linear(x, y, test) - 0.5) + 0.5 - truth) ** 2)) for factor in (0.0, 0.5, 1, 2)]
    return (0.0, 0.5, 1, 2)[int(np.argmin(losses))] * (linear(x, y, asked) - 0.5) + 0.5


def run(frame: pd.DataFrame, fitter: Fit, used: list[Fold] | None = None) -> AuditReport:
    return audit_frame(frame, as_of=AS_OF, seed=5, folds=folds(frame) if used is None else used,
                       fitters={"model": fitter})


def outside(frame: pd.DataFrame) -> pd.Timestamp:
    """The first row that is purged: its label was known when the embargo began. The first fold is the earliest."""
    return folds(frame)[0].test_start - 3 * HOUR


def in_test(frame: pd.DataFrame) -> pd.Timestamp:
    return folds(frame)[0].test_start


CAUGHT = [
    (scaled_on_everything, set(COLUMNS), outside),
    (components_of_train_and_test, set(COLUMNS), in_test),
    (target_encoding_on_all_rows, {"group", "y"}, outside),
    (calibrated_on_the_test_fold, {*COLUMNS, "y"}, in_test),
    (weighted_on_the_test_fold, {*COLUMNS, "y"}, in_test),
    (base_rate_of_all_rows, {"y"}, outside),
]


@pytest.mark.parametrize(("fitter", "columns", "first"), CAUGHT, ids=[fitter.__name__ for fitter, _, _ in CAUGHT])
def test_a_fit_outside_of_its_fold(frame: pd.DataFrame, fitter: Fit, columns: set[str],
                                   first: Callable[[pd.DataFrame], pd.Timestamp]) -> None:
    found = {item.column: item for item in run(frame, fitter).findings if item.check == "fitting"}
    assert set(found) == columns
    assert {item.first_offending_time for item in found.values()} == {first(frame)}


@pytest.mark.parametrize("fitter", [selected_on_all_rows, stopped_on_the_test_fold])
def test_a_choice_that_saw_rows_outside_of_its_fold(frame: pd.DataFrame, fitter: Fit) -> None:
    """A choice turns when enough rows speak for another one, so its time lies between the first and the last."""
    found = {item.column: item for item in run(frame, fitter).findings if item.check == "fitting"}
    assert found
    assert set(found) <= {*COLUMNS, "y"}
    for item in found.values():
        assert outside(frame) <= item.first_offending_time <= frame["event_time"].max()


def test_the_shuffled_control_sees_an_encoding_of_all_rows(frame: pd.DataFrame) -> None:
    found = {item.check: item for item in run(frame, target_encoding_on_all_rows).findings}
    assert found["control"].column == "model"
    assert found["control"].first_offending_time == folds(frame)[-2].test_start


def test_an_honest_fit_has_no_finding(frame: pd.DataFrame) -> None:
    report = run(frame, honest)
    assert report.passed, report.markdown()
    assert {result.check for result in report.results if result.state == "passed"} >= {
        "purging", "fitting", "separation", "ladder", "control"}


def test_unpurged_labels(frame: pd.DataFrame) -> None:
    slow = training(horizon=24)
    (good,) = folds(slow, 1)
    every = np.flatnonzero((slow["event_time"] < good.test_start).to_numpy())
    report = audit_frame(slow, as_of=AS_OF, seed=1, horizon=24, folds=[replace(good, train=every)])
    (finding,) = report.findings
    assert (finding.check, finding.column) == ("purging", "label_end")
    assert finding.first_offending_time == good.test_start - 25 * HOUR
    assert audit_frame(slow, as_of=AS_OF, seed=1, horizon=24, folds=[good]).passed


def test_a_search_that_sees_the_evidence() -> None:
    slow = training(horizon=24)
    searched, evidence = folds(slow, 2)
    found = {since: audit(Subject("plan", pd.Timestamp(AS_OF), 1, frame=slow, folds=(searched, evidence), horizon=24,
                                  unseen=since), ["purging"]).findings
             for since in (evidence.test_start, evidence.test_start + 25 * HOUR)}
    assert [(item.column, item.first_offending_time) for item in found[evidence.test_start]] == [
        ("label_end", evidence.test_start - 25 * HOUR)]
    # Of a later beginning the evidence's own fold is part of the search, and its labels reach into it.
    (finding,) = found[evidence.test_start + 25 * HOUR]
    assert finding.first_offending_time == evidence.test_start


def test_a_row_on_both_sides(frame: pd.DataFrame) -> None:
    (good,) = folds(frame, 1)
    bad = replace(good, train=np.concatenate([good.train, good.test[6:8]]))
    found = {item.column: item for item in audit_frame(frame, as_of=AS_OF, seed=1, folds=[bad]).findings}
    assert found["event_time"].first_offending_time == good.test_start + 3 * HOUR


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.sampled_from(["train", "test", "none"])),
                min_size=1, max_size=40))
def test_meeting_intervals_by_brute_force(cases: list[tuple[int, int, str]]) -> None:
    origin = pd.Timestamp("2024-01-01", tz="UTC")
    start = microseconds(pd.Series([origin + at * HOUR for at, _, _ in cases]))
    end = microseconds(pd.Series([origin + (at + length) * HOUR for at, length, _ in cases]))
    train, test = (np.array([row for row, case in enumerate(cases) if case[2] == side], dtype=np.int64)
                   for side in ("train", "test"))
    fold = Fold(0, train, test, origin, origin, origin)
    expected = [row for row in train if any(start[row] <= end[other] and start[other] <= end[row] for other in test)]
    assert meeting(start, end, fold).tolist() == expected


def test_few_folds_are_all_looked_at(frame: pd.DataFrame) -> None:
    one = audit_frame(frame, as_of=AS_OF, seed=1, folds=folds(frame, 1), fitters={"model": honest},
                      limits=Limits(folds=2))
    fits = {result.check: result.looked.cuts for result in one.results}
    assert fits["fitting"] == 3
