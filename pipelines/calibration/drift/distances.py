"""Exact two-sample distances of many trailing windows from one reference, for rules that others use.

Nothing here is the product's: it counts in bins (``monitoring.distances``). SciPy does the same sums anew for each
window and column, which takes minutes a year; sorting the reference once takes tenths of a second.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from pipelines.calibration.drift.track import Flags, Ints
from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel

#: SciPy's ``ks_2samp`` counts paths exactly for samples up to this size.
EXACT = 10_000
#: The exact p-value is asked for where Kolmogorov's distribution is within this factor of the level.
_NEAR = 1.3
PSI_BINS, EMPTY_SHARE = 10, 1e-4


@kernel
def distances(reference: FloatArray, values: FloatArray, starts: Ints, stops: Ints) -> tuple[FloatArray, FloatArray]:
    """Kolmogorov-Smirnov's and Wasserstein's (first, in the values' unit) distance of each window from the reference.

    Args:
        reference: ascending, shape (columns, rows).
        values: shape (columns, rows); finite.
        starts, stops: the windows' rows, shape (windows,).

    Returns:
        Two arrays of shape (windows, columns).
    """
    columns, known = reference.shape
    greatest, area = np.zeros((len(starts), columns)), np.zeros((len(starts), columns))
    for number in range(len(starts)):
        for column in range(columns):
            then, now = reference[column], np.sort(values[column, starts[number]:stops[number]])
            left, right, gap, total, widest = 0, 0, 0.0, 0.0, 0.0
            at = min(then[0], now[0])
            while left < known or right < len(now):
                upto = now[right] if left == known or (right < len(now) and now[right] < then[left]) else then[left]
                total += abs(gap) * (upto - at)
                at = upto
                while left < known and then[left] == at:
                    left += 1
                while right < len(now) and now[right] == at:
                    right += 1
                gap = left / known - right / len(now)
                widest = max(widest, abs(gap))
            greatest[number, column], area[number, column] = widest, total
    return greatest, area


def ks_rejects(distance: FloatArray, reference: FloatArray, windows: list[FloatArray], level: float) -> Flags:
    """Whether ``scipy.stats.ks_2samp`` has a p-value of at most ``level``, shape (windows, columns).

    Args:
        distance: shape (windows, columns), from `distances`.
        reference: shape (rows, columns). windows: each of shape (rows, columns), all of the same size.
    """
    before, now = len(reference), len(windows[0])
    law = stats.kstwo(round(before * now / (before + now)))
    if max(before, now) > EXACT:
        beyond: Flags = distance >= law.isf(level)
        return beyond
    surely, hardly = law.isf(level / _NEAR), law.isf(level * _NEAR)
    found: Flags = distance >= surely
    steps = np.rint(distance * np.lcm(before, now)).astype(np.int64)
    for window, column in zip(*np.nonzero(~found & (distance > hardly)), strict=True):
        key = (before, now, int(steps[window, column]))
        if key not in _exact():
            _exact()[key] = float(stats.ks_2samp(reference[:, column], windows[window][:, column]).pvalue)
        found[window, column] = _exact()[key] <= level
    return found


@lru_cache(maxsize=1)
def _exact() -> dict[tuple[int, int, int], float]:
    """p-values that were counted: they depend on the sizes and the distance only, which comes in steps."""
    return {}


def psi(reference: FloatArray, values: FloatArray, starts: Ints, stops: Ints) -> FloatArray:
    """Population stability index over tenths of the reference, an empty bin counting as ``EMPTY_SHARE`` (N. Siddiqi,
    *Credit Risk Scorecards*, 2006), shape (windows, columns).

    Args:
        reference, values: shape (rows, columns). starts, stops: the windows' rows, shape (windows,).
    """
    found = np.empty((len(starts), values.shape[1]))
    for column in range(values.shape[1]):
        inner = np.unique(np.quantile(reference[:, column], np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
        bins = len(inner) + 1
        expected = np.bincount(np.searchsorted(inner, reference[:, column]), minlength=bins) / len(reference)
        one = np.eye(bins)[np.searchsorted(inner, values[:, column])]
        summed = np.concatenate([np.zeros((1, bins)), np.cumsum(one, axis=0)])
        actual = (summed[stops] - summed[starts]) / (stops - starts)[:, None]
        expected, actual = np.maximum(expected, EMPTY_SHARE), np.maximum(actual, EMPTY_SHARE)
        found[:, column] = ((actual - expected) * np.log(actual / expected)).sum(axis=1)
    return found
