"""(c) Folds whose labels do not meet: no training label's interval touches one of a test label, and nothing that the
search sees touches the evidence.

An interval is ``[event_time, label_end]``, both ends included (the convention of ``validation.splits``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import Ints, microseconds
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import Subject
from pipelines.validation.splits import Fold

NAME = "purging"


def check(subject: Subject) -> CheckResult:
    """Every fold, exactly: rows in both parts, and training intervals that meet a test interval."""
    frame = subject.frame
    if frame is None or not subject.folds or "label_end" not in frame.columns:
        return skipped(NAME, "no folds")
    start, end = microseconds(frame["event_time"]), microseconds(frame["label_end"])
    first: dict[str, tuple[pd.Timestamp, str]] = {}
    rows = 0
    for fold in subject.folds:
        rows += len(fold.train) + len(fold.test)
        for column, bad, why in (
                ("event_time", np.intersect1d(fold.train, fold.test), "is a training row and a test row"),
                ("label_end", meeting(start, end, fold), "is a training row whose label reaches into a test label")):
            if len(bad):
                at = frame["event_time"].iloc[bad].min()
                told = (f"the row of {at} {why} of the fold from {fold.test_start} ({len(bad)} rows of that fold); "
                        "purge by label_end")
                first[column] = min(first.get(column, (at, told)), (at, told))
    if subject.unseen is not None:
        _unseen(subject, frame, subject.unseen, first)
    return conclude(NAME, first, Looked(len(subject.folds), 2, rows))


def _unseen(subject: Subject, frame: pd.DataFrame, since: pd.Timestamp,
            first: dict[str, tuple[pd.Timestamp, str]]) -> None:
    """Folds that end before ``since`` belong to the search: no label of theirs may reach into what comes after."""
    for fold in subject.folds:
        if fold.test_start >= since:
            continue
        rows = frame.iloc[np.concatenate([fold.train, fold.test])]
        bad = rows.loc[rows["label_end"] >= since, "event_time"]
        if len(bad):
            at = bad.min()
            told = (f"the label of the row of {at}, in the search fold from {fold.test_start}, reaches into the "
                    f"evidence from {since} ({len(bad)} rows of that fold); withhold it from the search")
            first["label_end"] = min(first.get("label_end", (at, told)), (at, told))


def meeting(start: Ints, end: Ints, fold: Fold) -> Ints:
    """Training rows of ``fold`` (not test rows themselves) whose closed interval meets one of its test rows'.

    Two intervals meet unless one ends before the other begins: of each training row, the test intervals that begin by
    its end, less those that ended before its start.
    """
    train = np.setdiff1d(fold.train, fold.test)
    begun = np.searchsorted(np.sort(start[fold.test]), end[train], side="right")
    ended = np.searchsorted(np.sort(end[fold.test]), start[train], side="left")
    return np.asarray(train[begun > ended], dtype=np.int64)
