"""From a budget of false alarms a year to limits.

A variance that was estimated from a few independent days is itself uncertain, and a limit that forgets this rings in
every unlucky reference. So every statistic is judged by a distribution that knows how much history its variance
rests on: Student's t for one column, Fisher's F for sums of squares. Variances of columns are estimated together where
they agree: Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression",
Statistical Applications in Genetics and Molecular Biology 3(1), section 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Together:
    """How much the columns of a matrix move together.

    Attributes:
        shared: how many independent columns they are worth when their squares are averaged: columns^2 / sum of squared
            correlations (Satterthwaite 1946).
        largest: the largest eigenvalue of their correlations, as a share of the sum of all.
    """

    shared: float
    largest: float

    @classmethod
    def of(cls, daily: Array, independent: float | None = None) -> Together:
        """Of the columns of ``daily`` (days, columns), less what chance correlates in so many days, or in
        ``independent`` ones: for the eigenvalue that is the edge of Marchenko and Pastur (1967)."""
        present = np.isfinite(daily)
        centred = np.where(present, daily - np.nanmean(np.where(present.any(axis=0), daily, 0.0), axis=0), 0.0)
        norm = np.sqrt((centred ** 2).sum(axis=0))
        kept = centred[:, norm > 0] / norm[norm > 0]
        columns, days = kept.shape[1], max((independent or len(daily)) - 1.0, 1.0)
        if columns < 2:
            return cls(1.0, 1.0)
        values = np.linalg.eigvalsh(kept @ kept.T if len(kept) < columns else kept.T @ kept)
        squares = max(float((values ** 2).sum()) - columns - columns * (columns - 1) / days, 0.0)
        by_chance = (1 + math.sqrt(columns / days)) ** 2 - 1
        return cls(columns / (1.0 + squares / columns), min(max(float(values[-1]) - by_chance, 1.0) / columns, 1.0))


def mean_square(alpha: float, together: Together, degrees: float) -> float:
    """What the mean of squared studentised differences exceeds with probability ``alpha``, when each variance rests on
    ``degrees`` degrees of freedom.

    The larger of two approximations: all columns as so many independent ones; and the direction that most of them
    share with the full tail of a single one, and the rest as its mean.
    """
    several, one = (float(stats.f.isf(alpha, shared, degrees)) for shared in (together.shared, 1.0))
    return max(several, together.largest * one + 1 - together.largest)


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
