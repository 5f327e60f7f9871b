"""Where a recursion begins, so that its value does not depend on where the array does.

What remembers every bar since its first (an exponential mean, Wilder's smoothing, a fitted filter) starts anew at fixed
hours of the calendar: the rows of one week, Monday 00:00 to Sunday 23:00 UTC, carry what began ``warmup`` hours before
that Monday. So a row sees at most ``warmup`` + 167 hours before its own, whatever it is computed with.
"""

from __future__ import annotations

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment.hours import Ints

WEEK = 168
#: Of the indicators, in hours: e^-18 of an EMA50's seed is left when its first row is read.
WARMUP = 3 * WEEK
#: How many bars before its own an indicator's row sees, at most: on Sunday, 23:00.
LOOKBACK = WARMUP + WEEK - 1
#: Of fitted models, in hours: the weeks that a week's model is fitted on.
FIT = 4 * WEEK
#: 1970-01-05 00:00 UTC, the first Monday, in hours since 1970.
_MONDAY = 96


def mondays(first: int, hours: int, warmup: int = WARMUP) -> Ints:
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
