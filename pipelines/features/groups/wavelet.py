"""Where in time scales the movement is, and a price without its noise, by Daubechies' wavelet with four moments (db4).

*Energy*: the undecimated transform (MODWT) with 5 levels; level j sees periods of 2^j to 2^(j+1) hours. Its filters
only look back, so it needs no rule for the ends of a window, and unlike the decimated one it does not change with the
hour that a window begins in (Percival & Walden, *Wavelet Methods for Time Series Analysis*, Cambridge 2000, chapter 5,
equation 169; their variance by level, 306, without the coefficients that would look beyond the data).

*Denoising*: a trailing window of log prices, decimated transform with symmetric ends (Mallat, *A Wavelet Tour of Signal
Processing*), soft threshold sigma sqrt(2 ln n) with sigma from the median of the finest details (Donoho & Johnstone,
"Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994), and of the result only its last two values. Done
over a whole history at once it would let every row see its future: the usual way, and the usual leak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
import pywt

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.jit import kernel
from pipelines.features.spectrum import by_column, present, returns, weighted

LEVELS = 5
_DB4 = pywt.Wavelet("db4")
_LOW, _HIGH = np.array(_DB4.dec_lo), np.array(_DB4.dec_hi)
_LOW_BACK, _HIGH_BACK = np.array(_DB4.rec_lo), np.array(_DB4.rec_hi)
#: Hours over which energies are averaged: four to eight periods of the slowest level.
ENERGY_HOURS = 256
#: Hours that the filters of the slowest level reach back: (2^5 - 1) (8 - 1).
REACH = (2 ** LEVELS - 1) * (len(_LOW) - 1)
#: Hours whose log prices are denoised together.
DENOISE_HOURS = 256


def energies(values: FloatArray) -> list[FloatArray]:
    """Mean square of the MODWT coefficients of the last ``ENERGY_HOURS``: of the details of level 1 to ``LEVELS``,
    then of the last level's smooth. Arrays of the shape of ``values``, NaN for the first ``REACH + ENERGY_HOURS - 1``
    rows."""
    mean = np.full(ENERGY_HOURS, 1.0 / ENERGY_HOURS)
    smooth, found = values, []
    for level in range(LEVELS):
        detail = weighted(smooth, _HIGH / math.sqrt(2), 2 ** level)
        smooth = weighted(smooth, _LOW / math.sqrt(2), 2 ** level)
        found.append(weighted(detail * detail, mean))
    return [*found, weighted(smooth * smooth, mean)]


@kernel
def entropy(shares: FloatArray) -> FloatArray:
    """-sum p ln p over the first axis of ``shares`` (n, hours, symbols), by its largest value ln n."""
    levels, hours, symbols = shares.shape
    found = np.zeros((hours, symbols))
    for row in range(hours):
        for column in range(symbols):
            for level in range(levels):
                share = shares[level, row, column]
                if not share <= 0.0:  # a NaN goes on to be one
                    found[row, column] -= share * math.log(share)
            found[row, column] /= math.log(levels)
    return found


@kernel
def _down(values: FloatArray, low: FloatArray, high: FloatArray, work: FloatArray, smooth: FloatArray,
          detail: FloatArray) -> None:
    """One level down with symmetric ends: ``smooth[n]`` = sum of ``low[l]`` * value 2 n + 1 - l, ``detail`` the same
    with ``high``. ``work`` holds the values and their ends."""
    size, taps = len(values), len(low)
    for i in range(size):
        work[taps - 1 + i] = values[i]
    for i in range(taps - 1):
        work[taps - 2 - i], work[taps - 1 + size + i] = values[i], values[size - 1 - i]
    for n in range(len(smooth)):
        one, two = 0.0, 0.0
        for lag in range(taps):
            value = work[taps + 2 * n - lag]
            one += low[lag] * value
            two += high[lag] * value
        smooth[n], detail[n] = one, two


@kernel
def _median_size(values: FloatArray, work: FloatArray) -> float:
    """Median of the absolute values, by halving the range in which it lies."""
    size = len(values)
    for i in range(size):
        work[i] = abs(values[i])
    low, high, upper = 0, size - 1, size // 2
    while low < high:
        pivot, i, j = work[upper], low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if j < upper:
            low = i
        if i > upper:
            high = j
    middle: float = work[upper]
    if size % 2 == 0:
        below = work[0]
        for i in range(1, upper):
            below = max(below, work[i])
        middle = 0.5 * (middle + below)
    return middle


@kernel
def denoised(values: FloatArray, chosen: np.ndarray, width: int, levels: int, low: FloatArray,  # type: ignore[type-arg]
             high: FloatArray, low_back: FloatArray, high_back: FloatArray) -> FloatArray:
    """The last two values of the denoised path that the last returns make, and the noise that was found.

    Args:
        values: (hours,), log returns; chosen: rows, each at least ``width`` - 1.
        width: how many points the path has; its last is 0.
        low, high, low_back, high_back: the wavelet's decomposition and reconstruction filters.

    Returns:
        (rows, 3): the path's last denoised value, the one before, sigma of the noise.
    """
    taps = len(low)
    found = np.empty((len(chosen), 3))
    sizes = np.empty(levels + 1, np.int64)
    sizes[0] = width
    for level in range(levels):
        sizes[level + 1] = (sizes[level] + taps - 1) // 2
    smooth, detail = np.empty((levels + 1, width)), np.empty((levels + 1, width))
    work, tail = np.empty(width + 2 * taps), np.empty((2, width))
    for number in range(len(chosen)):
        path = smooth[0, :width]
        path[width - 1] = 0.0
        for back in range(1, width):
            path[width - 1 - back] = path[width - back] - values[chosen[number] - back + 1]
        for level in range(levels):
            _down(smooth[level, :sizes[level]], low, high, work, smooth[level + 1, :sizes[level + 1]],
                  detail[level + 1, :sizes[level + 1]])
        sigma = _median_size(detail[1, :sizes[1]], work) / 0.6744897501960817
        limit = sigma * math.sqrt(2.0 * math.log(width))
        now, then = tail[0], tail[1]
        now[:sizes[levels]] = smooth[levels, :sizes[levels]]
        for level in range(levels, 0, -1):
            size = sizes[level - 1]
            # Only what the last two values are made of: the last taps / 2 + 1 of this level, few of the next.
            for at in range(max(size - (2 if level == 1 else taps), 0), size):
                total = 0.0
                for k in range(max((at - 1) // 2, 0), min((at + taps - 2) // 2 + 1, sizes[level])):
                    lag = at + taps - 2 - 2 * k
                    if 0 <= lag < taps:
                        kept = detail[level, k]
                        kept = math.copysign(max(abs(kept) - limit, 0.0), kept)
                        total += low_back[lag] * now[k] + high_back[lag] * kept
                then[at] = total
            now, then = then, now
        found[number, 0], found[number, 1], found[number, 2] = now[width - 1], now[width - 2], sigma
    return found


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    @cache
    def shares() -> FloatArray:
        found = np.stack(energies(returns(bars)))
        total = np.zeros(bars.close.shape)
        for part in found:
            total += part
        found /= np.where((total > 0) & present(bars, ENERGY_HOURS + REACH), total, np.nan)
        return found

    @cache
    def denoise() -> FloatArray:
        return by_column(bars, DENOISE_HOURS - 1, 3, lambda values, rows: denoised(
            values, rows, DENOISE_HOURS, LEVELS, _LOW, _HIGH, _LOW_BACK, _HIGH_BACK))

    def share(level: int) -> FloatArray:
        found: FloatArray = shares()[level - 1]
        return found

    lazy: dict[str, Callable[[], FloatArray]] = {
        f"wavelet_energy_{level}": partial(share, level) for level in range(1, LEVELS + 1)}
    return {**lazy, "wavelet_entropy": lambda: entropy(shares()), "wavelet_distance": lambda: -denoise()[0],
            "wavelet_slope": lambda: denoise()[0] - denoise()[1], "wavelet_noise": lambda: denoise()[2]}


def _white(level: int) -> float:
    """A level's share of the energy of white noise."""
    return 0.5 ** level


_WHITE_ENTROPY = round(-sum(p * math.log(p) for p in [*map(_white, range(1, LEVELS + 1)), _white(LEVELS)])
                       / math.log(LEVELS + 1), 6)
_MODWT = f"MODWT with db4 of hourly log returns over {ENERGY_HOURS} h (Percival & Walden 2000)"
_SOFT = (f"{DENOISE_HOURS} log closes without noise: db4, {LEVELS} levels, soft threshold sigma sqrt(2 ln n) "
         "(Donoho & Johnstone 1994)")

GROUP = Group(
    "wavelet",
    (*(Feature(f"wavelet_energy_{level}", ("close",), ENERGY_HOURS + REACH, "share of energy",
               f"energy of level {level} (periods of {2 ** level} to {2 ** (level + 1)} h), {_MODWT}", _white(level))
       for level in range(1, LEVELS + 1)),
     Feature("wavelet_entropy", ("close",), ENERGY_HOURS + REACH, "share of its largest",
             f"-sum p ln p / ln 6, p: shares of levels 1 to {LEVELS} and of the smooth, {_MODWT}", _WHITE_ENTROPY),
     Feature("wavelet_distance", ("close",), DENOISE_HOURS - 1, "log price", f"ln c - last of {_SOFT}", 0.0),
     Feature("wavelet_slope", ("close",), DENOISE_HOURS - 1, "log price per hour", f"last step of {_SOFT}", 0.0),
     Feature("wavelet_noise", ("close",), DENOISE_HOURS - 1, "log price",
             "sigma: median size of the finest details / 0.6745 of " + _SOFT, 0.0)),
    from_bars=_compute, apart=True)
