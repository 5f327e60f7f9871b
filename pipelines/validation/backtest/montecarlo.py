"""How far a figure could have been from what was seen: the stationary bootstrap.

References:
    D. N. Politis and J. P. Romano, "The Stationary Bootstrap", *Journal of the American Statistical Association* 89,
    1994, 1303-1313.
    D. N. Politis and H. White, "Automatic Block-Length Selection for the Dependent Bootstrap", *Econometric Reviews*
    23, 2004, 53-70, with the correction of A. Patton, D. N. Politis and H. White, ibid. 28, 2009, 372-375.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.backtest.returns import HOURS_PER_YEAR, figures, summary

IntArray = np.ndarray[Any, np.dtype[np.int64]]

MIN_PERIODS = 20
_CELLS = 500_000


def block_length(values: Any) -> float:
    """Mean block length that the stationary bootstrap needs for these (periods,) values; at least 1.

    The flat-top kernel estimate of Politis and White (2004) with the correction of 2009: autocovariances up to twice
    the lag after which max(5, log10 n) in a row are insignificant; not above min(3 sqrt(n), n / 3).

    Raises:
        InsufficientData: fewer than 20 periods.
    """
    series = np.asarray(values, dtype=np.float64)
    count = len(series)
    if count < MIN_PERIODS:
        raise InsufficientData(f"{count} periods are too few for a bootstrap; at least {MIN_PERIODS} are needed")
    off = series - series.mean()
    if float(off @ off) <= 1e-24 * max(1.0, float(series @ series)):
        return 1.0
    run = max(5, int(np.log10(count)))
    most = int(np.ceil(np.sqrt(count))) + run
    lags = np.arange(min(most, count - 2) + 1)
    cross = np.array([off[lag:] @ off[: count - lag] for lag in lags])
    # Each correlation is scaled by its own two ends, as in Patton's published code.
    ends = np.sqrt([(off[lag + 1:] @ off[lag + 1:]) * (off[: -(lag + 1)] @ off[: -(lag + 1)]) for lag in lags])
    quiet = np.abs(cross) < 2 * np.sqrt(np.log10(count) / count) * ends
    silent = [lag for lag in range(len(lags) - run) if quiet[lag: lag + run].all()]
    width = min(2 * max(silent[0], 1), lags[-1]) if silent else int(lags[-1])
    kernel = np.minimum(1.0, 2 * (1 - np.arange(1, width + 1) / width))
    covariance = cross / count
    slope = 2 * float(np.sum(kernel * np.arange(1, width + 1) * covariance[1: width + 1]))
    long_run = covariance[0] + 2 * float(np.sum(kernel * covariance[1: width + 1]))
    longest = float(np.ceil(min(3 * np.sqrt(count), count / 3)))
    if long_run == 0:
        return longest
    return float(np.clip((slope**2 / long_run**2 * count) ** (1 / 3), 1.0, longest))


def stationary_bootstrap(periods: int, reps: int, block: float, generator: np.random.Generator) -> IntArray:
    """Row positions of ``reps`` resamples, shape (reps, periods): blocks of geometric length with mean ``block`` from
    uniform starts, wrapped around the end."""
    starts = generator.integers(0, periods, (reps, periods))
    fresh = generator.random((reps, periods)) < 1 / block
    place = np.arange(periods)
    began = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    return (np.take_along_axis(starts, began, axis=1) + place - began) % periods


def intervals(result: pd.Series | pd.DataFrame, periods_per_year: float = HOURS_PER_YEAR, *, reps: int = 1000,
              level: float = 0.95, block: float | None = None, seed: int = 0) -> pd.DataFrame:
    """Percentile intervals of every figure of ``summary``.

    Args:
        result: net returns, or a ``book``; the columns of a book are resampled together.
        periods_per_year: how many periods make a year.
        reps: resamples.
        level: two-sided coverage.
        block: mean block length in periods; chosen by :func:`block_length` of the net returns if left out.
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
        drawn = stationary_bootstrap(len(net), min(step, reps - first), length, generator)
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
