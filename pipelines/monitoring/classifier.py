"""Can a classifier tell the last days from the reference, better than days of the reference from one another?

The classifier two-sample test (Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests"; Hediger, Michel and
Näf 2022, "On the use of random forest for two-sample testing"): where two samples are alike, no classifier tells them
apart out of sample. It asks of everything at once and names what it tells by, so it is the diagnosis beside an alarm.
It raises none and has no part of the budget of false alarms (`drift`): rows persist, so its null has to come from
windows of the reference, and a level of one false alarm in two years of daily checks would need hundreds of disjoint
ones. A training reference holds about ten.

The classifier is linear discriminant analysis (Fisher 1936) with a ridge, classes weighing the same, on three kinds of
features: the normal scores of the columns (level), the absolute scores about the mean of their day and symbol (spread),
and, for a few columns, the products of two such centred scores (correlation). It needs nothing of the rows but their
sums and products by day, so that folds, windows and gaps are sums of days and the whole null takes a second.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import rankdata

from pipelines.contracts.records import DriftReport
from pipelines.monitoring import wander
from pipelines.monitoring.measure import Rows, Ruler

Array = np.ndarray[Any, np.dtype[np.float64]]
Index = np.ndarray[Any, np.dtype[np.int64]]

#: Columns looked at, and those whose products are: the ones that weigh most.
MOST_COLUMNS, PAIRED = 100, 12
#: Columns named.
NAMED = 5
FOLDS = 4
#: Disjoint windows that a reference has to hold.
LEAST_WINDOWS = 4
#: Added to the diagonal of the correlation matrix: a window holds few independent days, however many rows.
RIDGE = 1.0
#: Squared differences of means are taken less this many times the variance that they have anyway.
NOISE = 6.0
#: Centred scores are cut off here.
MOST_SCORE = 3.0
#: How often a window like the reference's may be beyond the margin, if separations are normal.
LEVEL = 0.05
#: Days with fewer rows than this share of the usual number do not make a window longer.
WHOLE_DAY = 0.5


@dataclass(frozen=True)
class Told:
    """The classifier's answer.

    Attributes:
        auc: out of fold, the mean over the folds; NaN where there is no answer.
        null: AUCs of the same classifier for windows of the reference, shape (windows,).
        rank: (1 + how many of ``null`` are at least ``auc``) / (1 + windows), which is a p-value if the windows and the
            current one are exchangeable; never below 1 / (1 + windows).
        highest: the largest of ``null``.
        limit: the larger of ``highest`` and the null's mean with a margin for its spread (a prediction limit, Student's
            t with as many windows as are disjoint).
        drifted: ``auc`` is above ``limit``.
        days: length of a window.
        columns: those it tells by, the first the most, with their shares of the separation out of fold; at most
            ``NAMED``.
        reason: why there is no answer; empty where there is one.
    """

    auc: float
    null: tuple[float, ...]
    rank: float
    highest: float
    limit: float
    drifted: bool
    columns: tuple[tuple[str, float], ...]
    days: int = 0
    reason: str = ""


def tell_apart(reference: pd.DataFrame, current: pd.DataFrame, names: Collection[str], window_days: int, *,
               windows: int = 8, differenced: Collection[str] = (),
               importance: Mapping[str, float] | None = None) -> Told:
    """Tell ``current`` from ``reference``, and windows of the reference from the rest of it. Deterministic.

    Windows are as long as the current one, evenly spaced over the reference (disjoint where it is long enough; the
    margin counts disjoint ones only), and half their length away from the rest, for the current one is some days away
    as well. Folds are blocks of days, so that no row is judged by its neighbours. Some memory passes from block to
    block all the same; it does so in the null too, whose windows are cut in the same way.

    Args:
        reference: training rows with ``event_time`` (UTC), ``symbol`` where there are several, and ``names``.
        current: rows of the last days with the same columns.
        names: columns to look at, in any order; of more than ``MOST_COLUMNS`` those of most importance.
        window_days: the most days of ``current`` that count.
        windows: of the reference.
        differenced: columns whose changes from row to row are looked at, because their level wanders too far.
        importance: column to weight, of any scale: of more than ``PAIRED`` columns the heaviest are paired.
    """
    rows = Rows.of(reference)
    others = Rows.of(current, rows.step)
    length = _length(others, window_days)
    days = _present(rows).size
    disjoint = days // max(length, 1)
    if length < 2:
        return _nothing("the current rows cover less than two days, and days are what it is trained and judged on")
    if disjoint < LEAST_WINDOWS:
        return _nothing(f"the reference holds {days} days; a null from windows of {length} days takes at least "
                        f"{LEAST_WINDOWS * length}; shorten drift.window_days or lengthen walk_forward")
    table = _Table.of(reference, current, rows, others, names, set(differenced), importance or {})
    if table is None:
        return _nothing("no column varies in the reference")
    starts, seen = np.linspace(0, days - length, windows).round().astype(int), _present(others).size
    (auc, *null), shares = _separate(table, [_now(days, length, seen),
                                             *(_then(days, length, start, seen) for start in starts)])
    # Of two normal samples with as many standard deviations between them: on this scale the null is nearly normal.
    apart = ndtri(np.clip(null, 1e-6, 1 - 1e-6))
    known = min(windows, disjoint)
    margin = float(stdtrit(known - 1, 1 - LEVEL)) * apart.std() * np.sqrt((known + 1) / (known - 1))
    limit = max(*null, float(ndtr(apart.mean() + margin)))
    rank = (1 + sum(value >= auc for value in null)) / (1 + windows)
    return Told(auc, tuple(null), rank, max(null), limit, auc > limit, table.told(shares), length)


def answered(report: DriftReport, told: Told) -> DriftReport:
    """The report with the answer in its metrics; ``classifier_windows`` is 0 where there is none."""
    figures = {"classifier_windows": float(len(told.null))}
    if told.null:
        figures |= {"classifier_auc": told.auc, "classifier_limit": told.limit, "classifier_highest": told.highest,
                    "classifier_rank": told.rank, "classifier_days": float(told.days)}
    return replace(report, metrics={**report.metrics, **figures},
                   telling=tuple(name for name, _ in told.columns) if told.drifted else ())


def _nothing(reason: str) -> Told:
    return Told(np.nan, (), np.nan, np.nan, np.nan, False, (), reason=reason)


def _present(rows: Rows) -> Index:
    """Rows of each day that has any; what follows counts such days only."""
    count = np.bincount(rows.day, minlength=rows.days)
    return np.asarray(count[count > 0])


def _length(rows: Rows, window_days: int) -> int:
    """Whole days of the current rows, at most the window's."""
    count = _present(rows)
    return int(min((count >= WHOLE_DAY * np.median(count)).sum(), window_days)) if count.size else 0


def _now(days: int, length: int, current: int) -> Index:
    """Fold of each day of the reference and of the current rows; those of the window have 0 … FOLDS - 1, the others
    FOLDS … 2 FOLDS - 1; -1: of neither. Shape (days + current,)."""
    return np.concatenate([_cycled(np.arange(days), length), _blocks(np.arange(current))])


def _then(days: int, length: int, start: int, current: int) -> Index:
    """The same for a window of the reference, half a window away from the rest on either side."""
    at, gap = np.arange(days), (length + 1) // 2
    folds = np.full(days + current, -1)
    rest = np.flatnonzero((at < start - gap) | (at >= start + length + gap))
    folds[rest] = _cycled(np.arange(len(rest)), length)
    folds[start:start + length] = _blocks(np.arange(length))
    return folds


def _blocks(at: Index) -> Index:
    return np.asarray(at * min(FOLDS, len(at)) // len(at))


def _cycled(at: Index, length: int) -> Index:
    """Blocks of days as long as the window's, in turn: every fold holds days of the whole reference."""
    folds = min(FOLDS, length)
    return np.asarray(FOLDS + at // -(-length // folds) % folds)


@dataclass(frozen=True)
class _Table:
    """Rows of the reference and the current ones, by day.

    Attributes:
        names: of the columns, sorted.
        level, centred: normal scores, and those about the mean of day and symbol, shape (rows, columns).
        ends: where each day ends, shape (days + 1,), the reference's days first.
        pairs: columns whose products are taken, shape (2, pairs).
    """

    names: list[str]
    level: Array
    centred: Array
    ends: Index
    pairs: Index

    @classmethod
    def of(cls, reference: pd.DataFrame, current: pd.DataFrame, rows: Rows, others: Rows, names: Collection[str],
           differenced: set[str], importance: Mapping[str, float]) -> _Table | None:
        kept, parts = [], []
        first = sorted(set(names), key=lambda name: (-importance.get(name, 0.0), name))
        for name in first:
            then, now = (at.values(frame[name].to_numpy(dtype=np.float64), name in differenced)
                         for at, frame in ((rows, reference), (others, current)))
            ruler = Ruler.of(then[np.isfinite(then)])
            if ruler is None:
                continue
            kept.append(name)
            parts.append([_scores(ruler, values) for values in (then, now)])
            if len(kept) == MOST_COLUMNS:
                break
        if not kept:
            return None
        levels, centred, ends = [], [], [np.zeros(1, dtype=np.int64)]
        for side, at in enumerate((rows, others)):
            order = np.argsort(at.day, kind="stable")
            level = np.column_stack([part[side] for part in parts])
            levels.append(level[order])
            centred.append(np.clip(_centred(level, at), -MOST_SCORE, MOST_SCORE)[order])
            ends.append(ends[-1][-1] + np.cumsum(_present(at)))
        pairs = np.array(np.triu_indices(min(len(kept), PAIRED), 1))
        return cls(kept, np.concatenate(levels), np.concatenate(centred), np.concatenate(ends), pairs)

    def features(self, day: int) -> Array:
        """Shape (rows of the day, features): levels, spreads, products."""
        at = slice(self.ends[day], self.ends[day + 1])
        centred = self.centred[at]
        return np.concatenate([self.level[at], np.abs(centred), centred[:, self.pairs[0]] * centred[:, self.pairs[1]]],
                              axis=1)

    def told(self, shares: Array) -> tuple[tuple[str, float], ...]:
        """The columns by the shares of their features, a product's half to either."""
        count, positive = len(self.names), np.maximum(shares, 0.0)
        total = positive[:count] + positive[count:2 * count]
        for column in self.pairs:
            np.add.at(total, column, positive[2 * count:] / 2)
        total = total / max(float(total.sum()), 1e-300)
        best = sorted(range(count), key=lambda at: (-total[at], self.names[at]))[:NAMED]
        return tuple((self.names[at], float(total[at])) for at in best if total[at] > 0)


def _scores(ruler: Ruler, values: Array) -> Array:
    known = np.isfinite(values)
    return np.where(known, ruler.score(ruler.scaled(np.where(known, values, ruler.mean))), 0.0)


def _centred(level: Array, rows: Rows) -> Array:
    count = np.maximum(np.bincount(rows.cell, minlength=rows.cells), 1)
    means = np.column_stack([np.bincount(rows.cell, weights=column, minlength=rows.cells) for column in level.T])
    return np.asarray(level - (means / count[:, None])[rows.cell])


def _separate(table: _Table, problems: list[Index]) -> tuple[list[float], Array]:
    """AUC of each problem, out of fold; and of the first the share of each feature in the separation out of fold."""
    days = len(table.ends) - 1
    counts = np.diff(table.ends).astype(np.float64)
    sums = np.stack([table.features(day).sum(axis=0) for day in range(days)])
    squares = np.stack([part.T @ part for part in map(table.features, range(days))])
    trained = []
    for labels in problems:
        wanders = _wanders(counts, sums, labels)
        trained.append({fold: _train(counts, sums, squares, labels, fold, wanders)
                        for fold in range(FOLDS) if (labels == fold).any()})
    scores = np.full((len(table.level), len(problems)), np.nan)
    for day in range(days):
        wanted = [at for at, labels in enumerate(problems) if labels[day] >= 0]
        if wanted:
            weights = np.column_stack([trained[at][problems[at][day] % FOLDS] for at in wanted])
            scores[table.ends[day]:table.ends[day + 1], wanted] = table.features(day) @ weights
    aucs = [float(np.mean([_auc(*(_of(table, scores[:, at], labels == fold + side) for side in (FOLDS, 0)))
                           for fold in trained[at]])) for at, labels in enumerate(problems)]
    gaps = [weights * (_mean(counts, sums, problems[0] == fold) - _mean(counts, sums, problems[0] == fold + FOLDS))
            for fold, weights in trained[0].items()]
    return aucs, np.mean(gaps, axis=0)


def _wanders(counts: Array, sums: Array, labels: Index) -> Array:
    """Variance of the mean of a window about that of the rest, as the rest's days wander, shape (features,)."""
    days = labels >= FOLDS
    length = int(((labels >= 0) & (labels < FOLDS)).sum())
    return np.asarray(wander.variance_of_means(sums[days] / counts[days, None], length)[-1])


def _train(counts: Array, sums: Array, squares: Array, labels: Index, fold: int, wanders: Array) -> Array:
    """Ridge discriminant of all folds but one, for features of unit variance; its weights, shape (features,).

    Of a difference of means counts what lies beyond the noise (the garrote, Breiman 1995): the mean of a persistent
    level is off by so much anyway that it would drown a correlation, whose mean is nearly known."""
    means, covariances = [], []
    for side in (0, FOLDS):
        days = (labels >= side) & (labels < side + FOLDS) & (labels != fold + side)
        mean = _mean(counts, sums, days)
        means.append(mean)
        covariances.append(np.tensordot(days.astype(np.float64), squares, axes=1) / max(float(counts[days].sum()), 1.0)
                           - np.outer(mean, mean))
    covariance = (covariances[0] + covariances[1]) / 2
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    correlation = covariance / np.outer(scale, scale)
    gap = means[0] - means[1]
    square = np.maximum(gap ** 2, 1e-300)
    gap = gap * np.maximum(1 - NOISE * wanders / square, 0.0) / scale
    return np.asarray(np.linalg.solve(correlation + RIDGE * np.eye(len(gap)), gap) / scale)


def _mean(counts: Array, sums: Array, days: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    return np.asarray(sums[days].sum(axis=0) / max(float(counts[days].sum()), 1.0))


def _of(table: _Table, scores: Array, days: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    return scores[np.repeat(days, np.diff(table.ends))]


def _auc(low: Array, high: Array) -> float:
    """Mann and Whitney's statistic: how often a value of ``high`` lies above one of ``low``."""
    ranks = rankdata(np.concatenate([low, high]))
    return float((ranks[len(low):].sum() - len(high) * (len(high) + 1) / 2) / max(len(low) * len(high), 1))
