"""The information coefficient: does the forecast put the symbols of one moment in the right order?

References:
    R. C. Grinold and R. N. Kahn, *Active Portfolio Management*, 2nd edition, McGraw-Hill 1999, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.errors import ContractError

#: Two symbols correlate perfectly, one way or the other.
MIN_SYMBOLS = 3


@dataclass(frozen=True)
class InformationCoefficient:
    """Spearman rank correlations over the cross-sections.

    Attributes:
        series: index ``event_time`` (sorted, unique), the correlation of that time in [-1, 1]; times without one
            (fewer than three symbols, or all forecasts or outcomes equal) are left out.
        mean: of the series; NaN when it is empty.
        ratio: mean over standard deviation (ddof 1) of one period, not annualised; NaN below two periods or without
            variation.
        skipped: times that had rows but no correlation.
    """

    series: pd.Series
    mean: float
    ratio: float
    skipped: int

    @property
    def periods(self) -> int:
        return len(self.series)


def information_coefficient(event_time: Any, prediction: Any, outcome: Any,
                            min_symbols: int = MIN_SYMBOLS) -> InformationCoefficient:
    """Rank correlation of forecast and outcome at each time, ties at their mid-ranks.

    Args:
        event_time: (rows,) times; one row per symbol and time, in any order.
        prediction: (rows,) any score that means more when it is higher.
        outcome: (rows,) the return that followed; a row where it is missing is dropped.
        min_symbols: times with fewer rows are skipped.

    Raises:
        ContractError: unequal lengths, missing predictions, or ``min_symbols`` below 2.
    """
    times = pd.Index(event_time)
    scores, returns = np.asarray(prediction, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if not len(times) == len(scores) == len(returns):
        raise ContractError(f"{len(times)} times, {len(scores)} predictions and {len(returns)} outcomes; pass columns "
                            "of the same rows")
    if np.isnan(scores).any():
        raise ContractError(f"{int(np.isnan(scores).sum())} predictions are missing; drop those rows first")
    if min_symbols < 2:
        raise ContractError(f"min_symbols is {min_symbols}; a rank correlation needs at least 2")
    rows = pd.DataFrame({"score": scores, "outcome": returns, "time": times}).dropna(subset=["outcome"])
    ranks = rows.groupby("time")[["score", "outcome"]].rank()
    grouped = ranks.groupby(rows["time"], sort=True)
    centred = ranks - grouped.transform("mean")
    squares = pd.DataFrame({"cross": centred["score"] * centred["outcome"], "score": centred["score"] ** 2,
                            "outcome": centred["outcome"] ** 2}).groupby(rows["time"], sort=True).sum()
    scale = np.sqrt(squares["score"] * squares["outcome"])
    usable = (grouped.size() >= min_symbols) & (scale > 0)
    series = (squares["cross"][usable] / scale[usable]).rename("information_coefficient").rename_axis("event_time")
    spread = float(series.std(ddof=1)) if len(series) > 1 else 0.0
    mean = float(series.mean()) if len(series) else float("nan")
    # Identical correlations differ in their last bits; their ratio would be astronomical and mean nothing.
    return InformationCoefficient(series, mean, mean / spread if spread > 1e-12 else float("nan"),
                                  len(pd.unique(times)) - len(series))
