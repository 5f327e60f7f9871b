"""Is the best of many trials better than the benchmark? Hansen's test of superior predictive ability, for many calls.

The best of twenty equal trials looks better than the champion nearly always; the test asks how often the *maximum* of
all studentised mean gains would be that large if no trial were better, resampling all trials together so that their
correlation counts. It agrees with ``arch`` draw by draw (see the tests) and is here because calibration calls it tens
of thousands of times.

The bootstrap keeps its level where gains are nearly independent from period to period. Where they are not, it does not
(20 contenders, 168 periods, nominal 5 %: a sixth at a correlation of .5, above a third at .8). Bring them to
non-overlapping means first, or use `rotation`.

``arch.bootstrap.SPA`` 8.0 uses its variances only to recentre: its statistic is the plain maximum of the mean gains
(White's), whatever ``studentize`` says. ``studentise=False`` gives that number; the default is Hansen's.

References:
    P. R. Hansen, "A Test for Superior Predictive Ability", *JBES* 23(4), 2005, 365-380.
    H. White, "A Reality Check for Data Snooping", *Econometrica* 68(5), 2000, 1097-1126.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.validation.significance import bootstrap, labelled

DRAWS = 1000
#: fewer periods than this and neither the bootstrap nor its block length mean anything
MINIMUM_PERIODS = 20


@dataclass(frozen=True)
class Superiority:
    """Verdict over all contenders together; gains are in the unit of the losses or returns, above 0 is better.

    Attributes:
        p_value: the consistent p-value (Hansen 2005, section 3.2), the one to use.
        lower, upper: its bounds; ``upper`` supposes that every poor contender still matters (White).
        best: the contender with the greatest (studentised) mean gain.
        gain: that contender's mean gain per period over the benchmark.
        error: its standard error, from the stationary bootstrap's variance.
        statistic: greatest studentised mean gain, or the greatest mean gain when not studentised; at least 0.
        critical: the greatest statistic that chance alone exceeds with probability ``alpha``, consistent recentring.
        contenders, periods, block, draws: size of the problem, mean block length, resamples.
    """

    p_value: float
    lower: float
    upper: float
    best: str
    gain: float
    error: float
    statistic: float
    critical: float
    contenders: int
    periods: int
    block: float
    draws: int


def spa(*, benchmark: str, losses: pd.DataFrame | None = None, returns: pd.DataFrame | None = None,
        block: float | None = None, draws: int = DRAWS, seed: int = 0, alpha: float = 0.05, studentise: bool = True,
        indices: bootstrap.IntArray | None = None) -> Superiority:
    """Test "no contender is better than the benchmark".

    Args:
        benchmark: the column to beat; every other column is a contender.
        losses: (periods, contenders) where smaller is better, or
        returns: (periods, contenders) where greater is better.
        block: mean block length; None for Politis-White's on the gains, the median over contenders.
        draws, seed: of the stationary bootstrap. Equal (periods, block, draws, seed) share their resamples; vary the
            seed from call to call in a simulation, so that its repetitions do not share their luck.
        alpha: level of ``critical``.
        studentise: Hansen's statistic; False for the plain maximum.
        indices: (draws, periods) resamples to use instead of own ones.

    Raises:
        ContractError: a frame that `labelled` refuses, an unknown benchmark, indices of another shape.
        InsufficientData: fewer than 20 periods, or no contender.
    """
    better = labelled.gains(losses, returns, MINIMUM_PERIODS, 2)
    gained = labelled.against(better, benchmark)
    return spa_of_gains(gained, block=block, draws=draws, seed=seed, alpha=alpha, studentise=studentise,
                        indices=indices)


def spa_of_gains(gained: pd.DataFrame, *, block: float | None = None, draws: int = DRAWS, seed: int = 0,
                 alpha: float = 0.05, studentise: bool = True,
                 indices: bootstrap.IntArray | None = None) -> Superiority:
    """`spa` on ready gains over the benchmark, (periods, contenders), above 0 where the contender was better."""
    values = labelled.frame_values(gained, "gains", MINIMUM_PERIODS, 1)
    if not 0 < alpha < 1:
        raise ContractError(f"alpha is {alpha}; a level lies between 0 and 1")
    periods, contenders = values.shape
    block = min(bootstrap.joint_block_length(values), float(periods)) if block is None else float(block)
    if indices is None:
        resampled = bootstrap.bootstrap_means(values, block, draws, seed)
    else:
        if indices.ndim != 2 or indices.shape[1] != periods:
            raise ContractError(f"indices of shape {indices.shape} do not resample {periods} periods; a row is a draw")
        resampled, draws = bootstrap.means_of(values, indices), len(indices)
    mean = values.mean(axis=0)
    error = np.sqrt(bootstrap.long_run_variance(values, block) / periods)
    # a contender equal to the benchmark up to rounding has no error to divide by, and nothing to win
    alive = error > 1e-12 * np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)
    if (~alive & (np.abs(mean) > 1e-9 * np.abs(values).max(axis=0))).any():
        raise ContractError("a contender differs from the benchmark by the same amount in every period; no test can "
                            "weigh that: check that its losses are its own")
    scale = (np.where(alive, error, np.inf) if studentise else np.ones(contenders))
    scaled = mean / scale
    best = int(np.argmax(scaled))
    statistic = max(float(scaled[best]), 0.0)
    tops = [_maxima(resampled, centre, scale) for centre in recentring(mean, error, periods)]
    # without any gain there is nothing to test; Hansen's maximum with 0 makes it an equality of zeros, that is p = 1
    p_values = [float((top > statistic).mean()) if statistic > 0 else 1.0 for top in tops]
    return Superiority(p_values[1], p_values[0], p_values[2], str(gained.columns[best]), float(mean[best]),
                       float(error[best]), statistic, float(np.quantile(tops[1], 1 - alpha)), contenders, periods,
                       block, draws)


def recentring(mean: FloatArray, error: FloatArray, periods: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What is taken off the resampled means, (contenders,) each: lower, consistent, upper (g_l, g_c, g_u of Hansen
    2005, p. 372). A contender clearly worse than the benchmark, by the law of the iterated logarithm, is not lifted up
    to it by the consistent choice, so that poor trials do not hide good ones."""
    near = mean >= -error * np.sqrt(2 * np.log(np.log(periods)))
    return np.maximum(mean, 0.0), np.where(near, mean, 0.0), mean


def _maxima(resampled: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(((resampled - centre) / scale).max(axis=1), 0.0))
