"""Does the choice itself overfit? Probability of backtest overfitting by combinatorially symmetric cross-validation.

Cut time into ``S`` blocks, take every half of them as "in sample", pick the trial with the best Sharpe ratio there and
look up its rank in the other half. A Sharpe ratio needs only counts, sums and sums of squares, and those of a half are
sums over its blocks: one product of a (combinations, blocks) membership matrix with the blocks' sums does all halves.

References:
    D. H. Bailey, J. Borwein, M. López de Prado and Q. J. Zhu, "The Probability of Backtest Overfitting", *Journal of
    Computational Finance* 20(4), 2017, 39-69 (preprint 2015): CSCV in section 3.2, statistics in section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import labelled

#: C(20, 10) = 184,756 combinations; beyond that the matrices no longer fit a small machine
MOST_BLOCKS = 20
#: relative differences below this are rounding, and variances below it times the mean square are none
ROUNDING = 1e-10


@dataclass(frozen=True)
class Overfitting:
    """Attributes:
        probability: share of combinations whose best trial in sample is below the median out of sample (PBO).
        probability_of_loss: share whose best trial in sample has a negative Sharpe ratio out of sample.
        slope, intercept: least squares line of the chosen trial's Sharpe ratio out of sample on that in sample; the
            performance degradation. NaN where it does not vary in sample.
        logits: (combinations,) ``log(w / (1 - w))`` of the relative rank ``w = rank / (trials + 1)`` out of sample.
        in_sample, out_of_sample: (combinations,) Sharpe ratios per period of the chosen trial.
        chosen: (combinations,) its position among the columns.
        blocks: how many blocks time was cut into.
    """

    probability: float
    probability_of_loss: float
    slope: float
    intercept: float
    logits: FloatArray
    in_sample: FloatArray
    out_of_sample: FloatArray
    chosen: FloatArray
    blocks: int


def pbo(returns: pd.DataFrame, blocks: int = 16) -> Overfitting:
    """Probability of backtest overfitting of picking the trial with the best Sharpe ratio.

    Args:
        returns: (periods, trials) of all trials that were run.
        blocks: even number of contiguous blocks; the first ones are one period longer where they cannot be equal.

    Raises:
        ContractError: refused by `labelled.return_values`; an odd number of blocks, below 2 or above 20.
        InsufficientData: fewer than two trials or two periods a block.
    """
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise ContractError(f"{blocks} blocks; halves need an even number from 2 to {MOST_BLOCKS}")
    values = labelled.return_values(returns, 2, 2)
    periods, trials = values.shape
    if periods < 2 * blocks:
        raise InsufficientData(f"{periods} periods do not fill {blocks} blocks; at least {2 * blocks} are needed: "
                               "wait, or use fewer blocks")
    halved = halves(blocks)
    base = values.mean(axis=0)  # squares about the mean lose no digits
    edges = np.array([part[0] for part in np.array_split(np.arange(periods), blocks)])
    sizes = np.diff(np.append(edges, periods)).astype(np.float64)
    sums = np.add.reduceat(values - base, edges, axis=0)
    squares = np.add.reduceat((values - base) ** 2, edges, axis=0)
    theirs = _sharpe(halved @ sizes, halved @ sums, halved @ squares, base)
    ours = theirs[::-1]  # in lexicographic order, the complement of a half stands as far from the other end

    best = ours.max(axis=1, keepdims=True)
    chosen = np.argmax(ours >= best - ROUNDING * np.maximum(1, np.abs(best)), axis=1)  # the first of equal trials
    rows = np.arange(len(chosen))
    inner, outer = ours[rows, chosen], theirs[rows, chosen]
    slack = ROUNDING * np.maximum(1, np.abs(outer))[:, None]
    below = (theirs < outer[:, None] - slack).sum(axis=1)
    equal = (np.abs(theirs - outer[:, None]) <= slack).sum(axis=1)
    relative = (below + (equal + 1) / 2) / (trials + 1)
    logits = np.log(relative / (1 - relative))
    deviation = inner - inner.mean()
    spread = float(deviation @ deviation)
    slope = float(deviation @ outer) / spread if spread > 0 else float("nan")
    return Overfitting(float(np.mean(logits < 0)), float(np.mean(outer < 0)), slope,
                       float(outer.mean() - slope * inner.mean()), logits, inner, outer, chosen.astype(np.float64),
                       blocks)


@lru_cache(maxsize=4)
def halves(blocks: int) -> FloatArray:
    """(combinations, blocks) of 0 and 1: every half of the blocks, in lexicographic order."""
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    found = np.zeros((len(chosen), blocks))
    np.put_along_axis(found, chosen, 1.0, axis=1)
    found.setflags(write=False)
    return found


def _sharpe(size: FloatArray, sums: FloatArray, squares: FloatArray, base: FloatArray) -> FloatArray:
    """Sharpe ratios (combinations, trials), standard deviation with n - 1; 0 where the returns do not vary."""
    count = size[:, None]
    mean = sums / count
    variance = (squares - sums * mean) / (count - 1)
    flat = variance <= ROUNDING * np.maximum(squares / count, base**2)
    return np.asarray(np.where(flat, 0.0, (mean + base) / np.sqrt(np.where(flat, 1.0, variance))))
