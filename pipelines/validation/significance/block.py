"""Is a mean difference real, when the observations hang together in time?

One test for the first release: cut the ordered differences into a few blocks, take each block's mean, and do an
ordinary t-test on those few means. Serial correlation inside a block is absorbed by its mean; only the blocks have
to be roughly independent of each other. The blocks' variances may differ.

References:
    R. Ibragimov and U. K. Müller, "t-Statistic Based Correlation and Heterogeneity Robust Inference", *Journal of
    Business & Economic Statistics* 28(4), 2010, 453-468. The test keeps its level for unequal block variances at
    two-sided levels up to 8.3 %, and up to 10 % (one-sided 5 %) with 2 to 14 blocks (Bakirov and Székely 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import optimize, stats

from pipelines.errors import ContractError, InsufficientData

POWER = 0.80
CONFIDENCE = 0.95


@dataclass(frozen=True)
class TTest:
    """What the test found, in the unit of the differences.

    Attributes:
        effect: the mean of the block means.
        low, high: two-sided 95 % confidence interval of the effect.
        p_value: one-sided, of "the effect is not above zero".
        minimum_detectable: the true effect that a one-sided test at ``alpha`` would have found with 80 % power.
        blocks: how many block means were tested.
    """

    effect: float
    low: float
    high: float
    p_value: float
    minimum_detectable: float
    blocks: int


def block_t_test(differences: pd.Series, blocks: int, alpha: float) -> TTest:
    """Test whether time-ordered ``differences`` have a mean above zero.

    Args:
        differences: (periods,) one value per period in time order; a time index has to be sorted and unique.
        blocks: number of contiguous blocks of nearly equal length, at least 2.
        alpha: one-sided level at which the minimum detectable effect is stated.

    Raises:
        InsufficientData: fewer than two periods a block.
        ContractError: unordered or repeated times, missing values, or a nonsensical ``alpha``.
    """
    if not 0 < alpha < 0.5:
        raise ContractError(f"alpha is {alpha}; a one-sided level lies between 0 and 0.5")
    if blocks < 2:
        raise ContractError(f"{blocks} block(s) have no variance between them; ask for at least 2")
    index = differences.index
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ContractError("the differences are not in time order with unique times; average each time and sort first")
    values = differences.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ContractError(f"{int((~np.isfinite(values)).sum())} differences are missing or infinite; drop them first")
    if len(values) < 2 * blocks:
        raise InsufficientData(
            f"{len(values)} periods do not fill {blocks} blocks; at least {2 * blocks} are needed: wait for outcomes")
    means = np.array([part.mean() for part in np.array_split(values, blocks)])
    effect, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))
    freedom = blocks - 1
    if error <= 1e-12 * max(1.0, abs(effect)):  # constant differences: nothing is uncertain
        return TTest(effect, effect, effect, 0.0 if effect > 0 else 1.0, 0.0, blocks)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return TTest(effect, effect - half, effect + half, float(stats.t.sf(effect / error, freedom)),
                 noncentrality(alpha, freedom) * error, blocks)


@lru_cache(maxsize=256)
def noncentrality(alpha: float, freedom: int, power: float = POWER) -> float:
    """Effect in standard errors that a one-sided t-test at ``alpha`` finds with ``power``: the root of the noncentral
    t distribution's upper tail at the critical value."""
    critical = float(stats.t.ppf(1 - alpha, freedom))
    return float(optimize.brentq(lambda shift: stats.nct.sf(critical, freedom, shift) - power, 0.0,
                                 critical + 60.0, xtol=1e-6))
