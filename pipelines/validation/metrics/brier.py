"""The Brier score taken apart: what is lost to miscalibration, what is won by telling cases apart.

Murphy's three parts add up to the score only when all probabilities of a bin are equal. With bins of some width two
terms within the bins complete the identity (Stephenson et al. 2008, equation 8)::

    score = reliability - resolution + uncertainty + within_variance - within_covariance

For n rows in bins k of n_k rows, with probability f, label o, their bin means f_k and o_k, and the base rate o_bar:
reliability = sum n_k (f_k - o_k)^2 / n, resolution = sum n_k (o_k - o_bar)^2 / n, uncertainty = o_bar (1 - o_bar),
within_variance = sum (f - f_k)^2 / n, within_covariance = 2 sum (o - o_k)(f - f_k) / n.

References:
    A. H. Murphy, "A New Vector Partition of the Probability Score", *Journal of Applied Meteorology* 12, 1973, 595-600.
    D. B. Stephenson, C. A. S. Coelho and I. T. Jolliffe, "Two Extra Components in the Brier Score Decomposition",
    *Weather and Forecasting* 23, 2008, 752-757.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.errors import ContractError
from pipelines.validation.metrics.binary import BINS, checked, equal_width


@dataclass(frozen=True)
class BrierParts:
    """The parts, in the unit of the score (squared probability).

    Attributes:
        score: the mean squared error itself, computed without bins.
        reliability: miscalibration; less is better, 0 is perfect.
        resolution: how far the bins' base rates lie apart; more is better.
        uncertainty: the score of always saying the base rate.
        within_variance, within_covariance: what the bins' width hides; both 0 if each bin holds one probability.
        bins: how many bins hold rows.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float
    bins: int

    @property
    def generalised_resolution(self) -> float:
        """Resolution that does not shrink with wider bins: ``score = reliability - this + uncertainty``."""
        return self.resolution - self.within_variance + self.within_covariance


def brier_parts(y: Any, p: Any, bins: int | None = BINS) -> BrierParts:
    """Decompose the Brier score.

    Args:
        y: (rows,) labels in {0, 1}.
        p: (rows,) P(y = 1).
        bins: number of equal-width bins ``[k/bins, (k+1)/bins)``, the last one closed; None puts each distinct
            probability in its own (Murphy's case, the terms within the bins vanish).

    Raises:
        ContractError: as ``classification``, or fewer than one bin.
    """
    labels, chances = checked(y, p)
    if bins is not None and bins < 1:
        raise ContractError(f"bins is {bins}; pass at least one, or None for one bin per distinct probability")
    place = np.unique(chances, return_inverse=True)[1] if bins is None else equal_width(chances, bins)
    rows = np.bincount(place)
    filled = np.maximum(rows, 1)
    rate, said = np.bincount(place, labels) / filled, np.bincount(place, chances) / filled
    count, base = len(labels), float(labels.mean())
    off_label, off_chance = labels - rate[place], chances - said[place]
    return BrierParts(
        score=float(np.mean((chances - labels) ** 2)),
        reliability=float(np.sum(rows * (said - rate) ** 2) / count),
        resolution=float(np.sum(rows * (rate - base) ** 2) / count),
        uncertainty=base * (1 - base),
        within_variance=float(np.mean(off_chance**2)),
        within_covariance=float(2 * np.mean(off_label * off_chance)),
        bins=int((rows > 0).sum()))
