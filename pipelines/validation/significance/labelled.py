"""What every test of this room asks of its input: labels. A matrix without names and times can be transposed, unsorted
or annualised and still give a number; a frame that says what it is can be refused.

A *series* holds one value per period, indexed by unique ascending UTC times. A *frame* holds one column per contender
(trial, champion, benchmark) over one such index. Losses are "smaller is better" and at least 0 (log loss, Brier,
squared error); returns are "greater is better" and of both signs. Negative losses are refused because nothing tells
them from returns: whoever means the loss "minus return" passes the returns as returns.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData

#: below this many values a sample of returns may well have no loss in it
ENOUGH_TO_TELL = 30
YEAR = pd.Timedelta(days=365.25)


def series_values(values: pd.Series, what: str, minimum: int = 2) -> FloatArray:
    """Checked values of a series.

    Args:
        values: (periods,) on a unique ascending UTC index.
        what: what it is, for messages.
        minimum: fewest periods that the caller can work with.

    Returns:
        (periods,) float64.

    Raises:
        ContractError: not a Series, times that are not unique, ascending and UTC, values not numeric or not finite.
        InsufficientData: fewer than ``minimum`` periods.
    """
    if not isinstance(values, pd.Series):
        raise ContractError(f"{what} came as {type(values).__name__}; pass a pandas Series indexed by UTC times")
    _check_times(values.index, what)
    return _finite(values.to_frame(), what, minimum)[:, 0]


def frame_values(values: pd.DataFrame, what: str, rows: int = 2, columns: int = 1) -> FloatArray:
    """Checked values of a frame.

    Args:
        values: (periods, contenders): UTC times as index, contenders' names as columns.
        what: what it is, for messages.
        rows: fewest periods that the caller can work with.
        columns: fewest contenders.

    Returns:
        (periods, contenders) float64.

    Raises:
        ContractError: not a DataFrame, transposed, times that are not unique, ascending and UTC, repeated names,
            values not numeric or not finite.
        InsufficientData: too few periods or contenders.
    """
    if not isinstance(values, pd.DataFrame):
        raise ContractError(
            f"{what} came as {type(values).__name__}; pass a DataFrame with UTC times as index, contenders as columns")
    if isinstance(values.columns, pd.DatetimeIndex):
        raise ContractError(f"{what} has times as columns; it is transposed: pass frame.T")
    _check_times(values.index, what)
    if not values.columns.is_unique:
        twice = list(values.columns[values.columns.duplicated()][:3])
        raise ContractError(f"{what} names {twice} more than once; give each contender its own name")
    if values.shape[1] < columns:
        raise InsufficientData(f"{what} has {values.shape[1]} contender(s); at least {columns} are needed")
    return _finite(values, what, rows)


def loss_values(losses: pd.DataFrame, rows: int = 2, columns: int = 1) -> FloatArray:
    """`frame_values` of losses; refuses what looks like returns."""
    values = frame_values(losses, "losses", rows, columns)
    if (values < 0).any():
        share = float((values < 0).mean())
        raise ContractError(f"{share:.0%} of the losses are negative; these look like returns: pass them as returns=")
    return values


def return_values(returns: pd.DataFrame, rows: int = 2, columns: int = 1) -> FloatArray:
    """`frame_values` of returns; refuses what looks like losses or an equity curve."""
    values = frame_values(returns, "returns", rows, columns)
    _check_returns(values)
    return values


def return_series(returns: pd.Series, minimum: int = 2) -> FloatArray:
    """`series_values` of returns; refuses what looks like losses or an equity curve."""
    values = series_values(returns, "returns", minimum)
    _check_returns(values[:, None])
    return values


def gains(losses: pd.DataFrame | None, returns: pd.DataFrame | None, rows: int = 2, columns: int = 2) -> pd.DataFrame:
    """One frame where greater is better, from exactly one of losses (sign turned) and returns.

    Raises:
        ContractError: both or neither given, or refused by `loss_values` or `return_values`.
        InsufficientData: too few periods or contenders.
    """
    if losses is not None and returns is None:
        return pd.DataFrame(-loss_values(losses, rows, columns), losses.index, losses.columns)
    if returns is not None and losses is None:
        return pd.DataFrame(return_values(returns, rows, columns), returns.index, returns.columns)
    raise ContractError("pass either losses= (smaller is better) or returns= (greater is better), and not both")


def against(better: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """Each contender's gain over the benchmark, (periods, contenders - 1): above 0 where the contender was better."""
    if benchmark not in better.columns:
        raise ContractError(f"no column {benchmark!r}; the benchmark is one of {list(better.columns)[:8]}")
    return better.drop(columns=benchmark).sub(better[benchmark], axis=0)


def periods_per_year(index: pd.DatetimeIndex) -> float:
    """Periods in 365.25 days, from the median spacing of the times."""
    spacing = pd.Series(index).diff().median()
    return float(YEAR / spacing)


def _check_times(index: pd.Index, what: str) -> None:
    if not isinstance(index, pd.DatetimeIndex):
        raise ContractError(f"{what} is indexed by {type(index).__name__}; index it by the periods' UTC times")
    if index.tz is None or str(index.tz) not in ("UTC", "utc", "UTC+00:00"):
        raise ContractError(f"the times of {what} are in zone {index.tz}; use tz_localize or tz_convert to 'UTC'")
    if index.hasnans or not index.is_unique:
        raise ContractError(f"{what} has repeated or missing times; average each time first, one row per period")
    if not index.is_monotonic_increasing:
        raise ContractError(f"{what} is not in time order; sort_index() first")


def _finite(frame: pd.DataFrame, what: str, minimum: int) -> FloatArray:
    wrong = [name for name, kind in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if wrong:
        raise ContractError(f"{what} has columns that are not numbers: {wrong[:3]}; convert them first")
    values: FloatArray = frame.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ContractError(f"{int(bad.sum())} values of {what} are missing or infinite; drop those periods first")
    if len(values) < minimum:
        raise InsufficientData(f"{len(values)} periods of {what}; at least {minimum} are needed: wait for outcomes")
    return values


def _check_returns(values: FloatArray) -> None:
    if values.shape[0] >= ENOUGH_TO_TELL and (values > 0).any() and not (values < 0).any():
        raise ContractError(
            f"none of {values.size} returns is negative; these look like losses or an equity curve: pass losses as "
            "losses=, and turn a curve into returns with pct_change()")
