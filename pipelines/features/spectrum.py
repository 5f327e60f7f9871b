"""What the spectral groups share: gap-free returns, weighted trailing sums, and the averaged periodogram of each row.

Everything here works on hourly log returns and not on prices: a price is a walk whose spectrum is all trend (its power
falls with the square of the frequency), which hides cycles and makes any window end in a step. A missing return counts
as none (0), as long as ``rolling.PRESENT`` of a window is there; windows with less have no value.

*The same bits for a row alone and among others.* A batched transform may add up a row's terms in another order, or with
other instructions, when it has more rows to fill its vectors with. So: weighted sums run term by term (newest first)
over whole blocks of rows, where each row is one place of an elementwise operation. There are no matrix products. And
``numpy.fft`` transforms as many rows at once as a vector register holds, and what remains one by one: equal on most
processors, but not where only one of the two fuses its multiplications and additions. It is always given a multiple of
``_TOGETHER`` rows, so that none remains. Rows whose look-back begins before the array have no value: one live row costs
one window.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT

#: Values that are worked on together: 8 KiB, so that a block and its sums stay in the first cache.
_BLOCK = 1024
#: Segments that are transformed in one call, and the number of which that is always a multiple: more than any vector
#: register holds.
_ROWS, _TOGETHER = 1024, 16
#: A window whose power is a smaller share of its squares is a constant and rounding.
_FLAT = 1e-20


def returns(bars: Bars) -> FloatArray:
    """Hourly log returns, 0 where missing (or not finite: a price of 0); see ``present`` for which windows may be
    used."""
    return np.where(np.isfinite(bars.log_return), bars.log_return, 0.0)


def present(bars: Bars, width: int) -> np.ndarray:  # type: ignore[type-arg]
    """Whether at least ``PRESENT`` of the last ``width`` returns are there; False for the first ``width`` rows, the
    look-back of so many returns. Shape of the bars.

    Counting by a running sum is allowed where nothing is rounded: these are whole numbers.
    """
    there = np.cumsum(np.isfinite(bars.log_return), axis=0)
    enough = np.zeros(there.shape, dtype=bool)
    if len(there) > width:
        enough[width:] = there[width:] - there[:-width] >= math.ceil(PRESENT * width)
    return enough


def by_column(bars: Bars, width: int, parts: int,
              of: Callable[[FloatArray, np.ndarray], FloatArray]) -> FloatArray:  # type: ignore[type-arg]
    """A statistic of single windows for all symbols, shape (parts, hours, symbols), NaN where there is none.

    Args:
        width: how many returns a window holds.
        of: the returns (hours,) of a symbol and the rows whose windows may be used → (rows, parts).
    """
    values, usable = returns(bars), present(bars, width)
    found = np.full((parts, *bars.close.shape), np.nan)
    for column in range(bars.close.shape[1]):
        rows = np.flatnonzero(usable[:, column])
        found[:, rows, column] = of(np.ascontiguousarray(values[:, column]), rows).T
    return found


def weighted(values: FloatArray, weights: FloatArray, step: int = 1) -> FloatArray:
    """sum over k of ``weights[k]`` * value ``k * step`` rows earlier; NaN where that reaches before the array.

    Args:
        values: (hours, symbols), without NaN except in first rows that have no value.
        weights: (terms,), the newest row's first.
    """
    values = np.ascontiguousarray(values)
    return _weighted(values.reshape(-1), np.ascontiguousarray(weights), step * values.shape[1]).reshape(values.shape)


@kernel
def _weighted(values: FloatArray, weights: FloatArray, step: int) -> FloatArray:
    """On rows laid end to end. Four terms a pass: added one after the other, as if each had its own."""
    total = np.full(len(values), np.nan)
    reach = (len(weights) - 1) * step
    even = len(weights) - len(weights) % 4
    for top in range(reach, len(values), _BLOCK):
        size = min(_BLOCK, len(values) - top)
        into = total[top:top + size]
        into[:] = 0.0
        for k in range(0, even, 4):
            one, two, three, four = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            a = values[top - k * step:top - k * step + size]
            b = values[top - (k + 1) * step:top - (k + 1) * step + size]
            c = values[top - (k + 2) * step:top - (k + 2) * step + size]
            d = values[top - (k + 3) * step:top - (k + 3) * step + size]
            for i in range(size):
                into[i] = (((into[i] + one * a[i]) + two * b[i]) + three * c[i]) + four * d[i]
        for k in range(even, len(weights)):
            weight, a = weights[k], values[top - k * step:top - k * step + size]
            for i in range(size):
                into[i] += weight * a[i]
    return total


def welch(values: FloatArray, chosen: np.ndarray, segment: int, segments: int) -> FloatArray:  # type: ignore[type-arg]
    """Power spectral density of the trailing window at the chosen rows, by Welch's averaged periodograms.

    Segments overlap by half, lose their mean and are tapered by a Hann window. A segment serves all the windows that
    it is part of: one transform a row, in place of ``segments``.

    Args:
        values: (hours,), without NaN.
        chosen: (rows,) indices, each at least ``segment * (segments + 1) / 2 - 1``.
        segment: its length, even.

    Returns:
        (rows, segment / 2): density (values² per cycle an hour, one-sided) at k / ``segment`` cycles an hour for
        k = 1 to segment / 2. The mean's own bin is left out.

    Source: P.D. Welch, "The Use of Fast Fourier Transform for the Estimation of Power Spectra", IEEE Transactions on
        Audio and Electroacoustics 15 (1967).
    """
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(segment) / segment)
    ends, place = np.unique(chosen[:, None] - segment // 2 * np.arange(segments), return_inverse=True)
    power = np.empty((len(ends), segment // 2))
    scale = 1.0 / float((taper * taper).sum())
    for top in range(0, len(ends), _ROWS):
        part = ends[top:top + _ROWS]
        _density(np.fft.rfft(_tapered(values, part, taper, _TOGETHER), axis=1), scale, power[top:top + _ROWS])
    return _averaged(power, place.reshape(len(chosen), segments))


@kernel
def _tapered(values: FloatArray, ends: np.ndarray, taper: FloatArray,  # type: ignore[type-arg]
             together: int) -> FloatArray:
    """The segments that end at ``ends``, without their means, times the taper; zeros up to a full number of rows."""
    size = len(taper)
    found = np.zeros(((len(ends) + together - 1) // together * together, size))
    for row in range(len(ends)):
        part = values[ends[row] - size + 1:ends[row] + 1]
        mean = 0.0
        for i in range(size):
            mean += part[i]
        mean /= size
        for i in range(size):
            found[row, i] = (part[i] - mean) * taper[i]
    return found


@kernel
def _density(transform: np.ndarray, scale: float, into: FloatArray) -> None:  # type: ignore[type-arg]
    rows, bins = into.shape
    for row in range(rows):
        for k in range(bins):
            value = transform[row, k + 1]
            into[row, k] = 2.0 * scale * (value.real * value.real + value.imag * value.imag)
        into[row, bins - 1] *= 0.5  # the highest frequency has no mirror image


@kernel
def _averaged(power: FloatArray, place: np.ndarray) -> FloatArray:  # type: ignore[type-arg]
    rows, segments = place.shape
    found = np.zeros((rows, power.shape[1]))
    for row in range(rows):
        for number in range(segments):
            for k in range(power.shape[1]):
                found[row, k] += power[place[row, number], k]
        for k in range(power.shape[1]):
            found[row, k] /= segments
    return found


@kernel
def shapes(power: FloatArray, squares: FloatArray, bands: np.ndarray) -> FloatArray:  # type: ignore[type-arg]
    """What a density looks like, row by row.

    Args:
        power: (rows, bins), bin k at a frequency in proportion to k + 1.
        squares: (rows,), mean of the squared values that the density is of: tells power from rounding.
        bands: (n + 1,) bin numbers, ascending: band i holds bins ``bands[i]`` to ``bands[i + 1]`` - 1.

    Returns:
        (rows, 5 + n): entropy (by its largest value: 1 is white noise); flatness (geometric by arithmetic mean); slope
        of ln power over ln frequency (least squares); number of the fullest bin, from 1; its ln power above that line;
        share of each band. NaN for a window without movement.
    """
    rows, bins = power.shape
    found = np.full((rows, 4 + len(bands)), np.nan)
    place, logs = np.empty(bins), np.empty(bins)
    centre = 0.0
    for k in range(bins):
        place[k] = math.log(k + 1.0)
        centre += place[k]
    centre /= bins
    spread = 0.0
    for k in range(bins):
        place[k] -= centre
        spread += place[k] * place[k]
    for row in range(rows):
        total = 0.0
        for k in range(bins):
            total += power[row, k]
        if not total > _FLAT * squares[row]:
            continue
        level, information, tilt, top = 0.0, 0.0, 0.0, 0
        for k in range(bins):
            share = max(power[row, k] / total, 1e-15)
            logs[k] = math.log(share)
            level += logs[k]
            information -= share * logs[k]
            tilt += place[k] * logs[k]
            if power[row, k] > power[row, top]:
                top = k
        level /= bins
        tilt /= spread
        found[row, 0] = information / math.log(bins)
        found[row, 1] = math.exp(level) * bins
        found[row, 2] = tilt
        found[row, 3] = top + 1.0
        found[row, 4] = logs[top] - level - tilt * place[top]
        for band in range(len(bands) - 1):
            part = 0.0
            for k in range(bands[band], bands[band + 1]):
                part += power[row, k]
            found[row, 5 + band] = part / total
    return found
