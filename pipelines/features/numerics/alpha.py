"""The trailing-window kernels of the ``alpha158`` group; those that sort are in ``alpha_order``.

Every statistic is that of one window by itself: sums run newest row first, one whole block of rows at a time, so that
the operations of a row are the same in the same order wherever the array begins and whatever else is in it.

Arrays are float64 of shape (hours, symbols), C-contiguous, NaN where a bar is missing. A window counts what is there,
at its place in time, and has no value when less than ``rolling.PRESENT`` of it is there. Results have one more axis in
front, one entry per statistic, in the order that each kernel names.
"""

from __future__ import annotations

import math

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT

#: Rows that are worked on together: few enough for the processor's nearest caches.
BLOCK = 512
#: qlib's guard against a division by nothing.
TINY = 1e-12
#: qlib calls a window flat, and leaves its correlation out, when a standard deviation is at most this.
FLAT = 2e-5


@kernel
def _fill(values: FloatArray, column: int, begin: int, into: FloatArray, there: FloatArray) -> None:
    """Rows from ``begin`` on of one column, 0 where missing or before the array; ``there``: 1 or 0."""
    for place in range(len(into)):
        row = begin + place
        value = values[row, column] if row >= 0 else np.nan
        missing = np.isnan(value)
        into[place] = 0.0 if missing else value
        there[place] = 0.0 if missing else 1.0


@kernel
def _add(values: FloatArray, width: int, total: FloatArray) -> None:
    """Window sums: ``values`` is ``width`` - 1 longer than ``total``."""
    rows = len(total)
    total[:] = 0.0
    for last in range(width - 1, -1, -1):
        part = values[last:last + rows]
        for row in range(rows):
            total[row] += part[row]


@kernel
def _moments(values: FloatArray, there: FloatArray, width: int, count: FloatArray, mean: FloatArray,
             squares: FloatArray) -> None:
    """Count, mean, and sum of squares around the mean, in two passes so that a large mean does not eat the digits."""
    rows = len(count)
    _add(there, width, count)
    _add(values, width, mean)
    for row in range(rows):
        mean[row] /= max(count[row], 1.0)
        squares[row] = 0.0
    for last in range(width - 1, -1, -1):
        part, present = values[last:last + rows], there[last:last + rows]
        for row in range(rows):
            gap = (part[row] - mean[row]) * present[row]
            squares[row] += gap * gap


@kernel
def line(close: FloatArray, width: int) -> FloatArray:
    """Mean, standard deviation (n - 1), and of the least-squares line over time its slope per bar, R squared and
    residual at the last bar; all but R squared divided by the close."""
    hours, symbols = close.shape
    need = math.ceil(PRESENT * width)
    found = np.full((5, hours, symbols), np.nan)
    work = np.empty((8, BLOCK + width - 1))
    for top in range(0, hours, BLOCK):
        rows = min(BLOCK, hours - top)
        values, there = work[0, :rows + width - 1], work[1, :rows + width - 1]
        count, mean, squares = work[2, :rows], work[3, :rows], work[4, :rows]
        middle, times, product = work[5, :rows], work[6, :rows], work[7, :rows]
        for column in range(symbols):
            _fill(close, column, top - width + 1, values, there)
            _moments(values, there, width, count, mean, squares)
            middle[:] = 0.0
            times[:] = 0.0
            product[:] = 0.0
            for last in range(width):
                present = there[last:last + rows]
                for row in range(rows):
                    middle[row] += last * present[row]
            for row in range(rows):
                middle[row] /= max(count[row], 1.0)
            for last in range(width - 1, -1, -1):
                part, present = values[last:last + rows], there[last:last + rows]
                for row in range(rows):
                    place = (last - middle[row]) * present[row]
                    times[row] += place * place
                    product[row] += place * (part[row] - mean[row])
            for row in range(rows):
                price = values[row + width - 1]
                if count[row] < need or there[row + width - 1] == 0.0:
                    continue
                slope = product[row] / times[row]
                spread = math.sqrt(squares[row] / (count[row] - 1.0))
                found[0, top + row, column] = mean[row] / price
                found[1, top + row, column] = spread / price
                found[2, top + row, column] = slope / price
                if spread > FLAT:
                    found[3, top + row, column] = product[row] * slope / squares[row]
                rest = price - mean[row] - slope * (width - 1 - middle[row])
                found[4, top + row, column] = rest / price
    return found


@kernel
def _highest(values: FloatArray, width: int, best: FloatArray, place: FloatArray) -> None:
    """Largest value of each window and where it is (1: the oldest row), of equal ones the oldest."""
    rows = len(best)
    best[:] = -np.inf
    for last in range(width - 1, -1, -1):
        part = values[last:last + rows]
        for row in range(rows):
            higher = part[row] >= best[row]
            best[row] = part[row] if higher else best[row]
            place[row] = last + 1.0 if higher else place[row]


@kernel
def extremes(high: FloatArray, low: FloatArray, close: FloatArray, width: int) -> FloatArray:
    """Highest high and lowest low by the close, the close's place between them, and when they were (1: the oldest
    bar, ``width``: the last; of equal ones the oldest) and their distance in time, all three by ``width``."""
    hours, symbols = close.shape
    need = math.ceil(PRESENT * width)
    found = np.full((6, hours, symbols), np.nan)
    work = np.empty((8, BLOCK + width - 1))
    for top in range(0, hours, BLOCK):
        rows = min(BLOCK, hours - top)
        highs, lows, there = work[0, :rows + width - 1], work[1, :rows + width - 1], work[2, :rows + width - 1]
        count, best, worst, at_best, at_worst = work[3, :rows], work[4, :rows], work[5, :rows], work[6, :rows], work[7]
        for column in range(symbols):
            _fill(low, column, top - width + 1, lows, there)
            _fill(high, column, top - width + 1, highs, there)
            for place in range(rows + width - 1):
                highs[place] = highs[place] if there[place] == 1.0 else -np.inf
                lows[place] = -lows[place] if there[place] == 1.0 else -np.inf
            _add(there, width, count)
            _highest(highs, width, best, at_best)
            _highest(lows, width, worst, at_worst)
            for row in range(rows):
                price, lowest = close[top + row, column], -worst[row]
                if count[row] < need or np.isnan(price):
                    continue
                found[0, top + row, column] = best[row] / price
                found[1, top + row, column] = lowest / price
                found[2, top + row, column] = (price - lowest) / (best[row] - lowest + TINY)
                found[3, top + row, column] = at_best[row] / width
                found[4, top + row, column] = at_worst[row] / width
                found[5, top + row, column] = (at_best[row] - at_worst[row]) / width
    return found


@kernel
def moves(values: FloatArray, width: int) -> FloatArray:
    """Share of the rises, of the falls, and the difference; sum of the rises, of the falls, and the difference, each
    by the sum of all moves. The window holds ``width`` moves from one bar to the next."""
    hours, symbols = values.shape
    need = math.ceil(PRESENT * width)
    found = np.full((6, hours, symbols), np.nan)
    work = np.empty((12, BLOCK + width))
    for top in range(0, hours, BLOCK):
        rows = min(BLOCK, hours - top)
        level, there = work[0, :rows + width], work[1, :rows + width]
        both, rise, fall = work[2, :rows + width - 1], work[3, :rows + width - 1], work[4, :rows + width - 1]
        rose, fell = work[5, :rows + width - 1], work[6, :rows + width - 1]
        count, up, down, ups, downs = (work[7, :rows], work[8, :rows], work[9, :rows], work[10, :rows],
                                       work[11, :rows])
        for column in range(symbols):
            _fill(values, column, top - width, level, there)
            for place in range(rows + width - 1):
                both[place] = there[place] * there[place + 1]
                move = (level[place + 1] - level[place]) * both[place]
                rise[place], fall[place] = max(move, 0.0), max(-move, 0.0)
                rose[place], fell[place] = 1.0 if move > 0.0 else 0.0, 1.0 if move < 0.0 else 0.0
            _add(both, width, count)
            _add(rise, width, up)
            _add(fall, width, down)
            _add(rose, width, ups)
            _add(fell, width, downs)
            for row in range(rows):
                if count[row] < need:
                    continue
                found[0, top + row, column] = ups[row] / count[row]
                found[1, top + row, column] = downs[row] / count[row]
                found[2, top + row, column] = ups[row] / count[row] - downs[row] / count[row]
                total = up[row] + down[row] + TINY
                found[3, top + row, column] = up[row] / total
                found[4, top + row, column] = down[row] / total
                found[5, top + row, column] = (up[row] - down[row]) / total
    return found


@kernel
def steps(close: FloatArray, volume: FloatArray) -> FloatArray:
    """ln(volume + 1); close by the close before; ln(volume by the volume before + 1), infinite where that is undefined
    because nothing was traded; and the size of the return times the volume. NaN where a bar is missing."""
    hours, symbols = close.shape
    found = np.full((4, hours, symbols), np.nan)
    for row in range(hours):
        for column in range(symbols):
            traded = volume[row, column]
            found[0, row, column] = np.log(traded + 1.0)
            if row == 0 or np.isnan(traded):
                continue
            ratio = close[row, column] / close[row - 1, column]
            before = volume[row - 1, column]
            found[1, row, column] = ratio
            if before > 0.0:
                found[2, row, column] = np.log(traded / before + 1.0)
            elif before == 0.0:
                found[2, row, column] = np.inf
            found[3, row, column] = abs(ratio - 1.0) * traded
    return found


@kernel
def correlation(left: FloatArray, right: FloatArray, width: int) -> FloatArray:
    """Pearson's correlation (one statistic). A pair with an infinite side is present but left out; a flat side gives
    NaN."""
    hours, symbols = left.shape
    need = math.ceil(PRESENT * width)
    found = np.full((1, hours, symbols), np.nan)
    work = np.empty((11, BLOCK + width - 1))
    for top in range(0, hours, BLOCK):
        rows = min(BLOCK, hours - top)
        first, second = work[0, :rows + width - 1], work[1, :rows + width - 1]
        there, used = work[2, :rows + width - 1], work[3, :rows + width - 1]
        present, count = work[4, :rows], work[5, :rows]
        mean, other, squares, others, product = (work[6, :rows], work[7, :rows], work[8, :rows], work[9, :rows],
                                                 work[10, :rows])
        for column in range(symbols):
            _fill(left, column, top - width + 1, first, there)
            _fill(right, column, top - width + 1, second, used)
            for place in range(rows + width - 1):
                there[place] *= used[place]
                used[place] = there[place]
                if there[place] == 0.0 or np.isinf(second[place]):
                    first[place] = second[place] = used[place] = 0.0
            _add(there, width, present)
            _moments(first, used, width, count, mean, squares)
            _moments(second, used, width, count, other, others)
            product[:] = 0.0
            for last in range(width - 1, -1, -1):
                one, two, with_both = first[last:last + rows], second[last:last + rows], used[last:last + rows]
                for row in range(rows):
                    product[row] += (one[row] - mean[row]) * (two[row] - other[row]) * with_both[row]
            for row in range(rows):
                free = count[row] - 1.0
                if present[row] < need or free < 1.0:
                    continue
                if math.sqrt(squares[row] / free) > FLAT and math.sqrt(others[row] / free) > FLAT:
                    found[0, top + row, column] = product[row] / math.sqrt(squares[row] * others[row])
    return found


@kernel
def activity(values: FloatArray, width: int) -> FloatArray:
    """Mean and standard deviation (n - 1) by the last value, and the standard deviation by the mean."""
    hours, symbols = values.shape
    need = math.ceil(PRESENT * width)
    found = np.full((3, hours, symbols), np.nan)
    work = np.empty((5, BLOCK + width - 1))
    for top in range(0, hours, BLOCK):
        rows = min(BLOCK, hours - top)
        level, there = work[0, :rows + width - 1], work[1, :rows + width - 1]
        count, mean, squares = work[2, :rows], work[3, :rows], work[4, :rows]
        for column in range(symbols):
            _fill(values, column, top - width + 1, level, there)
            _moments(level, there, width, count, mean, squares)
            for row in range(rows):
                if count[row] < need:
                    continue
                spread = math.sqrt(squares[row] / (count[row] - 1.0))
                found[2, top + row, column] = spread / (mean[row] + TINY)
                if there[row + width - 1] == 1.0:
                    found[0, top + row, column] = mean[row] / (level[row + width - 1] + TINY)
                    found[1, top + row, column] = spread / (level[row + width - 1] + TINY)
    return found
