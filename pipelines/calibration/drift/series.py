"""Stationary columns as features are: hourly values whose truth is known, and what may be planted in them.

Every column has mean 0 and variance 1 over the long run. Any two of them have the correlation ``common``, through one
factor: ``x_j = sqrt(c) f + sqrt(1 - c) e_j``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.calibration import noise
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError

HOURS = 24
WEEK = 7 * HOURS
Shape = Literal["ar", "garch", "garch_features", "seasonal"]
Planted = Literal["mean", "variance", "correlation"]
#: Hours over which the volatility among ``garch_features`` is taken.
VOLATILITY_HOURS = 24
#: Of ``seasonal``: standard deviations of the daily wave, of the weekend's step, and how far the noise swells by day.
WAVE, WEEKEND, SWELL = 1.0, 0.5, 0.5
#: Burn-in at which the start is forgotten even with a memory of 0.99.
_BURN_IN = 1000


@dataclass(frozen=True)
class Process:
    """How columns are made.

    Attributes:
        shape: ``ar``: first-order autoregressions; ``garch``: Student-t values under one GARCH(1,1) variance that all
            columns share; ``garch_features``: half of the columns are those, the other half the logarithms of their
            trailing volatilities; ``seasonal``: a wave over the day with a phase of its own, another level at weekends,
            and noise that swells by day, an autoregression.
        memory: hourly autocorrelation of ``ar`` and of the noise of ``seasonal``.
        common: correlation between any two columns (of ``seasonal``: of their noise), in [0, 1).
    """

    shape: Shape = "ar"
    memory: float = 0.0
    common: float = 0.0
    columns: int = 50


@dataclass(frozen=True)
class Shift:
    """What is planted from one hour on in the first ``columns`` columns.

    Attributes:
        size: standard deviations added to the mean; factor of the variance; correlation between any two columns, whose
            own distributions stay the same.
        over_days: how long the mean takes to get there.
    """

    kind: Planted
    size: float
    columns: int
    over_days: int = 0


def simulate(process: Process, hours: int, rng: np.random.Generator, shift: Shift | None = None,
             onset: int = 0) -> FloatArray:
    """Values, shape (hours, columns), with ``shift`` planted from row ``onset`` on; row 0 is a Monday's first hour.

    Raises:
        ContractError: a correlation to be planted in columns that have one, or that are no autoregressions.
    """
    count = process.columns
    if process.shape == "garch_features":
        base = _related(noise.garch(rng, hours + VOLATILITY_HOURS, count // 2 + 1), process.common)
        return _planted(np.hstack([base[VOLATILITY_HOURS:], _log_volatility(base)]), None, shift, onset)
    if process.shape == "garch":
        raw = noise.garch(rng, hours, count + 1)
    else:
        raw = noise.autoregressive(rng, hours, count + 1, process.memory, _BURN_IN)
    if shift is not None and shift.kind == "correlation" and (process.shape != "ar" or process.common):
        raise ContractError("a correlation is planted in independent autoregressions; leave out common and shape")
    values = _related(raw, process.common)
    if process.shape == "seasonal":
        values = _seasonal(values, rng)
    return _planted(values, raw[:, :1], shift, onset)


def _related(raw: FloatArray, common: float) -> FloatArray:
    """The first column is the factor."""
    mixed: FloatArray = np.sqrt(common) * raw[:, :1] + np.sqrt(1 - common) * raw[:, 1:]
    return mixed


def _log_volatility(values: FloatArray) -> FloatArray:
    """Logarithm of the root mean square of the last ``VOLATILITY_HOURS`` values, shape (hours - VOLATILITY_HOURS,
    columns); it has no variance of 1."""
    total = np.cumsum(values**2, axis=0)
    found: FloatArray = np.log((total[VOLATILITY_HOURS:] - total[:-VOLATILITY_HOURS]) / VOLATILITY_HOURS) / 2
    return found


def _seasonal(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Level and spread by hour and weekday; scaled so that a column's variance over whole weeks is 1."""
    hours, columns = values.shape
    phase = 2 * np.pi * rng.random(columns)
    clock = np.arange(hours)[:, None]
    day = np.sin(2 * np.pi * clock / HOURS + phase)
    weekend = (clock // HOURS) % 7 >= 5
    # the weekend's step has mean 0 and, with two days of seven, this variance
    step = WEEKEND * (weekend - 2 / 7) / np.sqrt(10 / 49)
    variance = WAVE**2 / 2 + WEEKEND**2 + 1 + SWELL**2 / 2
    found: FloatArray = (WAVE * day + step + (1 + SWELL * day) * values) / np.sqrt(variance)
    return found


def _planted(values: FloatArray, factor: FloatArray | None, shift: Shift | None, onset: int) -> FloatArray:
    if shift is None:
        return values
    values = values.copy()
    late = values[onset:, :shift.columns]
    if shift.kind == "mean":
        since = np.arange(1, len(late) + 1)[:, None]
        late += shift.size * np.minimum(1.0, since / max(1, HOURS * shift.over_days))
    elif shift.kind == "variance":
        late *= np.sqrt(shift.size)
    elif factor is not None:
        late[:] = np.sqrt(shift.size) * factor[onset:] + np.sqrt(1 - shift.size) * late
    return values
