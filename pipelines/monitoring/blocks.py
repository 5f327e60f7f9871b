"""Series per timestamp as means of blocks, and how much neighbouring blocks hang together. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float64]]

#: A block whose mean rests on fewer timestamps than this share of what there should be is left out.
LEAST_SHARE = 0.5
#: From so many blocks on their own correlation is looked at, too.
ENOUGH_BLOCKS = 14
#: Neighbours that hang together more than this are treated as if they did not.
MOST_CORRELATED = 0.95
#: The largest hourly coefficient: at 1 there would be no mean to speak of.
HIGHEST = 0.995


def number(times: pd.DatetimeIndex, start: datetime, length: timedelta) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The block that each time (UTC) falls into, counted from ``start``; negative before it."""
    since = (times - pd.Timestamp(start)).to_numpy().astype("timedelta64[us]").astype(np.int64)
    return np.asarray(since // round(length.total_seconds() * 1e6))


def whole(times: pd.DatetimeIndex, start: datetime, length: timedelta, end: datetime,
          bar: timedelta) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Numbers of the blocks in ``[start, end)`` that are over and have enough timestamps, ascending.

    Args:
        times: distinct times (UTC), each of which decides its block.
        bar: usual distance of the timestamps.
    """
    count = int((end - start) / length + 1e-9) if end > start else 0
    place = number(times, start, length)
    sizes = np.bincount(place[(place >= 0) & (place < count)], minlength=count)
    return np.flatnonzero(sizes >= max(1.0, LEAST_SHARE * (length / bar)))


def means(values: pd.Series, start: datetime, length: timedelta, chosen: np.ndarray[Any, Any]) -> Array:
    """Mean of ``values`` (index: time, UTC) in each of the ``chosen`` blocks, none of which may be empty."""
    place = number(pd.DatetimeIndex(values.index), start, length)
    kept = np.isin(place, chosen)
    size = int(chosen.max()) + 1 if len(chosen) else 0
    sums = np.bincount(place[kept], values.to_numpy(dtype=np.float64)[kept], size)
    return np.asarray(sums[chosen] / np.bincount(place[kept], minlength=size)[chosen])


def correlation(hourly: pd.Series, blocks: Array, per_block: float) -> float:
    """Correlation of neighbouring block means, in [0, ``MOST_CORRELATED``].

    The larger one of what an AR(1) fitted to ``hourly`` implies (a week holds many hours), and, where there are enough
    blocks, of their own; both corrected for the bias of short series (M. G. Kendall, *Biometrika* 41, 1954, 403-404).
    The hourly coefficient is taken one standard error higher: near 1, where a small error is a large one in what it
    implies, too little whitening costs more false alarms than too much costs power; far from 1 it changes nothing.

    Args:
        hourly: one value per timestamp, in time order.
        blocks: (n,) its block means.
        per_block: timestamps in a block.
    """
    values = hourly.to_numpy(dtype=np.float64)
    rho = _first(values)
    rho = min(rho + math.sqrt((1 - rho**2) / max(len(values), 1)), HIGHEST) if rho > 0 else 0.0
    found = implied(rho, per_block)
    if len(blocks) >= ENOUGH_BLOCKS:
        found = max(found, _first(blocks))
    return float(np.clip(found, 0.0, MOST_CORRELATED))


def implied(rho: float, size: float) -> float:
    """Correlation of neighbouring means of ``size`` values of an AR(1) with coefficient ``rho``."""
    if rho <= 0 or size <= 1:
        return max(rho, 0.0)
    rest = 1 - rho**size
    return float(rho * rest**2 / (size * (1 - rho**2) - 2 * rho * rest))


def _first(values: Array) -> float:
    """Autocorrelation at lag 1, corrected for bias; 0 where there is none."""
    values = values[np.isfinite(values)]
    if len(values) < 3:
        return 0.0
    centred = values - values.mean()
    variance = float(centred @ centred)
    if variance <= 1e-24 * max(1.0, float(values @ values)):
        return 0.0
    found = float(centred[1:] @ centred[:-1]) / variance
    return min(found + (1 + 3 * found) / len(values), HIGHEST)
