"""From a budget of false alarms a year to limits.

A variance that was estimated from a few independent days is itself uncertain, and a limit that forgets this rings in
every unlucky reference. So every statistic is judged by a distribution that knows how much history its variance
rests on: Student's t for one column, Fisher's F for sums of squares. Variances of columns are estimated together where
they agree: Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression",
Statistical Applications in Genetics and Molecular Biology 3(1), section 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, special, stats

Array = np.ndarray[Any, np.dtype[np.float64]]

CHECKS_PER_YEAR = 365.0
#: Prior degrees of freedom are at most this many: the columns are of different kinds after all.
MOST_PRIOR = 100.0


def independent_days(days: int, phi: Array) -> Array:
    """How many independent days are worth ``days`` days of an AR(1) with coefficient ``phi``, at least 1."""
    return np.maximum(days * (1 - phi) / (1 + phi), 1.0)


def moderated(variance: Array, degrees: Array, most: float = MOST_PRIOR) -> tuple[Array, Array]:
    """Variances of columns drawn towards each other as far as they agree (Smyth 2004, equations 8 to 10).

    Args:
        variance: shape (columns,), positive.
        degrees: of freedom of each estimate, shape (columns,).
        most: prior degrees of freedom, at most. Columns that move together agree without knowing more.

    Returns:
        variances and degrees of freedom, each of shape (columns,).
    """
    if variance.size < 3 or most < 1:
        return variance, degrees
    half = degrees / 2
    logs = np.log(variance) - special.digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    prior = most if excess <= float(special.polygamma(1, most / 2)) else 2 * float(
        optimize.brentq(lambda value: float(special.polygamma(1, value)) - excess, 1e-3, most))
    centre = float(np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)))
    return (prior * centre + degrees * variance) / (prior + degrees), prior + degrees


def student(alpha: Array | float, degrees: Array) -> Array:
    """What a studentised difference exceeds on either side with probability ``alpha``."""
    return np.asarray(stats.t.isf(alpha / 2, degrees))


def fisher(alpha: float, shared: float, degrees: float) -> float:
    """What the mean of squared studentised differences exceeds with probability ``alpha``, when they are worth
    ``shared`` independent ones and each variance rests on ``degrees`` degrees of freedom."""
    return float(stats.f.isf(alpha, shared, degrees))


def shared_degrees(daily: Array, independent: float | None = None) -> float:
    """How many independent columns the columns of ``daily`` (days, columns) are worth when their squares are averaged:
    columns^2 / sum of squared correlations (Satterthwaite 1946), less what chance correlates in so many days, or in
    ``independent`` ones."""
    present = np.isfinite(daily)
    centred = np.where(present, daily - np.nanmean(np.where(present.any(axis=0), daily, 0.0), axis=0), 0.0)
    norm = np.sqrt((centred ** 2).sum(axis=0))
    kept = centred[:, norm > 0] / norm[norm > 0]
    columns = kept.shape[1]
    if columns < 2:
        return 1.0
    squares = float(((kept.T @ kept) ** 2).sum()) - columns
    chance = columns * (columns - 1) / max((independent or len(daily)) - 1, 1)
    return float(columns / (1.0 + max(squares - chance, 0.0) / columns))


def distance_limit(distances: Array, power: int, alpha: float, degrees: float) -> float:
    """What a distance exceeds with probability ``alpha`` under the null.

    Args:
        distances: drawn under the null, shape (draws,).
        power: 2 for a distance whose square is a sum of squares (Wasserstein, K-S, Jensen-Shannon), 1 for one that
            is such a sum itself (PSI, chi-square).
        degrees: of freedom behind the null's variance.

    A sum of weighted chi-squares is taken as a multiple of one chi-square with the same mean and variance
    (Satterthwaite 1946), and that over an estimated variance as a multiple of F.
    """
    squares = distances ** power
    mean, spread = float(squares.mean()), float(squares.var())
    if mean <= 0 or spread <= 0:
        return float(max(mean, 0.0) ** (1 / power))
    shape = max(2 * mean ** 2 / spread, 1.0)
    # Its largest weight rules the far tail of such a sum, which its first two moments underrate.
    reached = max(mean * float(stats.f.isf(alpha, shape, degrees)), float(np.quantile(squares, 1 - max(alpha, 1e-3))))
    return float(reached ** (1 / power))
