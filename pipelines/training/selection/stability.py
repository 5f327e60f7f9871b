"""Stability selection: the columns that a lasso takes on nearly every half of the days.

On each of ``HALVES`` random halves of the training days (a day stays whole, for its rows hang together) the first
columns that enter the lasso's path are noted; those noted in at least ``SHARE`` of the halves are kept. With q columns
noted each time, the expected number of worthless ones among the kept is at most q^2 / ((2 SHARE - 1) columns); q is
chosen so that this is one. The halves come in complementary pairs. It sees what is linear in a column, and no more.

References:
    N. Meinshausen and P. Bühlmann, "Stability selection", *Journal of the Royal Statistical Society B* 72(4), 2010,
    417-473: theorem 1 for the bound. R. Shah and R. Samworth, "Variable selection with error control: another look at
    stability selection", *JRSS B* 75(1), 2013: complementary pairs.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError
from pipelines.training.selection.base import BoolArray, IntArray, Rows, at_least_one

HALVES = 50
SHARE = 0.9
LEAST_DAYS = 8


def select(rows: Rows, seed: int) -> BoolArray:
    """The stable columns.

    Raises:
        TrainingError: fewer than ``LEAST_DAYS`` days.
    """
    _, day = np.unique(rows.event_time.dt.floor("D").to_numpy(), return_inverse=True)
    days = int(day.max()) + 1
    if days < LEAST_DAYS:
        raise TrainingError(f"the training rows span {days} days, and stability selection halves them: at least "
                            f"{LEAST_DAYS} are needed; lengthen walk_forward.train_days or choose another selection")
    rng = np.random.default_rng([seed, 2])
    columns = rows.features.shape[1]
    first = max(1, math.floor(math.sqrt((2 * SHARE - 1) * columns)))
    noted = np.zeros(columns)
    with threadpool_limits(limits=1):
        for _ in range(HALVES // 2):
            order = rng.permutation(days)
            for half in (order[:days // 2], order[days // 2:]):
                taken = np.flatnonzero(np.isin(day, half))
                noted[_first(rows.features[taken], rows.labels[taken], first)] += 1
    return at_least_one(noted >= SHARE * HALVES, noted)


def _first(features: FloatArray, labels: FloatArray, count: int) -> IntArray:
    """The first columns of the lasso's path on standardised columns; a missing value counts as the mean."""
    known = np.isfinite(features)
    values = np.where(known, features, 0.0)
    number = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - values.sum(axis=0) / number, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0))
    live = np.flatnonzero(scale > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # twins: one of them enters
        _, active, _ = lars_path(np.asfortranarray(centred[:, live] / scale[live]), labels - labels.mean(),
                                 method="lasso", max_iter=count)
    found: IntArray = live[np.asarray(active[:count], dtype=np.int64)]
    return found
