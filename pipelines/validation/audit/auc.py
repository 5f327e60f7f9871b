"""Area under the ROC curve with a standard error that time series deserve.

References:
    E. DeLong, D. DeLong & D. Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves", Biometrics 44 (1988), equations 1 to 4 (placement values).
    E.L. Lehmann, *Nonparametrics*, 1975, chapter 1.2 (variance of the Mann-Whitney statistic with ties).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray

Ints = np.ndarray[Any, np.dtype[np.int64]]
_BLOCKS = 20
_FEWEST = 6


def placements(values: FloatArray, labels: FloatArray) -> tuple[float, FloatArray]:
    """AUC of ``values`` (ties count half) and each row's influence on it: (rows,), mean zero.

    The AUC is to first order a mean over the rows, and ``sum of influences / rows`` its deviation; hence any sum of
    influences over a block of time is that block's share of the error.
    """
    up = labels == 1
    ones, zeros = int(up.sum()), int((~up).sum())
    if not ones or not zeros:
        return float("nan"), np.zeros(len(values))
    ranks = stats.rankdata(values)
    below = np.empty(len(values))
    below[up] = (ranks[up] - stats.rankdata(values[up])) / zeros
    below[~up] = 1 - (ranks[~up] - stats.rankdata(values[~up])) / ones
    area = float(below[up].mean())
    return area, (below - area) * np.where(up, len(values) / ones, len(values) / zeros)


def blocks(event_time: pd.Series, horizon: pd.Timedelta) -> Ints:
    """The number of each row's block: at most 20 of equal length, none shorter than five label horizons, all symbols
    of one time in the same one. Overlapping labels and symbols that move together stay inside a block; the error of
    the edges is small against it."""
    start = event_time.min()
    span = max(event_time.max() - start, pd.Timedelta(hours=1))
    count = int(min(_BLOCKS, max(span / (5 * horizon), 1)))
    place = ((event_time - start) / span * count).to_numpy()
    block: Ints = np.minimum(place.astype(np.int64), count - 1)
    return block


def standard_error(influence: FloatArray, block: Ints) -> tuple[float, int]:
    """Of a mean of influences, from their sums over blocks (batch means); and the degrees of freedom (0: too few
    blocks to say)."""
    _, code = np.unique(block, return_inverse=True)
    count = int(code.max()) + 1 if len(code) else 0
    if count < _FEWEST:
        return float("inf"), 0
    sums = np.bincount(code, influence) / len(influence)
    return float(np.sqrt(count / (count - 1) * (sums @ sums))), count - 1


def critical(alpha: float, freedom: int, tests: int) -> float:
    """Two-sided t quantile at ``alpha`` over ``tests`` tests (Bonferroni); infinite where nothing can be said."""
    return float(stats.t.ppf(1 - alpha / (2 * max(tests, 1)), freedom)) if freedom else float("inf")


def null_variance(values: FloatArray, labels: FloatArray) -> float:
    """Variance of the AUC when the labels are a random permutation (exact, with ties)."""
    ones = float((labels == 1).sum())
    zeros, total = len(labels) - ones, float(len(labels))
    if not ones or not zeros or total < 2:
        return 0.0
    _, tied = np.unique(values, return_counts=True)
    ties = float((tied.astype(np.float64)**3 - tied).sum()) / (total * (total - 1))
    return (total + 1 - ties) / (12 * ones * zeros)
