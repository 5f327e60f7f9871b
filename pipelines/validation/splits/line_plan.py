"""The plan of one training: folds for the search, and later folds that only the gate sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import InsufficientData
from pipelines.validation.splits.rows import IntArray
from pipelines.validation.splits.walk_forward import Fold, WalkForward

#: A logistic regression on fewer rows than this says more about the draw than about the market.
MIN_TRAIN_ROWS = 50
#: Share of the oldest training window that may be missing.
WARM_UP = 0.25


@dataclass(frozen=True)
class Plan:
    """The folds of one training: ``search`` for Optuna, ``evidence`` for the gate. No row whose label reaches into
    ``[evidence_start - embargo, ...)`` is in any search fold, neither as training nor as test row."""

    search: tuple[Fold, ...]
    evidence: tuple[Fold, ...]
    evidence_start: pd.Timestamp
    end: pd.Timestamp


def plan(line: Line, frame: pd.DataFrame) -> Plan:
    """Cut a training snapshot into folds for the search and folds for the gate.

    The evidence is the last ``evidence_days``. Rows whose labels reach into it (or its embargo) are withheld from the
    search altogether; the search folds end where that starts, so with a long horizon the first training window is
    shorter by horizon and embargo.

    Args:
        line: its ``walk_forward`` says how long everything is.
        frame: columns ``event_time``, ``label_end`` (UTC) and ``y`` in {0, 1}.

    Raises:
        InsufficientData: too few days, or a fold without rows to learn from; says what is there and what is needed.
    """
    rules = line.walk_forward
    if frame.empty:
        raise InsufficientData(
            f"{line.name} has no labelled rows; it needs {rules.history_days} days of history before as_of")
    first, end = frame["event_time"].min(), frame["event_time"].max() + line.bar
    # Features warm up and the newest rows have no label yet: the oldest training window may be shorter for it.
    needed = timedelta(days=rules.history_days - WARM_UP * rules.train_days)
    if end - first < needed:
        raise InsufficientData(
            f"{line.name} has {(end - first) / timedelta(days=1):.1f} days of labelled rows ({first} to {end}) and "
            f"needs {needed / timedelta(days=1):.1f} (train {1 - WARM_UP:.0%} of {rules.train_days} + search "
            f"{rules.search_folds} x {rules.test_days} + evidence {rules.evidence_days} days); load more history or "
            f"shorten [walk_forward]")
    embargo, train = line.bar * rules.embargo_bars, timedelta(days=rules.train_days)
    evidence_start = end - timedelta(days=rules.evidence_days)
    withheld = frame["label_end"] >= evidence_start - embargo
    visible = np.flatnonzero(~withheld.to_numpy())
    seen = frame.iloc[visible]
    search = WalkForward(train, timedelta(days=rules.test_days), rules.search_folds, rules.scheme, embargo,
                         evidence_start - embargo - line.horizon - line.bar)
    count, rest = divmod(rules.evidence_days, rules.evidence_fold_days)
    evidence = WalkForward(train, timedelta(days=rules.evidence_fold_days), count + (rest > 0), rules.scheme, embargo,
                           evidence_start + timedelta(days=rules.evidence_fold_days) * (count + (rest > 0)))
    result = Plan(
        search=tuple(_remap(fold, visible) for fold in search.split(seen["event_time"], seen["label_end"])),
        evidence=tuple(evidence.split(frame["event_time"], frame["label_end"])),
        evidence_start=evidence_start, end=end)
    _refuse_thin(line, frame, result)
    return result


def _refuse_thin(line: Line, frame: pd.DataFrame, found: Plan) -> None:
    if len(found.search) < 2 or not found.evidence:
        raise InsufficientData(
            f"{line.name} has rows in {len(found.search)} search and {len(found.evidence)} evidence folds; at least 2 "
            f"and 1 are needed: the history up to {found.end} has gaps, load the missing days")
    y = frame["y"].to_numpy()
    for kind, folds in (("search", found.search), ("evidence", found.evidence)):
        for fold in folds:
            classes = np.unique(y[fold.train])
            if len(fold.train) < MIN_TRAIN_ROWS or len(classes) < 2:
                raise InsufficientData(
                    f"{line.name}: the {kind} fold from {fold.test_start} has {len(fold.train)} training rows of "
                    f"class(es) {classes.tolist()}; at least {MIN_TRAIN_ROWS} rows of both classes are needed: load "
                    f"the missing days before it or lengthen train_days")


def _remap(fold: Fold, rows: IntArray) -> Fold:
    return Fold(fold.number, rows[fold.train], rows[fold.test], fold.train_end, fold.test_start, fold.test_end)
