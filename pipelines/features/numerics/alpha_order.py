"""The order statistics of the ``alpha158`` group.

The window is kept sorted from row to row: a sorted window is the same however it was reached, so the law of all
features (a value does not depend on where the array begins) holds without sorting each window anew. Arrays, missing
bars and results are as in ``alpha``.
"""

from __future__ import annotations

import math

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.alpha import BLOCK
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT


@kernel
def _place(ordered: FloatArray, count: int, value: float) -> int:
    """How many of the first ``count`` are smaller than ``value``."""
    begin, end = 0, count
    while begin < end:
        middle = (begin + end) >> 1
        if ordered[middle] < value:
            begin = middle + 1
        else:
            end = middle
    return begin


@kernel
def _exchange(ordered: FloatArray, count: int, old: float, new: float) -> int:
    """Take ``old`` out of the sorted values and put ``new`` in (NaN: nothing to take or to put); the new count."""
    gap = count
    if not np.isnan(old):
        gap = _place(ordered, count, old)
        count -= 1
    if np.isnan(new):
        for place in range(gap, count):
            ordered[place] = ordered[place + 1]
        return count
    while gap < count and ordered[gap + 1] < new:
        ordered[gap] = ordered[gap + 1]
        gap += 1
    while gap > 0 and ordered[gap - 1] > new:
        ordered[gap] = ordered[gap - 1]
        gap -= 1
    ordered[gap] = new
    return count + 1


@kernel
def _quantile(ordered: FloatArray, count: int, share: float) -> float:
    exact = share * (count - 1)
    below = int(exact)
    if below == exact:
        return float(ordered[below])
    return float(ordered[below] + (ordered[below + 1] - ordered[below]) * (exact - below))


@kernel
def order(close: FloatArray, width: int) -> FloatArray:
    """Quantiles .8 and .2 by the close (between two values: linear), and the last close's rank among the window's
    (1 / n to 1, ties in the middle)."""
    hours, symbols = close.shape
    need = math.ceil(PRESENT * width)
    found = np.full((3, hours, symbols), np.nan)
    ordered = np.empty(width + 2)
    for top in range(0, hours, BLOCK):
        stop = min(top + BLOCK, hours)
        for column in range(symbols):
            count = 0
            for row in range(max(top - width, 0), top):
                count = _exchange(ordered, count, np.nan, close[row, column])
            for row in range(top, stop):
                price = close[row, column]
                old = close[row - width, column] if row >= width else np.nan
                count = _exchange(ordered, count, old, price)
                if count < need or np.isnan(price):
                    continue
                less = _place(ordered, count, price)
                upto = less + 1
                while upto < count and ordered[upto] == price:
                    upto += 1
                found[0, row, column] = _quantile(ordered, count, 0.8) / price
                found[1, row, column] = _quantile(ordered, count, 0.2) / price
                found[2, row, column] = 0.5 * (less + 1 + upto) / count
    return found
