"""Stationary noise of mean 0 and variance 1, shape (periods, columns)."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from pipelines.contracts.ports import FloatArray

BURN_IN = 300
#: GARCH(1,1) with Student-t shocks, as of a daily equity index: persistent, and with heavy tails.
ALPHA, BETA, FREEDOM = 0.08, 0.90, 5.0
_NEWS_CAP = 20.0


def autoregressive(rng: np.random.Generator, periods: int, columns: int, memory: float,
                   burn_in: int = BURN_IN) -> FloatArray:
    """First-order autoregressions with Gaussian shocks; ``memory`` in [0, 1)."""
    shocks = rng.standard_normal((periods + burn_in, columns)) * np.sqrt(1 - memory**2)
    walked: FloatArray = np.asarray(lfilter([1.0], [1.0, -memory], shocks, axis=0))[burn_in:]
    return walked


def garch(rng: np.random.Generator, periods: int, columns: int) -> FloatArray:
    """Student-t shocks with five degrees of freedom and a common GARCH(1,1) variance, which the first column drives
    (T. Bollerslev, *Journal of Econometrics* 31, 1986)."""
    shocks = rng.standard_t(FREEDOM, (periods + BURN_IN, columns)) * np.sqrt(1 - 2 / FREEDOM)
    variance, state = np.empty(len(shocks)), 1.0
    for day, news in enumerate(shocks[:, 0] ** 2):
        variance[day] = state
        state = 1 - ALPHA - BETA + (ALPHA * min(news, _NEWS_CAP) + BETA) * state
    return np.asarray((shocks * np.sqrt(variance)[:, None])[BURN_IN:])
