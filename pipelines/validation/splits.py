"""Walk-forward splits by time, with purge and embargo, and the plan that keeps the gate's evidence unseen.

A label is an interval: it starts when its row is decided and ends at ``label_end``, the moment its outcome is
known. Both ends belong to it (closed interval). A training row is kept only if its interval ends *before* the test
window starts, with the embargo in between::

    label_end < test_start - embargo

Boundaries are instants, never row numbers: on a panel of 50 symbols 24 rows are half an hour, and a boundary by
rows would cut through one timestamp. Here all rows of one ``event_time`` fall on the same side.

References:
    M. López de Prado, *Advances in Financial Machine Learning*, Wiley 2018, chapter 7 (purging and embargo).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import ContractError, InsufficientData

IntArray = np.ndarray[Any, np.dtype[np.int64]]

_US = timedelta(microseconds=1)
#: A logistic regression on fewer rows than this says more about the draw than about the market.
MIN_TRAIN_ROWS = 50
#: Share of the oldest training window that may be missing.
WARM_UP = 0.25


@dataclass(frozen=True)
class Fold:
    """One walk-forward step. ``train`` and ``test`` are row positions (int64, ascending) into the frame that was
    split; the test window is ``[test_start, test_end)`` in UTC ``event_time``; every training label was known
    before ``train_end`` (= ``test_start`` minus the embargo)."""

    number: int
    train: IntArray
    test: IntArray
    train_end: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp


@dataclass(frozen=True)
class Plan:
    """The folds of one training: ``search`` for Optuna, ``evidence`` for the gate. No row whose label reaches into
    ``[evidence_start - embargo, ...)`` is in any search fold, neither as training nor as test row."""

    search: tuple[Fold, ...]
    evidence: tuple[Fold, ...]
    evidence_start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class WalkForward:
    """Successive test windows of equal length, each after its training window.

    Attributes:
        train: length of the training window (``rolling``); ``expanding`` takes everything there is.
        test: length of each test window.
        folds: how many test windows; they end at ``end`` and lie back to back.
        embargo: time kept free between the last training label and the test window.
        end: exclusive end of the last test window (UTC); the instant after the last row if left out.
    """

    train: timedelta
    test: timedelta
    folds: int
    scheme: Literal["expanding", "rolling"] = "rolling"
    embargo: timedelta = timedelta(0)
    end: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        if self.train <= timedelta(0) or self.test <= timedelta(0):
            raise ContractError("train and test must be longer than zero; pass positive timedeltas")
        if self.folds < 1:
            raise ContractError(f"folds is {self.folds}; ask for at least one")
        if self.embargo < timedelta(0):
            raise ContractError("embargo is negative; pass zero or more")

    def split(self, event_time: pd.Series, label_end: pd.Series) -> Iterator[Fold]:
        """Yield the folds in time order; a window without any row yields no fold.

        Args:
            event_time: (rows,) UTC; need not be sorted, may repeat (a panel).
            label_end: (rows,) UTC; at or after ``event_time``.

        Raises:
            ContractError: times without a zone, missing times, or a label that ends before its row.
        """
        at, known = _instants("event_time", event_time), _instants("label_end", label_end)
        if len(at) != len(known):
            raise ContractError(f"{len(at)} event times but {len(known)} label ends; pass columns of one frame")
        if (known < at).any():
            raise ContractError("a label_end lies before its event_time; labels cannot be known before their row")
        if not len(at):
            return
        end = int(at.max()) + 1 if self.end is None else _micros(self.end)
        train, test, embargo = (delta // _US for delta in (self.train, self.test, self.embargo))
        number = 0
        for step in range(self.folds):
            start = end - (self.folds - step) * test
            in_test = (at >= start) & (at < start + test)
            in_train = (at < start) & (known < start - embargo)
            if self.scheme == "rolling":
                in_train &= at >= start - train
            if in_test.any():
                yield Fold(number, np.flatnonzero(in_train), np.flatnonzero(in_test), _stamp(start - embargo),
                           _stamp(start), _stamp(start + test))
                number += 1


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


def _instants(name: str, values: pd.Series) -> IntArray:
    """UTC microseconds since the epoch."""
    series = pd.Series(values)
    if not isinstance(series.dtype, pd.DatetimeTZDtype):
        raise ContractError(f"{name} has type {series.dtype}; pass aware UTC times (datetime64[us, UTC])")
    if series.isna().any():
        raise ContractError(f"{name} is missing in {int(series.isna().sum())} rows; drop rows without a label first")
    micros: IntArray = series.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    return micros


def _micros(stamp: pd.Timestamp) -> int:
    return int((stamp - _stamp(0)) // _US)


def _stamp(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")
