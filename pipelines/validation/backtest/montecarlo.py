"""How far a figure could have been from what was seen: the stationary bootstrap.

References:
    D. N. Politis and J. P. Romano, "The Stationary Bootstrap", *Journal of the American Statistical Association* 89,
    1994, 1303-1313. Resampling and the automatic block length are those of `significance.bootstrap`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.backtest.returns import HOURS_PER_YEAR, figures, summary
from pipelines.validation.significance.bootstrap import block_length, stationary_indices

MIN_PERIODS = 20
_CELLS = 500_000


def intervals(result: pd.Series | pd.DataFrame, periods_per_year: float = HOURS_PER_YEAR, *, reps: int = 1000,
              level: float = 0.95, block: float | None = None, seed: int = 0) -> pd.DataFrame:
    """Percentile intervals of every figure of ``summary``.

    Args:
        result: net returns, or a ``book``; the columns of a book are resampled together.
        periods_per_year: how many periods make a year.
        reps: resamples.
        level: two-sided coverage.
        block: mean block length in periods; chosen by Politis and White's rule from the net returns if left out.
        seed: of the resampling; the same seed gives the same intervals.

    Returns:
        Index figure; columns ``estimate``, ``low``, ``high``, ``undefined`` (share of resamples in which the figure
        was NaN; they are left out of its interval).

    Raises:
        ContractError: a level outside (0, 1), no resamples, a block below 1.
        InsufficientData: fewer than 20 periods.
    """
    if not 0 < level < 1 or reps < 1 or (block is not None and block < 1):
        raise ContractError(f"level {level}, reps {reps}, block {block}: pass a level between 0 and 1, at least one "
                            "resample and a mean block of at least one period")
    net = (result["net"] if isinstance(result, pd.DataFrame) else result).to_numpy(dtype=np.float64)
    length = block_length(net) if block is None else block
    if len(net) < MIN_PERIODS:
        raise InsufficientData(f"{len(net)} periods are too few for a bootstrap; at least {MIN_PERIODS} are needed")
    generator = np.random.default_rng(seed)
    parts: list[dict[str, FloatArray]] = []
    step = max(_CELLS // len(net), 1)
    for first in range(0, reps, step):
        drawn = stationary_indices(len(net), length, min(step, reps - first), int(generator.integers(2**31)))
        found = figures(net[drawn], periods_per_year)
        if isinstance(result, pd.DataFrame):
            found |= {name: result[name].to_numpy()[drawn].mean(axis=1) for name in ("turnover", "exposure")}
            found["cost"] = result["cost"].to_numpy()[drawn].sum(axis=1)
        parts.append(found)
    estimate = pd.Series(summary(result, periods_per_year), name="estimate")
    draws = {name: np.concatenate([part[name] for part in parts]) for name in estimate.index}
    tail = (1 - level) / 2
    bounds = {name: (np.nanquantile(values, [tail, 1 - tail]) if not np.isnan(values).all() else (np.nan, np.nan))
              for name, values in draws.items()}
    return pd.DataFrame({"estimate": estimate, "low": {name: float(pair[0]) for name, pair in bounds.items()},
                         "high": {name: float(pair[1]) for name, pair in bounds.items()},
                         "undefined": {name: float(np.isnan(values).mean()) for name, values in draws.items()}},
                        index=estimate.index).rename_axis("figure")
