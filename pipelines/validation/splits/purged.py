"""Purged K-fold and combinatorial purged splits: the training may lie on both sides of its test.

The distinct timestamps are cut into contiguous groups of nearly equal number (the first ones take what is over). The
test interval of a group reaches from its first ``event_time`` to its last ``label_end``. A training row is kept if, for
every test group, it is over before the group starts or begins after all its labels are known, the embargo between::

    label_end < first event_time of the group - embargo    or    event_time > last label_end of the group + embargo

References:
    M. López de Prado, *Advances in Financial Machine Learning*, Wiley 2018: sections 7.4 (purged K-fold) and 12.4
    (combinatorial purged cross-validation, the number of paths).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.splits.rows import BoolArray, IntArray, Rows, micros, not_negative, read, stamp

#: Each fold is a fit; more than this is a slip of the pen.
MAX_FOLDS = 10_000


@dataclass(frozen=True)
class PurgedFold:
    """One split. ``train`` and ``test`` are row positions (int64, ascending); ``groups`` the test groups, ascending;
    ``spans`` for each of them its closed test interval in UTC: first ``event_time`` and last ``label_end``."""

    number: int
    train: IntArray
    test: IntArray
    groups: tuple[int, ...]
    spans: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]


@dataclass(frozen=True)
class PurgedKFold:
    """Each group of timestamps is the test once; the rest, purged and embargoed on both sides, trains.

    A model is tested on times before some of its training: fine for comparing configurations, not for stating what
    would have been earned. Use :class:`WalkForward` for that.
    """

    folds: int
    embargo: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ContractError(f"folds is {self.folds}; a K-fold needs at least 2")
        not_negative(self.embargo)

    def split(self, event_time: pd.Series, label_end: pd.Series) -> Iterator[PurgedFold]:
        """Yield the folds in time order of their tests.

        Args:
            event_time: (rows,) UTC; need not be sorted, may repeat (a panel).
            label_end: (rows,) UTC; at or after ``event_time``.

        Raises:
            ContractError: times without a zone, missing times, or a label that ends before its row.
            InsufficientData: fewer distinct timestamps than folds.
        """
        yield from _folds(read(event_time, label_end), self.folds, 1, self.embargo)


@dataclass(frozen=True)
class CombinatorialPurged:
    """Every choice of ``test_groups`` out of ``groups`` is the test once.

    Each group is tested in C(groups - 1, test_groups - 1) folds, so as many complete out-of-sample histories
    (backtest paths) can be put together; see :attr:`paths` and :meth:`assemble`.
    """

    groups: int
    test_groups: int
    embargo: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.groups < 2 or not 0 < self.test_groups < self.groups:
            raise ContractError(f"{self.test_groups} test groups of {self.groups}; at least one group has to test and "
                                "at least one to train")
        if self.folds > MAX_FOLDS:
            raise ContractError(f"{self.test_groups} of {self.groups} groups make {self.folds:,} folds, and each is a "
                                f"fit; stay below {MAX_FOLDS:,}")
        not_negative(self.embargo)

    @property
    def folds(self) -> int:
        return comb(self.groups, self.test_groups)

    @property
    def paths(self) -> IntArray:
        """Shape (paths, groups): the number of the fold whose test predicts this group on this path. A path's i-th
        choice for a group is the i-th fold that tests it; each (fold, test group) is used exactly once."""
        tested = np.zeros((self.folds, self.groups), dtype=bool)
        for number, chosen in enumerate(combinations(range(self.groups), self.test_groups)):
            tested[number, list(chosen)] = True
        return np.nonzero(tested.T)[1].reshape(self.groups, -1).T

    def split(self, event_time: pd.Series, label_end: pd.Series) -> Iterator[PurgedFold]:
        """Yield the folds in lexicographic order of their test groups; arguments and errors as of PurgedKFold."""
        yield from _folds(read(event_time, label_end), self.groups, self.test_groups, self.embargo)

    def assemble(self, event_time: pd.Series, label_end: pd.Series, predictions: Sequence[Any]) -> FloatArray:
        """Put the folds' predictions together into complete histories.

        Args:
            event_time, label_end: as given to :meth:`split`.
            predictions: for each fold in order, (test rows,) the values of its ``test`` rows.

        Returns:
            Shape (paths, rows): row i of the frame as predicted on each path.

        Raises:
            ContractError: not one prediction for each test row of each fold.
        """
        rows = read(event_time, label_end)
        member = _membership(rows, self.groups)
        by_fold = np.full((self.folds, len(rows.at)), np.nan)
        if len(predictions) != self.folds:
            raise ContractError(f"predictions of {len(predictions)} folds, but there are {self.folds}; pass one each")
        for number, (chosen, values) in enumerate(
                zip(combinations(range(self.groups), self.test_groups), predictions, strict=True)):
            test = np.isin(member, chosen)
            if np.shape(values) != (int(test.sum()),):
                raise ContractError(f"fold {number} tests {int(test.sum())} rows but its predictions have shape "
                                    f"{np.shape(values)}; pass one value for each test row")
            by_fold[number, test] = values
        return by_fold[self.paths[:, member], np.arange(len(rows.at))]


def _membership(rows: Rows, groups: int) -> IntArray:
    """The group of each row, shape (rows,). Groups are cut between timestamps, so a panel never straddles."""
    times = rows.times()
    if len(times) < groups:
        raise InsufficientData(f"{len(times)} distinct times do not fill {groups} groups; load more history or ask "
                               f"for fewer")
    sizes = np.full(groups, len(times) // groups)
    sizes[: len(times) % groups] += 1
    starts = times[np.concatenate([[0], np.cumsum(sizes)[:-1]])]
    return np.searchsorted(starts, rows.at, side="right") - 1


def _folds(rows: Rows, groups: int, chosen: int, embargo: timedelta) -> Iterator[PurgedFold]:
    member = _membership(rows, groups)
    gap = micros(embargo)
    tests, clear, spans = [], [], []
    for group in range(groups):
        test = np.flatnonzero(member == group)
        first, last = int(rows.at[test].min()), int(rows.known[test].max())
        tests.append(test)
        clear.append((rows.known < first - gap) | (rows.at > last + gap))
        spans.append((stamp(first), stamp(last)))
    for number, picked in enumerate(combinations(range(groups), chosen)):
        keep: BoolArray = clear[picked[0]]
        for group in picked[1:]:
            keep = keep & clear[group]
        test = tests[picked[0]] if chosen == 1 else np.sort(np.concatenate([tests[group] for group in picked]))
        yield PurgedFold(number, np.flatnonzero(keep), test, picked, tuple(spans[group] for group in picked))
