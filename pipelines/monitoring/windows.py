"""Windows of monitoring: the trailing window of a check, and same-length windows slid over a reference by day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.window import Window
from pipelines.sentiment.hours import HOUR_US, microseconds

Array = np.ndarray[Any, np.dtype[Any]]


def trailing(as_of: datetime, days: int) -> Window:
    """The last ``days`` days before ``as_of`` (UTC): ``[as_of - days, as_of)``."""
    return Window(as_of - timedelta(days=days), as_of)


def day_numbers(times: pd.Series) -> Array:
    """Whole days (24 h) since the first of ``times``, shape (rows,), int64.

    Counted from the earliest time, not from midnight, so that every day but the last is whole.
    """
    if times.empty:
        return np.empty(0, dtype=np.int64)
    elapsed = (times - times.min()).to_numpy().astype("timedelta64[s]").astype(np.int64)
    return np.asarray(elapsed // 86_400)


def calendar_days(times: pd.Series) -> Array:
    """Days of the UTC calendar since the first of ``times``, shape (rows,), int64.

    For what looks *inside* of days: two frames that begin at different hours must cut their days at the same one. A
    column that moves in one step a day would else have the step inside of its days here and between them there.
    """
    day = microseconds(times) // (24 * HOUR_US)
    return np.asarray(day - day.min()) if day.size else day


def slide(daily: Array, length: int) -> Array:
    """Sums over every run of ``length`` days.

    Args:
        daily: shape (days, …), something countable per day.
        length: days in a window.

    Returns:
        shape (days - length + 1, …); empty when there are fewer days than that.
    """
    if len(daily) < length:
        return np.empty((0, *daily.shape[1:]), dtype=daily.dtype)
    total = np.concatenate([np.zeros((1, *daily.shape[1:]), dtype=daily.dtype), np.cumsum(daily, axis=0)])
    return np.asarray(total[length:] - total[:-length])
