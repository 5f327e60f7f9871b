"""Labelled series and frames for the tests of this room."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import signal


def times(periods: int, freq: str = "h") -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=periods, freq=freq, tz="UTC")


def series(values: np.ndarray | list[float], freq: str = "h") -> pd.Series:
    return pd.Series(np.asarray(values, dtype=float), times(len(values), freq))


def frame(values: np.ndarray, freq: str = "h", prefix: str = "t") -> pd.DataFrame:
    return pd.DataFrame(values, times(len(values), freq), [f"{prefix}{number}" for number in range(values.shape[1])])


def ar1(rng: np.random.Generator, rho: float, runs: int, length: int) -> np.ndarray:
    """Stationary AR(1) with unit variance, shape (runs, length)."""
    noise = rng.standard_normal((runs, length + 400)) * np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], noise, axis=1)[:, 400:]
