"""Bars for the spectral groups: planted paths, walks with gaps, and what a group makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.features import catalog
from pipelines.features.declare import Bars, Group

GROUPS = [catalog.GROUPS[name] for name in ("cycles", "spectral", "wavelet", "compressed", "dictionary")]
#: A Monday, 2024-03-04 00:00 UTC, in hours since 1970.
MONDAY = 474_864


def bars(log_close: np.ndarray, first: int = MONDAY) -> Bars:
    """Bars with these log closes, (hours,) or (hours, symbols)."""
    close = np.exp(log_close if log_close.ndim == 2 else log_close[:, None])
    return Bars(close, close * 1.01, close * 0.99, close, np.ones_like(close), first)


def walk(hours: int, symbols: int = 1, seed: int = 0) -> np.ndarray:
    return np.cumsum(0.01 * np.random.default_rng(seed).standard_normal((hours, symbols)), axis=0)


def part(given: Bars, rows: slice, symbols: slice = slice(None)) -> Bars:
    return Bars(*(np.ascontiguousarray(getattr(given, field)[rows, symbols])
                  for field in ("open", "high", "low", "close", "volume")), first=given.first + (rows.start or 0))


def computed(group: Group, given: Bars, *names: str) -> dict[str, np.ndarray]:
    """The group's features, or those that are named."""
    chosen = tuple(feature for feature in group.features if not names or feature.name in names)
    with np.errstate(all="ignore"):
        return replace(group, features=chosen).on_bars(given)


def filled(given: Bars, column: int = 0) -> np.ndarray:
    """Log returns of one symbol, 0 where missing."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.log(given.close[1:, column] / given.close[:-1, column]), nan=0.0)
