"""What one day of a column looks like: its level, its spread, and how much of it is missing.

Level: the mean normal score of the day's values (van der Waerden 1952: the standard normal quantile of the rank in
the reference). Beyond the reference's range the score goes on in its standard deviations, so that a column that has
left the range altogether is seen the further off the further it is.

Spread: the standard deviation within a day and symbol, pooled over symbols, relative to the reference's median day.
Within a day, because the variance between days of a series that wanders is known from a few days only. It is taken as
1 - 1 / ratio, the Box-Cox transform with lambda -1 (Box and Cox 1964): volatility has quiet days and wild ones, and in
the logarithm the wild ones still lie so far out that no limit learnt from a quiet quarter would hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from pipelines.monitoring.windows import calendar_days

Array = np.ndarray[Any, np.dtype[np.float64]]
Index = np.ndarray[Any, np.dtype[np.int64]]

KNOTS = 256
#: No score is larger than this.
CAP = 10.0
#: A day's spread is taken for at least this share of the reference's median.
LEAST_SPREAD = 0.01
#: Gaps longer than this many usual steps are not bridged by a difference.
BRIDGE = 1.5


@dataclass(frozen=True)
class Ruler:
    """Normal scores of one column.

    Attributes:
        knots: ascending values, shape (k,), in standard deviations of the reference around its mean.
        scores: at the knots, shape (k,); mean 0 and standard deviation 1 over the reference.
        mean, std: of the reference's finite values, in the column's own unit.
    """

    knots: Array
    scores: Array
    mean: float
    std: float

    @classmethod
    def of(cls, values: Array) -> Ruler | None:
        """For the finite values ``values`` (rows,); None when they are constant."""
        if not values.size:
            return None
        mean, std = float(values.mean()), float(values.std())
        # A spread at the level of rounding is a constant, whatever its size.
        if std <= 1e-12 * max(abs(mean), 1e-300):
            return None
        ordered = np.sort((values - mean) / std)
        at = np.linspace(0, ordered.size - 1, min(KNOTS, ordered.size)).round().astype(np.int64)
        knots = np.unique(ordered[at])
        if knots.size < 2:  # nearly all the same: the few others are the news
            knots = np.unique(ordered[[0, -1]])
        # Ranks in the middle of ties, so that a column of few values has symmetric scores.
        rank = (np.searchsorted(ordered, knots, "left") + np.searchsorted(ordered, knots, "right")) / 2
        scores = ndtri(np.clip(rank / ordered.size, 0.5 / ordered.size, 1 - 0.5 / ordered.size))
        told = np.interp(ordered, knots, scores)
        return cls(knots, (scores - told.mean()) / max(float(told.std()), 1e-12), mean, std)

    def scaled(self, values: Array) -> Array:
        """In standard deviations of the reference around its mean; any shape."""
        return np.asarray((values - self.mean) / self.std)

    def score(self, scaled: Array) -> Array:
        """Normal scores of finite scaled values; any shape."""
        inside = np.interp(scaled, self.knots, self.scores)
        beyond = np.maximum(scaled - self.knots[-1], 0.0) - np.maximum(self.knots[0] - scaled, 0.0)
        return np.asarray(np.clip(inside + beyond, -CAP, CAP))


@dataclass(frozen=True)
class Rows:
    """Where the rows of a frame stand: sorted by symbol and time.

    Attributes:
        order: positions in the frame, shape (rows,).
        day: days of the UTC calendar since the first row, shape (rows,).
        cell: number of the row's day and symbol, shape (rows,); ``cells`` of them, day by day.
        follows: whether the row before is the one before it of the same symbol, shape (rows,).
        step: the usual seconds between rows of a symbol.
    """

    order: Index
    day: Index
    cell: Index
    cells: int
    days: int
    follows: np.ndarray[Any, np.dtype[np.bool_]]
    step: float

    @classmethod
    def of(cls, frame: pd.DataFrame, step: float | None = None) -> Rows:
        """``step``: of the reference; by default the median of this frame."""
        times = frame["event_time"]
        seconds = (times - times.min()).to_numpy().astype("timedelta64[s]").astype(np.int64)
        symbol = (pd.factorize(frame["symbol"], sort=True)[0] if "symbol" in frame else np.zeros(len(frame), np.int64))
        order = np.lexsort((seconds, symbol))
        # When rows were known, where the frame says so: a window ends at a midnight of that clock.
        day = calendar_days(frame.get("available_at", times))
        day, symbol, seconds = day[order], symbol[order], seconds[order]
        gap = np.diff(seconds, prepend=0)
        same = np.concatenate([[False], symbol[1:] == symbol[:-1]]) if len(frame) else np.zeros(0, bool)
        usual = step if step is not None else (float(np.median(gap[same])) if same.any() else 0.0)
        symbols, days = int(symbol.max(initial=0)) + 1, int(day.max(initial=-1)) + 1
        return cls(order, day, day * symbols + symbol, days * symbols, days, same & (gap <= BRIDGE * usual), usual)

    def values(self, column: Array, differenced: bool) -> Array:
        """The column, or its changes from row to row, in this order; NaN where there is no row before."""
        ordered = column[self.order]
        if not differenced:
            return ordered
        changes = np.full(ordered.size, np.nan)
        changes[1:] = np.where(self.follows[1:], ordered[1:] - ordered[:-1], np.nan)
        return changes

    def per_day(self, values: Array) -> Array:
        """Sums of ``values`` (rows, columns) by day: shape (days, columns)."""
        return _sums(self.day, self.days, values)

    def within(self, scaled: Array, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
        """Standard deviation within day and symbol, pooled over symbols: shape (days, columns); NaN where no symbol
        has two values.

        Args:
            scaled: shape (rows, columns), 0 where missing.
            known: the same shape.
        """
        count, total, square = (_sums(self.cell, self.cells, part) for part in (
            known.astype(np.float64), scaled, scaled ** 2))
        rest = np.maximum(square - total ** 2 / np.maximum(count, 1.0), 0.0)
        shape = (self.days, -1, scaled.shape[1])
        degrees = np.maximum(count - 1, 0.0).reshape(shape).sum(axis=1)
        rest = np.where(count > 1, rest, 0.0).reshape(shape).sum(axis=1)
        return np.asarray(np.sqrt(np.divide(rest, degrees, out=np.full(rest.shape, np.nan), where=degrees > 0)))


def spread(within: Array, usual: Array) -> Array:
    """The transform of the standard deviation within days, shape (days, columns), by the reference's median day
    ``usual`` (columns,); NaN where that is 0."""
    ratio = np.divide(within, usual, out=np.full(within.shape, np.nan), where=usual > 0)
    return np.asarray(1 - 1 / np.maximum(ratio, LEAST_SPREAD))


def _sums(at: Index, size: int, values: Array) -> Array:
    columns = values.shape[1]
    flat = (at[:, None] * columns + np.arange(columns)).ravel()
    sums = np.bincount(flat, weights=values.ravel(), minlength=size * columns).astype(np.float64)
    return np.asarray(sums.reshape(size, columns))
