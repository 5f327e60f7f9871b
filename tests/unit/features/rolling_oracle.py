"""The window functions as they were first written, whole-array additions in numpy: what ``rolling`` has to equal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.rolling import PRESENT


def window_count(values: FloatArray, width: int) -> FloatArray:
    """How many of the last ``width`` values are present."""
    missing = np.isnan(values)
    if not missing.any():
        rows = np.minimum(np.arange(1.0, len(values) + 1.0), width)
        return np.broadcast_to(rows.reshape(-1, *(1,) * (values.ndim - 1)), values.shape).copy()
    return _accumulate(np.where(missing, 0.0, 1.0), width, np.add, 0.0)


def window_sum(values: FloatArray, width: int) -> FloatArray:
    """Sum of the present values among the last ``width``."""
    return _accumulate(np.where(np.isnan(values), 0.0, values), width, np.add, 0.0, needs=values)


def window_mean(values: FloatArray, width: int) -> FloatArray:
    """Mean of the present values among the last ``width``."""
    return _divide(window_sum(values, width), window_count(values, width))


def window_max(values: FloatArray, width: int) -> FloatArray:
    """Largest present value among the last ``width``."""
    return _accumulate(np.where(np.isnan(values), -np.inf, values), width, np.maximum, -np.inf, needs=values)


def window_min(values: FloatArray, width: int) -> FloatArray:
    """Smallest present value among the last ``width``."""
    return -window_max(-values, width)


def window_std(values: FloatArray, width: int) -> FloatArray:
    """Population standard deviation of the present values among the last ``width``, in two passes: squares are taken
    around the window's own mean, so a large mean does not eat the digits."""
    mean = window_mean(values, width)
    total = np.zeros_like(values)
    for offset in range(min(width, len(values))):
        gap = values[:len(values) - offset] - mean[offset:]
        total[offset:] += np.where(np.isnan(gap), 0.0, gap * gap)
    spread = np.sqrt(_divide(total, window_count(values, width)))
    return np.where(np.isnan(mean), np.nan, spread)


def _divide(total: FloatArray, count: FloatArray) -> FloatArray:
    return total / np.where(count == 0, np.nan, count)


def _accumulate(values: FloatArray, width: int, combine: Callable[..., Any], empty: float, *,
                needs: FloatArray | None = None) -> FloatArray:
    """Combine each row with the ``width`` - 1 before it, newest first; NaN where too little of ``needs`` is there."""
    if width < 1:
        raise ValueError(f"width is {width}; a window holds at least one row")
    result = np.full_like(values, empty)
    for offset in range(min(width, len(values))):
        combine(result[offset:], values[:len(values) - offset], out=result[offset:])
    if needs is not None:
        result[window_count(needs, width) < math.ceil(PRESENT * width)] = np.nan
    return result
