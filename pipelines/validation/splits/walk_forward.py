"""Walk-forward and holdout: the training always lies before its test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd

from pipelines.errors import ContractError
from pipelines.validation.splits.rows import (
    IntArray,
    Rows,
    instant,
    length,
    micros,
    not_negative,
    read,
    stamp,
)


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
class WalkForward:
    """Successive test windows of equal length, each after its training window.

    A length is a ``timedelta``, or a whole number of bars: so many distinct timestamps, however many rows a panel has
    at each and however far apart they lie. The training window is counted back from the test window's start, and
    purge and embargo are taken out of it.

    Attributes:
        train: length of the training window (``rolling``); ``expanding`` takes everything there is.
        test: length of each test window.
        folds: how many test windows; they end at ``end`` and lie back to back.
        embargo: time kept free between the last training label and the test window.
        end: exclusive end of the last test window (UTC); the instant after the last row if left out.
    """

    train: timedelta | int
    test: timedelta | int
    folds: int
    scheme: Literal["expanding", "rolling"] = "rolling"
    embargo: timedelta = timedelta(0)
    end: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        length("train", self.train)
        length("test", self.test)
        if self.folds < 1:
            raise ContractError(f"folds is {self.folds}; ask for at least one")
        not_negative(self.embargo)

    def split(self, event_time: pd.Series, label_end: pd.Series) -> Iterator[Fold]:
        """Yield the folds in time order; a window without any row yields no fold.

        Args:
            event_time: (rows,) UTC; need not be sorted, may repeat (a panel).
            label_end: (rows,) UTC; at or after ``event_time``.

        Raises:
            ContractError: times without a zone, missing times, or a label that ends before its row.
        """
        rows = read(event_time, label_end)
        if not len(rows.at):
            return
        end = int(rows.at.max()) + 1 if self.end is None else instant(self.end)
        times = rows.times() if isinstance(self.train, int) or isinstance(self.test, int) else rows.at[:0]
        number = 0
        for start, stop in _windows(times, end, self.test, self.folds):
            fold = _fold(rows, number, start, stop, self._from(times, start), self.embargo)
            if len(fold.test):
                yield fold
                number += 1

    def _from(self, times: IntArray, start: int) -> int | None:
        """The instant at which the training window of the test window from ``start`` begins; None: with the data."""
        if self.scheme == "expanding":
            return None
        if isinstance(self.train, timedelta):
            return start - micros(self.train)
        return int(times[max(int(np.searchsorted(times, start)) - self.train, 0)])


@dataclass(frozen=True)
class AnchoredHoldout:
    """One cut: everything known before it trains, everything from it on tests.

    Anchored at both ends: the training begins with the data, and a cut given by ``start`` stays where it is when rows
    are added. Give either ``start`` or ``test``.

    Attributes:
        start: the first instant of the test (UTC).
        test: or the length of the test, counted back from the instant after the last row: a ``timedelta`` or a number
            of bars (distinct timestamps).
        embargo: time kept free between the last training label and the test.
    """

    start: pd.Timestamp | None = None
    test: timedelta | int | None = None
    embargo: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if (self.start is None) == (self.test is None):
            raise ContractError("a holdout needs one cut: pass either start or test")
        if self.test is not None:
            length("test", self.test)
        not_negative(self.embargo)

    def split(self, event_time: pd.Series, label_end: pd.Series) -> Iterator[Fold]:
        """Yield the one fold, or none when no row lies in the test; arguments and errors as of :class:`WalkForward`."""
        rows = read(event_time, label_end)
        if not len(rows.at):
            return
        end = int(rows.at.max()) + 1
        if self.test is None:
            start = instant(pd.Timestamp(self.start))
        else:
            start, _ = next(iter(_windows(rows.times(), end, self.test, 1)))
        fold = _fold(rows, 0, start, max(end, start), None, self.embargo)
        if len(fold.test):
            yield fold


def _windows(times: IntArray, end: int, test: timedelta | int, folds: int) -> Iterator[tuple[int, int]]:
    """``[start, stop)`` of each test window, back to back up to ``end``; with bars, windows before the data are left
    out and the first may be shorter."""
    if isinstance(test, timedelta):
        step = micros(test)
        for left in range(folds, 0, -1):
            yield end - left * step, end - (left - 1) * step
        return
    count = int(np.searchsorted(times, end))
    for left in range(folds, 0, -1):
        stop = count - (left - 1) * test
        if stop > 0:
            yield int(times[max(stop - test, 0)]), int(times[stop]) if left > 1 else end


def _fold(rows: Rows, number: int, start: int, stop: int, begin: int | None, embargo: timedelta) -> Fold:
    limit = start - micros(embargo)
    before = rows.between(int(rows.at.min()) if begin is None else begin, start)
    return Fold(number, before[rows.known[before] < limit], rows.between(start, stop), stamp(limit), stamp(start),
                stamp(stop))
