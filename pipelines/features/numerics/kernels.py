"""The loops of ``features.rolling``, compiled.

Arrays have shape (rows, columns), C-contiguous; each column is worked on by itself. A block of rows, and the window's
width before it, is copied so that each column becomes a line: then the offset into the window is the outer loop and
the row the inner one, a vector instruction takes several rows at once, and everything it touches is in the first cache,
for one column as for five hundred. Every row adds newest first, whichever rows stand beside it; the additions that are
written out one after the other may not be regrouped.
"""

from __future__ import annotations

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel

#: Rows of a block.
BLOCK = 1024
#: Columns that are copied together: one cache line of a row.
LANES = 8
#: Statistics of a window.
COUNT, SUM, MEAN, STD, MAX, MIN = range(6)


@kernel
def fill(values: FloatArray, first: int, column: int, missing: float, lines: FloatArray, there: FloatArray) -> bool:
    """Rows from ``first`` on of the columns from ``column`` on, one line each; ``missing`` for NaN and before row 0,
    where ``there`` is 0 and not 1. Whether any is missing or infinite."""
    lanes, places = lines.shape
    before = min(max(-first, 0), places)
    rows = values[first + before:first + places, column:column + lanes]
    if values.shape[1] == 1:
        lines[0, before:] = values.reshape(values.size)[first + before:first + places]
    elif lanes == LANES:
        target = lines[:, before:]
        for place in range(len(rows)):
            for lane in range(LANES):
                target[lane, place] = rows[place, lane]
    else:
        target = lines[:, before:]
        for lane in range(lanes):
            for place in range(len(rows)):
                target[lane, place] = rows[place, lane]
    odd = 0
    for lane in range(lanes):
        line, present = lines[lane], there[lane]
        line[:before] = np.nan
        for place in range(places):
            value = line[place]
            odd += value - value != 0.0
            present[place] = 1.0 if value == value else 0.0
            line[place] = value if value == value else missing
    return odd > 0


@kernel
def add(line: FloatArray, width: int, total: FloatArray) -> None:
    """Window sums from zero, newest first; ``line`` begins ``width`` - 1 before ``total``."""
    rows = len(total)
    total[:] = 0.0
    at = width - 1
    while at >= 7:
        a, b, c, d = (line[at:at + rows], line[at - 1:at - 1 + rows], line[at - 2:at - 2 + rows],
                      line[at - 3:at - 3 + rows])
        e, f, g, h = (line[at - 4:at - 4 + rows], line[at - 5:at - 5 + rows], line[at - 6:at - 6 + rows],
                      line[at - 7:at - 7 + rows])
        for row in range(rows):
            four = (((total[row] + a[row]) + b[row]) + c[row]) + d[row]
            total[row] = (((four + e[row]) + f[row]) + g[row]) + h[row]
        at -= 8
    while at >= 0:
        part = line[at:at + rows]
        for row in range(rows):
            total[row] += part[row]
        at -= 1


@kernel
def known(value: float) -> float:
    """``value``, 0 for NaN."""
    return value if value == value else 0.0


@kernel
def add_squares(line: FloatArray, middle: FloatArray, width: int, total: FloatArray) -> None:
    """Window sums of (value - ``middle`` of the window's row)^2, newest first; what is NaN adds nothing."""
    rows = len(total)
    total[:] = 0.0
    at = width - 1
    while at >= 3:
        a, b, c, d = (line[at:at + rows], line[at - 1:at - 1 + rows], line[at - 2:at - 2 + rows],
                      line[at - 3:at - 3 + rows])
        for row in range(rows):
            mean = middle[row]
            e, f, g, h = a[row] - mean, b[row] - mean, c[row] - mean, d[row] - mean
            total[row] = (((total[row] + known(e * e)) + known(f * f)) + known(g * g)) + known(h * h)
        at -= 4
    while at >= 0:
        part = line[at:at + rows]
        for row in range(rows):
            gap = part[row] - middle[row]
            total[row] += known(gap * gap)
        at -= 1


@kernel
def count(there: FloatArray, width: int, odd: bool, found: FloatArray) -> None:
    """Present values of each window. They are whole numbers, so that a running count is exact."""
    if not odd:
        found[:] = width
        return
    seen = 0.0
    for place in range(width - 1):
        seen += there[place]
    newest = there[width - 1:]
    for row in range(len(found)):
        seen += newest[row]
        found[row] = seen
        seen -= there[row]


@kernel
def largest(line: FloatArray, width: int, work: FloatArray) -> None:
    """Largest value of each window, in the place of its last. A maximum is the same in whatever order it is taken, so
    windows of twice the width are made of two."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        work[:] = line
        newer, older, target = work[step:], work[:len(line) - step], line[step:]
        for place in range(len(target)):
            target[place] = newer[place] if newer[place] > older[place] else older[place]
        reach += step


@kernel
def roll(values: FloatArray, width: int, needed: float, what: int) -> FloatArray:
    """A statistic of each window, NaN where fewer than ``needed`` values are there: ``COUNT``, ``SUM``, ...."""
    rows, columns = values.shape
    result = np.empty((rows, columns))
    sign = -1.0 if what == MIN else 1.0
    missing = -np.inf * sign if what in (MAX, MIN) else 0.0
    size = min(BLOCK, rows) + width - 1
    lines, there, work = np.empty((LANES, size)), np.empty((LANES, size)), np.empty((2, size))
    totals = np.empty((LANES, min(BLOCK, rows)))
    for top in range(0, rows, BLOCK):
        high = min(BLOCK, rows - top)
        counts, means = work[0, :high], work[1, :high]
        for column in range(0, columns, LANES):
            lanes = min(LANES, columns - column)
            odd = fill(values, top - width + 1, column, missing, lines[:lanes, :high + width - 1],
                       there[:lanes, :high + width - 1])
            for lane in range(lanes):
                line, present = lines[lane, :high + width - 1], there[lane, :high + width - 1]
                total = totals[lane, :high]
                if what in (MAX, MIN):
                    for place in range(len(line)):
                        line[place] *= sign
                    largest(line, width, work[1, :len(line)])
                    last = line[width - 1:]
                    for row in range(high):
                        # Zero has two signs that compare as equal: which of them comes first must not show.
                        total[row] = last[row] * sign + 0.0
                count(present, width, odd, counts)
                if what == COUNT:
                    total[:] = counts
                    continue
                if what == SUM:
                    add(line, width, total)
                elif what == MEAN:
                    add(line, width, total)
                    for row in range(high):
                        total[row] /= counts[row]
                elif what == STD:
                    add(line, width, means)
                    for row in range(high):
                        means[row] /= counts[row]
                    if odd:  # a missing value counted as zero so far
                        for place in range(len(line)):
                            line[place] = line[place] if present[place] == 1.0 else np.nan
                    add_squares(line, means, width, total)
                    for row in range(high):
                        total[row] = np.nan if means[row] != means[row] else np.sqrt(total[row] / counts[row])
                for row in range(high):
                    total[row] = np.nan if counts[row] < needed else total[row]
            for row in range(high):
                for lane in range(lanes):
                    result[top + row, column + lane] = totals[lane, row]
    return result


