"""Evidence that may be looked at after every period, for ever: betting against "the contender is not better".

A gambler starts with 1 and bets a share of his money, chosen before each period, that the contender's gain will be
above 0. If it is not on average, his wealth cannot be expected to grow, and by Ville's inequality it ever reaches
``1 / alpha`` with probability at most ``alpha``, however long one watches and whenever one stops.

What is bet against is "given the past, the next gain is not above 0 on average". Gains of overlapping horizons are
correlated, and their past says something about the next: bring them to one value per horizon first (non-overlapping
means), else the promise does not hold.

References:
    I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", *JRSS B* 86(1), 2024, 1-27
    (preprint 2020): capital process eq. 10, aGRAPA in appendix B.3; a mixture over constant bets in section 4.4.
    J. Ville, *Étude critique de la notion de collectif*, 1939.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.validation.significance import labelled

Strategy = Literal["mixture", "agrapa"]
#: the largest bet, as a share of the one that could lose everything
BOLDEST = 0.75
#: constant bets of the mixture, from nearly nothing to the boldest, even on a logarithmic scale
BETS = BOLDEST * np.geomspace(1e-3, 1.0, 24)


@dataclass(frozen=True)
class Betting:
    """Attributes:
        log_wealth: (periods,) natural logarithm of the e-process by time.
        crossed_at: first time when wealth reached ``1 / alpha``, or None.
        p_value: anytime-valid: 1 over the greatest wealth so far, at most 1.
        alpha: level of the crossing.
    """

    log_wealth: pd.Series
    crossed_at: pd.Timestamp | None
    p_value: float
    alpha: float


def bet(gains: pd.Series, bound: float, *, alpha: float = 0.05, strategy: Strategy = "mixture") -> Betting:
    """Wealth of a gambler against "the gain is not above 0 on average, given the past".

    Args:
        gains: (periods,) benchmark's loss minus the contender's, by UTC time; none of overlapping horizons.
        bound: known beforehand, never estimated from these gains: no gain is outside ``[-bound, bound]``. For the
            Brier score 1; for log loss of probabilities clipped to ``[e, 1 - e]`` it is ``log((1 - e) / e)``.
        alpha: level of the crossing.
        strategy: ``mixture`` averages 24 constant bets and is never far behind the best of them; ``agrapa`` follows the
            past's mean over its variance.

    Raises:
        ContractError: gains outside the bound, refused by `labelled.series_values`, or a level outside (0, 1).
        InsufficientData: no period.
    """
    if not 0 < alpha < 1:
        raise ContractError(f"alpha is {alpha}; a level lies between 0 and 1")
    if not (np.isfinite(bound) and bound > 0):
        raise ContractError(f"the bound is {bound}; pass the largest gain that can occur, above 0")
    values = labelled.series_values(gains, "gains", 1)
    if (np.abs(values) > bound).any():
        raise ContractError(f"a gain of {float(np.abs(values).max()):g} lies outside the bound of {bound:g}; clip the "
                            "losses at their source (the same clip for both) and pass the bound that follows")
    scaled = values / bound
    if strategy == "mixture":
        logs = logsumexp(np.cumsum(np.log1p(np.outer(scaled, BETS)), axis=0), axis=1) - np.log(len(BETS))
    elif strategy == "agrapa":
        logs = np.cumsum(np.log1p(scaled * agrapa_bets(scaled)))
    else:
        raise ContractError(f"no strategy {strategy!r}; choose 'mixture' or 'agrapa'")
    reached = np.flatnonzero(logs >= -np.log(alpha))
    return Betting(pd.Series(logs, gains.index, name="log_wealth"),
                   gains.index[reached[0]] if len(reached) else None,
                   float(min(1.0, np.exp(-logs.max()))), alpha)


def agrapa_bets(scaled: FloatArray) -> FloatArray:
    """Bets before each period, (periods,) in [0, `BOLDEST`], from gains in [-1, 1]: mean over mean square of the past,
    both drawn towards a fair coin's (mean 0, variance 1/4) by one imagined period."""
    count = np.arange(1, len(scaled) + 1)
    sums = np.concatenate([[0.0], np.cumsum(scaled)[:-1]])
    squares = np.concatenate([[0.0], np.cumsum(scaled**2)[:-1]])
    mean = sums / count
    variance = (0.25 + squares) / count - mean**2
    return np.asarray(np.clip(mean / (np.maximum(variance, 1e-12) + mean**2), 0.0, BOLDEST))
