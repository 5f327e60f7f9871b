"""Trailing window functions whose value at a row does not depend on where the array begins.

A running sum carries the rounding of everything that came before it; two computations that begin on different days
then differ in the last bits, and "the same feature in training and in serving" is no longer true. Here each window is
added up by itself, newest row first: the same operations in the same order for every row, wherever the array begins
and whatever stands beside it. ``features.kernels`` has the loops, which are compiled at their first use.

Arrays are float64 of shape (time,) or (time, symbols), oldest row first. NaN marks a missing value: a window counts
what is there and is NaN when less than ``PRESENT`` of it is there; rows before the array's start count as missing.
"""

from __future__ import annotations

import math

import numpy as np

from pipelines.contracts.ports import FloatArray

#: A window with a smaller share of present values has no value. One missing hour must not blind a week.
PRESENT = 0.9


def shift(values: FloatArray, rows: int) -> FloatArray:
    """The value ``rows`` earlier; NaN where there is none."""
    rows = min(rows, len(values))
    moved = np.empty_like(values)
    moved[:rows] = np.nan
    moved[rows:] = values[:len(values) - rows]
    return moved


def window_count(values: FloatArray, width: int) -> FloatArray:
    """How many of the last ``width`` values are present."""
    return _roll(values, width, "COUNT")


def window_sum(values: FloatArray, width: int) -> FloatArray:
    """Sum of the present values among the last ``width``."""
    return _roll(values, width, "SUM")


def window_mean(values: FloatArray, width: int) -> FloatArray:
    """Mean of the present values among the last ``width``."""
    return _roll(values, width, "MEAN")


def window_max(values: FloatArray, width: int) -> FloatArray:
    """Largest present value among the last ``width``; a zero is +0."""
    return _roll(values, width, "MAX")


def window_min(values: FloatArray, width: int) -> FloatArray:
    """Smallest present value among the last ``width``; a zero is +0."""
    return _roll(values, width, "MIN")


def window_std(values: FloatArray, width: int) -> FloatArray:
    """Population standard deviation of the present values among the last ``width``, in two passes: squares are taken
    around the window's own mean, so a large mean does not eat the digits."""
    return _roll(values, width, "STD")


def _roll(values: FloatArray, width: int, what: str) -> FloatArray:
    if width < 1:
        raise ValueError(f"width is {width}; a window holds at least one row")
    from pipelines.features.numerics import (
        kernels,  # numba: a third of a second that a command without features need not spend
    )

    columns = np.ascontiguousarray(values, dtype=np.float64).reshape(len(values), math.prod(values.shape[1:]))
    found: FloatArray = kernels.roll(columns, width, math.ceil(PRESENT * width), getattr(kernels, what))
    return found.reshape(values.shape)
