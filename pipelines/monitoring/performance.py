"""Does the champion still do what its evidence promised? One look at one window; pure functions over losses.

The alarm is not raised here: looks are repeated, and `sequential` counts them. This says how far one window is off.

The comparison sets a short recent stretch against the evidence it was promoted on, and both are correlated in time. The
test is the two-sample form of the block t-test: Ibragimov and Müller (2016), "Inference with Few
Heterogeneous Clusters", Review of Economics and Statistics 98(1): block means on either side, Welch's statistic,
and min(blocks) - 1 degrees of freedom, which keeps the level when variances differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.validation import metrics

MIN_BLOCKS = 4
PERIODS_PER_BLOCK = 2
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Shift:
    """A difference of means, current minus reference; ``p_upper`` is the one-sided p-value of an increase.

    NaN p-values mean that there was too little to compare.
    """

    reference: float
    current: float
    p_upper: float
    blocks: int

    @property
    def p_two_sided(self) -> float:
        return 2 * min(self.p_upper, 1 - self.p_upper)


def blocks_for(span: timedelta, horizon: timedelta) -> int:
    """How many blocks to cut ``span`` into: of a day, or of two label horizons if that is longer (labels that
    overlap are correlated), but never fewer than four."""
    return max(MIN_BLOCKS, int(span / max(DAY, 2 * horizon)))


def shift(reference: pd.Series, current: pd.Series, horizon: timedelta) -> Shift:
    """Compare the mean of ``current`` with that of ``reference``.

    Args:
        reference, current: one value per timestamp; the index is ``event_time`` (UTC), ascending.
        horizon: of the label, which decides the length of the blocks.
    """
    means = [_block_means(side, blocks_for(_span(side), horizon)) for side in (reference, current)]
    left, right = (float(side.mean()) if len(side) else math.nan for side in (reference, current))
    if any(side is None for side in means):
        return Shift(left, right, math.nan, 0)
    then, now = (side for side in means if side is not None)
    spread = math.sqrt(then.var(ddof=1) / then.size + now.var(ddof=1) / now.size)
    gap = float(now.mean() - then.mean())
    blocks = min(then.size, now.size)
    rounding = 1e-12 * max(1.0, abs(left))
    if spread <= rounding:  # constants: nothing is uncertain
        return Shift(left, right, 0.5 if abs(gap) <= rounding else float(gap < 0), blocks)
    return Shift(left, right, float(stats.t.sf(gap / spread, blocks - 1)), blocks)


def mean_log_loss(frame: pd.DataFrame, probability: str) -> pd.Series:
    """Cross-sectional mean log loss in nats per ``event_time`` (ascending) of a frame with ``y`` in {0, 1}."""
    if frame.empty:
        return pd.Series(dtype=np.float64)
    loss = pd.Series(metrics.losses(frame["y"], frame[probability]), index=pd.DatetimeIndex(frame["event_time"]))
    return loss.groupby(level=0).mean().sort_index()


def _span(series: pd.Series) -> timedelta:
    if len(series) < 2:
        return timedelta(0)
    return timedelta(seconds=(series.index[-1] - series.index[0]).total_seconds()) + timedelta(hours=1)


def _block_means(series: pd.Series, blocks: int) -> np.ndarray | None:  # type: ignore[type-arg]
    """Means of consecutive blocks of nearly equal size; None when there are too few values for that."""
    if len(series) < PERIODS_PER_BLOCK * blocks:
        return None
    return np.array([part.mean() for part in np.array_split(series.to_numpy(dtype=np.float64), blocks)])
