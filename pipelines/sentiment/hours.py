"""Times as whole microseconds and hours since 1970 UTC: exact, and quick to compute with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

HOUR_US = 3_600_000_000
#: The grid of the aggregates: a tick is a full ten minutes, counted since 1970 UTC.
TICK_US = 600_000_000
TICKS = HOUR_US // TICK_US
DAY_TICKS = 24 * TICKS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

Ints = np.ndarray[Any, np.dtype[np.int64]]


def instant(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (at - _EPOCH) // _US


def moment(at: int) -> datetime:
    """The UTC time so many microseconds after 1970: ``instant`` the other way round."""
    return _EPOCH + timedelta(microseconds=at)


def microseconds(times: pd.Series | pd.DatetimeIndex) -> Ints:
    """Microseconds since 1970 of UTC times."""
    return np.array(times.array.as_unit("us").asi8)


def full_hour_after(at: Ints) -> Ints:
    """The first full hour (in hours since 1970) at or after these microseconds."""
    return -(-at // HOUR_US)


def full_hour(at: datetime) -> int:
    """The first full hour (in hours since 1970) at or after ``at``."""
    return -(-instant(at) // HOUR_US)


def full_tick(at: datetime) -> int:
    """The first full ten minutes (in ticks since 1970) at or after ``at``."""
    return -(-instant(at) // TICK_US)


def full_tick_after(at: Ints) -> Ints:
    """The first full ten minutes (in ticks since 1970) at or after these microseconds."""
    return -(-at // TICK_US)


def times(at: Ints) -> pd.DatetimeIndex:
    """Microseconds since 1970 as UTC times."""
    return pd.DatetimeIndex(at.astype("datetime64[us]")).tz_localize("UTC")
