"""Where a recursion begins, so that its value does not depend on where the array does.

What remembers every bar since its first (an exponential mean, Wilder's smoothing, a fitted filter) starts anew at fixed
hours of the calendar: the rows of one week, Monday 00:00 to Sunday 23:00 UTC, carry what began ``warmup`` hours before
that Monday. So a row sees at most ``warmup`` + 167 hours before its own, whatever it is computed with.
"""

from __future__ import annotations

import math

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment.hours import Ints

WEEK = 168
#: What may be left of a recursion's seed when its first row is read.
FADED = 1e-7
#: Hours that a fitted model of a week's rows is fitted on: the four weeks before.
FIT = 4 * WEEK
#: 1970-01-05 00:00 UTC, the first Monday, in hours since 1970.
_MONDAY = 96


def warmup(seed: int, factor: float) -> int:
    """Whole weeks, in hours, after which less than `FADED` of the mean of the first ``seed`` values is left in
    m += ``factor`` (x - m)."""
    return WEEK * math.ceil((seed + math.log(FADED) / math.log1p(-factor)) / WEEK)


def lookback(warmup: int) -> int:
    """How many bars before its own a row sees, at most: on Sunday, 23:00."""
    return warmup + WEEK - 1


def mondays(first: int, hours: int, warmup: int) -> Ints:
    """Rows at which a week begins and that have ``warmup`` rows before them, in an array of ``hours`` rows whose row 0
    opens at hour ``first`` since 1970-01-01 00:00 UTC."""
    monday = (_MONDAY - first) % WEEK
    monday += -(-max(warmup - monday, 0) // WEEK) * WEEK
    return np.arange(monday, hours, WEEK, dtype=np.int64)


def plain(values: FloatArray) -> FloatArray:
    """C-contiguous float64, so that each compiled loop exists once.

    Raises:
        ValueError: not of shape (hours, symbols).
    """
    if values.ndim != 2:
        raise ValueError(f"the array has {values.ndim} dimensions; recursive indicators need (hours, symbols)")
    return np.ascontiguousarray(values, dtype=np.float64)
