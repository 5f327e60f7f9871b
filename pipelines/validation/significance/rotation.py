"""Is the best of many trials better than the benchmark, when gains remember for long? A rotation test of slow waves.

The bootstrap of `hansen` has to learn the long-run variances from few long blocks, and the maximum over many trials
picks the one it underrates most: with 20 trials over 168 periods of correlation .8, it finds something in more than a
third of all null cases at 5 %. Cosine sums do not have that problem. Under "no contender is better" the scaled mean of
the gains and their first few cosine sums are, for a stationary series, nearly independent normal vectors over the
contenders, with one common covariance (Lazarus and others 2018). Rotating those vectors into each other therefore
changes nothing: the greatest t statistic is compared with that of random rotations. The comparison is exact in that
limit for any number of contenders, cosines and any correlation between contenders, which is never estimated.

References:
    Ø. Langsrud, "Rotation tests", *Statistics and Computing* 15, 2005, 53-60.
    E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, *JBES* 36(4), 2018, 541-559: cosines, and the t statistic.
    P. R. Hansen, *JBES* 23(4), 2005, 365-380: leaving out contenders that are clearly worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.validation.significance import labelled
from pipelines.validation.significance.block import noncentrality
from pipelines.validation.significance.forecast import automatic_cosines
from pipelines.validation.significance.hansen import DRAWS, MINIMUM_PERIODS


@dataclass(frozen=True)
class RotationTest:
    """Verdict over all contenders together; gains are in the unit of the losses or returns, above 0 is better.

    Attributes:
        p_value: contenders clearly worse than the benchmark left out, as in Hansen's consistent test.
        upper: the p-value with all of them, never smaller up to the rotations' noise.
        best: the contender with the greatest t statistic.
        gain, error: its mean gain per period over the benchmark, and the standard error.
        statistic: its t statistic.
        critical: the t statistic that chance alone exceeds with probability ``alpha``.
        contenders, periods, cosines, draws: size of the problem, degrees of freedom, rotations.
    """

    p_value: float
    upper: float
    best: str
    gain: float
    error: float
    statistic: float
    critical: float
    contenders: int
    periods: int
    cosines: int
    draws: int

    @property
    def minimum_detectable(self) -> float:
        """The gain that one contender with the best one's error needs to be found with 80 % power at ``alpha``."""
        return noncentrality(float(stats.t.sf(self.critical, self.cosines)), self.cosines) * self.error


def best_by_rotation(*, benchmark: str, losses: pd.DataFrame | None = None, returns: pd.DataFrame | None = None,
                     cosines: int | None = None, draws: int = DRAWS, seed: int = 0,
                     alpha: float = 0.05) -> RotationTest:
    """Test "no contender is better than the benchmark".

    Args:
        benchmark: the column to beat; every other column is a contender.
        losses: (periods, contenders) where smaller is better, or
        returns: (periods, contenders) where greater is better.
        cosines: how many; None for the lower quartile of the contenders' `forecast.automatic_cosines`.
        draws, seed: of the random rotations.
        alpha: level of ``critical``.

    Raises:
        ContractError: a frame that `labelled` refuses, an unknown benchmark, no contender that differs from it.
        InsufficientData: fewer than 20 periods, or no contender.
    """
    gained = labelled.against(labelled.gains(losses, returns, MINIMUM_PERIODS, 2), benchmark)
    return rotation_of_gains(gained, cosines=cosines, draws=draws, seed=seed, alpha=alpha)


def rotation_of_gains(gained: pd.DataFrame, *, cosines: int | None = None, draws: int = DRAWS, seed: int = 0,
                      alpha: float = 0.05) -> RotationTest:
    """`best_by_rotation` on ready gains over the benchmark, (periods, contenders), above 0 where it was better."""
    values = labelled.frame_values(gained, "gains", MINIMUM_PERIODS, 1)
    if not 0 < alpha < 0.5:
        raise ContractError(f"alpha is {alpha}; a one-sided level lies between 0 and 0.5")
    spread = values.std(axis=0)
    alive = spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)
    if not alive.any():
        raise ContractError("no contender differs from the benchmark; check that their losses are their own")
    kept, periods = values[:, alive], len(values)
    if cosines is None:
        cosines = int(np.quantile([automatic_cosines(column) for column in kept.T], 0.25))
    if not 2 <= cosines < periods:
        raise ContractError(f"{cosines} cosines for {periods} periods; take 2 to {periods - 1}")
    if draws < 1:
        raise ContractError(f"{draws} rotations give nothing; ask for at least 1, for p-values 1,000")
    waves = slow_waves(kept, cosines)
    observed = t_statistics(waves[:1], waves)[0]
    best = int(np.argmax(observed))
    directions = np.random.default_rng(seed).standard_normal((draws, cosines + 1))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rotated = t_statistics(directions @ waves, waves)
    near = observed >= -np.sqrt(2 * np.log(np.log(periods)))
    tops = rotated[:, near].max(axis=1) if near.any() else np.full(draws, np.inf)
    p_value, upper = (float((np.sum(top >= observed[best]) + 1) / (draws + 1)) for top in (tops, rotated.max(axis=1)))
    gain = float(kept[:, best].mean())
    error = float(np.sqrt(np.mean(waves[1:, best] ** 2) / periods))
    critical = float(np.sort(tops)[int(np.ceil((1 - alpha) * draws)) - 1])  # not np.quantile: tops may be infinite
    return RotationTest(p_value, upper, str(gained.columns[alive][best]), gain, error, float(observed[best]), critical,
                        values.shape[1], periods, cosines, draws)


def slow_waves(values: FloatArray, cosines: int) -> FloatArray:
    """Scaled mean and cosine sums, (cosines + 1, contenders), each with the long-run variance, from (periods,
    contenders): ``sum / sqrt(n)`` and ``sqrt(2 / n) sum x_t cos(pi j (t - 1/2) / n)``."""
    periods = len(values)
    steps = np.arange(periods) + 0.5
    waves = np.cos(np.pi * np.outer(np.arange(1, cosines + 1), steps) / periods) * np.sqrt(2 / periods)
    mean = values.mean(axis=0)
    return np.vstack([np.sqrt(periods) * mean, waves @ (values - mean)])


def t_statistics(projections: FloatArray, waves: FloatArray) -> FloatArray:
    """t statistics (draws, contenders) of ``waves`` projected on unit directions: the projection over the root of the
    mean square that is left in the other ``cosines`` dimensions."""
    left = np.maximum((waves**2).sum(axis=0) - projections**2, np.finfo(float).tiny)
    return np.asarray(projections / np.sqrt(left / (len(waves) - 1)))
