"""The stationary bootstrap: blocks of random length, joined end to start on a circle, keep a series' short memory.

References:
    D. N. Politis and J. P. Romano, "The Stationary Bootstrap", *JASA* 89(428), 1994, 1303-1313: blocks with uniform
    starts and geometric lengths of mean ``block``; the variance of the resampled mean is their Lemma 1.
    D. N. Politis and H. White, "Automatic Block-Length Selection for the Dependent Bootstrap", *Econometric Reviews*
    23(1), 2004, 53-70; A. Patton, D. N. Politis and H. White, correction, *Econometric Reviews* 28(4), 2009, 372-375.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import fft

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData

IntArray = np.ndarray[Any, np.dtype[np.int64]]
#: random numbers drawn at once; part of the stream's definition, since a chunk draws its breaks before its starts
CHUNK = 4_000_000


def stationary_indices(periods: int, block: float, draws: int, seed: int) -> IntArray:
    """Resampled positions, one row per draw.

    Args:
        periods: length of the series.
        block: mean block length in periods, at least 1 (1 is the plain bootstrap).
        draws: how many resamples.
        seed: of NumPy's PCG64; the same seed gives the same positions.

    Returns:
        (draws, periods) positions in ``[0, periods)``.

    Raises:
        ContractError: a block below 1 or above ``periods``, or no draws.
    """
    _check(periods, block, draws)
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // periods)
    return np.concatenate([_indices(generator, periods, block, min(rows, draws - begun))
                           for begun in range(0, draws, rows)])


def bootstrap_means(values: FloatArray, block: float, draws: int, seed: int) -> FloatArray:
    """Mean of every column over every resample: ``values[indices].mean(axis=1)``, by counting instead of gathering.

    How often each period was drawn is a (draws, periods) matrix; its product with the values gives all means at once.
    The matrix does not depend on the values, so equal requests (calibration asks for thousands) share it.

    Args:
        values: (periods, columns).
        block, draws, seed: as in `stationary_indices`.

    Returns:
        (draws, columns).
    """
    periods = len(values)
    _check(periods, block, draws)
    if draws * periods <= CHUNK:
        return np.asarray(_counts(periods, block, draws, seed) @ values / periods)
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // periods)
    return np.concatenate([_tally(_indices(generator, periods, block, min(rows, draws - begun))) @ values / periods
                           for begun in range(0, draws, rows)])


def means_of(values: FloatArray, indices: IntArray) -> FloatArray:
    """Column means over given resamples, (draws, columns), from (periods, columns) and (draws, periods)."""
    return np.asarray(_tally(indices) @ values / len(values))


def long_run_variance(values: FloatArray, block: float) -> FloatArray:
    """Variance of ``sqrt(periods)`` times the resampled mean, exactly as the stationary bootstrap has it (Politis and
    Romano 1994, Lemma 1; the weights are kappa(n, i) of Hansen 2005, p. 372), by FFT.

    Args:
        values: (periods, columns).
        block: mean block length.

    Returns:
        (columns,), at least 0.
    """
    periods = len(values)
    centred = values - values.mean(axis=0)
    size = fft.next_fast_len(2 * periods, real=True)
    spectrum = fft.rfft(centred, size, axis=0)
    covariances = fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:periods] / periods
    lags = np.arange(1, periods)
    keep = 1 - 1 / block
    kappa = (1 - lags / periods) * keep**lags + lags / periods * keep ** (periods - lags)
    return np.asarray(np.maximum(covariances[0] + 2 * kappa @ covariances[1:], 0.0))


def block_length(values: FloatArray, circular: bool = False) -> float:
    """Mean block length that minimises the error of the resampled mean's variance (Politis-White with the correction of
    Patton et al.), for one series; at least 1.

    The lag window opens where ``max(5, log10 n)`` autocorrelations in a row stay within ``2 sqrt(log10(n) / n)``.
    Autocorrelations are over common samples, as in ``arch.bootstrap.optimal_block_length``, which this equals.

    Args:
        values: (periods,).
        circular: for fixed-length circular blocks instead of the stationary bootstrap's geometric ones.

    Raises:
        InsufficientData: fewer than 20 periods.
    """
    periods = len(values)
    if periods < 20:
        raise InsufficientData(f"{periods} periods say nothing about their memory; at least 20 are needed")
    centred = values - values.mean()
    if not np.any(np.abs(centred) > 1e-14 * max(1.0, float(np.abs(values).max()))):
        return 1.0
    run = max(5, int(np.log10(periods)))
    most = int(np.ceil(np.sqrt(periods))) + run
    products = np.array([centred[lag:] @ centred[:periods - lag] for lag in range(most + 1)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    lags = np.arange(most + 1)
    after, before = squares[-1] - squares[lags + 1], squares[periods - lags - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.abs(products) / np.sqrt(after * before) < 2 * np.sqrt(np.log10(periods) / periods)
    quiet = np.lib.stride_tricks.sliding_window_view(small[:most], run).all(axis=1)
    width = min(2 * max(int(np.argmax(quiet)), 1), most) if quiet.any() else most
    covariances = products[1:width + 1] / periods
    steps = np.arange(1, width + 1)
    window = np.minimum(1.0, 2 * (1 - steps / width))
    slope = 2 * float(window @ (steps * covariances))
    level = products[0] / periods + 2 * float(window @ covariances)
    longest = float(np.ceil(min(3 * np.sqrt(periods), periods / 3)))
    if level**2 <= 0:
        return longest
    length = (2 * slope**2 / ((4 / 3 if circular else 2) * level**2) * periods) ** (1 / 3)
    return float(min(max(length, 1.0), longest))


def joint_block_length(values: FloatArray) -> float:
    """One length for (periods, columns): the median of the columns' own, rounded up. The median, since one trial's
    chance length must not set all; whole, so that equal requests share their resamples."""
    return float(np.ceil(np.median([block_length(column) for column in values.T])))


def _indices(generator: np.random.Generator, periods: int, block: float, draws: int) -> IntArray:
    breaks = generator.random((draws, periods)) < 1 / block
    breaks[:, 0] = True
    places = np.flatnonzero(breaks)  # where a block begins, in all draws laid end to end
    starts = generator.integers(periods, size=len(places), dtype=np.int64)
    lengths = np.diff(places, append=breaks.size)
    found = np.repeat(starts - places, lengths) + np.arange(breaks.size)
    found[found >= periods] -= periods
    return found.reshape(draws, periods)


def _tally(indices: IntArray) -> FloatArray:
    draws, periods = indices.shape
    flat = (indices + periods * np.arange(draws)[:, None]).ravel()
    return np.bincount(flat, minlength=draws * periods).reshape(draws, periods).astype(np.float64)


@lru_cache(maxsize=16)
def _counts(periods: int, block: float, draws: int, seed: int) -> FloatArray:
    counts = _tally(_indices(np.random.default_rng(seed), periods, block, draws))
    counts.setflags(write=False)
    return counts


def _check(periods: int, block: float, draws: int) -> None:
    if not 1 <= block <= periods:
        raise ContractError(f"a mean block of {block} does not fit {periods} periods; it lies between 1 and {periods}")
    if draws < 1:
        raise ContractError(f"{draws} resamples give nothing; ask for at least 1, for p-values 1,000")
