"""How far the mean of a few days may lie from the mean of a reference, by nothing but the series' own wandering.

Hourly values of an autocorrelated feature say little more than their daily means, so everything here works on one
value per day. Two estimates of the variance are made, and the larger is taken: an error that is too small rings
every week, one that is too large costs a little power.

* AR(1) in the daily means, with the least-squares coefficient corrected for its bias, (1 + 3 phi) / n (Marriott and
  Pope 1954, "Bias in the estimation of autocorrelations", Biometrika 41), and moved up by ``CAUTION`` standard errors;
* the mean square of what windows of the same length, slid over the reference, differ from the rest of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.monitoring.windows import slide

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Standard errors by which the coefficient is taken larger than estimated.
CAUTION = 1.0
#: No coefficient is taken larger than this: beyond, the levels are not watched anyway.
LARGEST = 0.97


def persistence(daily: Array) -> tuple[Array, Array, Array]:
    """AR(1) of each column of daily means.

    Args:
        daily: shape (days, series); NaN where a day is missing.

    Returns:
        coefficient as estimated, the cautious one, and the variance of the innovations; each of shape (series,).
    """
    present = np.isfinite(daily)
    known = np.maximum(present.sum(axis=0), 2)
    centred = np.where(present, daily - _mean(daily, present), 0.0)
    variance = (centred ** 2).sum(axis=0) / (known - 1)
    pairs = np.maximum((present[1:] & present[:-1]).sum(axis=0), 1)
    lagged = (centred[1:] * centred[:-1]).sum(axis=0) / pairs
    phi = np.clip(np.divide(lagged, variance, out=np.zeros_like(variance), where=variance > 0), 0.0, LARGEST)
    cautious = phi + (1 + 3 * phi) / known + CAUTION * np.sqrt((1 - phi ** 2) / known)
    return phi, np.minimum(cautious, LARGEST), variance * (1 - phi ** 2)


def variance_of_means(daily: Array, window: int) -> Array:
    """Variance of (mean of ``length`` days) - (mean of the reference), for each length 1 … ``window``.

    Args:
        daily: shape (days, series), daily means of the reference; NaN where a day is missing.
        window: days of a check.

    Returns:
        shape (window, series); 0 for a constant series.
    """
    _, phi, innovations = persistence(daily)
    level = innovations / (1 - phi ** 2)
    lengths = [*range(1, window + 1), max(len(daily), window)]
    spread = np.array([level * _factor(phi, length) for length in lengths])
    total = spread[:-1] + spread[-1]
    seen = slid(daily, window)
    ratio = np.divide(seen, total[-1], out=np.ones_like(seen), where=total[-1] > 0)
    return np.asarray(total * np.maximum(ratio, 1.0))


def _factor(phi: Array, length: int) -> Array:
    """Variance of the mean of ``length`` values of an AR(1) of unit variance."""
    lag = np.arange(1, length)[:, None]
    return np.asarray((1 + 2 * ((1 - lag / length) * phi ** lag).sum(axis=0)) / length)


def slid(daily: Array, window: int) -> Array:
    """Mean square of (mean of a window) - (mean of the rest), shape (series,)."""
    present = np.isfinite(daily)
    values, known = np.where(present, daily, 0.0), present.astype(np.float64)
    inside, count = slide(values, window), slide(known, window)
    outside, others = values.sum(axis=0) - inside, known.sum(axis=0) - count
    gap = inside / np.maximum(count, 1) - outside / np.maximum(others, 1)
    whole = (count >= window / 2) & (others >= 1)
    return np.asarray(np.where(whole, gap ** 2, 0.0).sum(axis=0) / np.maximum(whole.sum(axis=0), 1))


def _mean(daily: Array, present: np.ndarray[Any, Any]) -> Array:
    return np.asarray(np.where(present, daily, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1))
