"""Is one strategy's Sharpe ratio above another's, over the same periods?

Two answers of Ledoit and Wolf: a heteroskedasticity and autocorrelation consistent (HAC) normal test, and a studentised
circular block bootstrap, which keeps its level better in short or heavy-tailed records and is the one to decide by.

References:
    O. Ledoit and M. Wolf, "Robust performance hypothesis testing with the Sharpe ratio", *Journal of Empirical Finance*
    15(5), 2008, 850-859.
    D. W. K. Andrews, "HAC covariance matrix estimation", *Econometrica* 59(3), 1991, 817-858: Parzen kernel, automatic
    bandwidth (eq. 6.2, 6.4). D. W. K. Andrews and J. C. Monahan, *Econometrica* 60(4), 1992, 953-966: prewhitening.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.validation.significance import bootstrap, labelled

DRAWS = 4999
#: largest singular value left to the prewhitening autoregression (Andrews and Monahan 1992, p. 957)
STABLE = 0.97


@dataclass(frozen=True)
class SharpeDifference:
    """Attributes:
        difference: Sharpe ratio of the contender minus the benchmark's, per period.
        error: its HAC standard error.
        p_value: one-sided, of "the contender is not better": the bootstrap's if there was one.
        p_two_sided: of "they are equal".
        p_normal: one-sided by the HAC standard error and the normal distribution.
        low, high: two-sided 95 % interval, from the same source as ``p_value``.
        block: block length of the bootstrap in periods; 0 without.
    """

    difference: float
    error: float
    p_value: float
    p_two_sided: float
    p_normal: float
    low: float
    high: float
    block: int


def sharpe_difference(returns: pd.DataFrame, contender: str, benchmark: str, *, draws: int = DRAWS,
                      block: int | None = None, seed: int = 0, prewhiten: bool = True) -> SharpeDifference:
    """Test "the contender's Sharpe ratio is not above the benchmark's".

    Args:
        returns: (periods, strategies) with both columns.
        draws: bootstrap resamples; 0 for the HAC test alone.
        block: block length; None for Politis-White's circular one of the difference's influence.
        seed: of the bootstrap.
        prewhiten: fit a vector autoregression before the kernel, better under strong autocorrelation.

    Raises:
        ContractError: refused by `labelled.return_values`, an unknown column, a constant strategy, a block that fits
            fewer than two times.
        InsufficientData: fewer than 20 periods.
    """
    labelled.frame_values(returns, "returns", 20, 2)
    for name in (contender, benchmark):
        if name not in returns.columns:
            raise ContractError(f"no column {name!r} in the returns; there are {list(returns.columns)[:8]}")
    if contender == benchmark:
        raise ContractError(f"{contender!r} is compared with itself; name two strategies")
    pair = labelled.return_values(returns[[contender, benchmark]], 20, 2)
    if (pair.std(axis=0) <= 1e-12 * np.abs(pair).max(axis=0)).any():
        raise ContractError("a strategy's returns do not vary; its Sharpe ratio is undefined: leave it out")
    # ratios have no unit; a common size keeps the four-moment covariance well conditioned
    pair = pair / pair.std(axis=0)
    if np.abs(pair[:, 0] - pair[:, 1]).max() <= 1e-9:
        raise ContractError("both strategies earn the same up to scale; there is no difference to test")
    samples = np.column_stack([pair, pair**2])
    centre = samples.mean(axis=0)
    difference, gradient = _difference(centre[None])
    covariance = hac(samples - centre, prewhiten)
    error = float(np.sqrt(gradient[0] @ covariance @ gradient[0] / len(pair)))
    point = float(difference[0])
    normal = float(stats.norm.sf(point / error))
    if not draws:
        half, both = float(stats.norm.ppf(0.975)) * error, 2 * min(normal, 1 - normal)
        return SharpeDifference(point, error, normal, both, normal, point - half, point + half, 0)
    if block is None:
        block = int(np.ceil(bootstrap.block_length((samples - centre) @ gradient[0], circular=True)))
    if not 1 <= block <= len(pair) // 2:
        raise ContractError(f"blocks of {block} periods do not fit {len(pair)} periods twice; pass a smaller block")
    starts = np.random.default_rng(seed).integers(len(pair), size=(draws, len(pair) // block))
    shifted = studentised_draws(samples, point, starts, block)
    p_value = float((np.sum(shifted >= point / error) + 1) / (draws + 1))
    p_both = float((np.sum(np.abs(shifted) >= abs(point) / error) + 1) / (draws + 1))
    half = float(np.quantile(np.abs(shifted), 0.95)) * error
    return SharpeDifference(point, error, p_value, p_both, normal, point - half, point + half, block)


def studentised_draws(samples: FloatArray, point: float, starts: bootstrap.IntArray, block: int) -> FloatArray:
    """Centred and studentised differences of resamples made of circular blocks (2008, section 3.2.2, eq. 9 and 10).

    Args:
        samples: (periods, 4): two returns and their squares.
        point: the difference in the sample.
        starts: (draws, blocks) first positions.
        block: length of every block.

    Returns:
        (draws,).
    """
    around = np.concatenate([samples, samples[:block - 1]]) if block > 1 else samples
    running = np.concatenate([np.zeros((1, 4)), np.cumsum(around, axis=0)])
    sums = (running[block:] - running[:-block])[starts]  # (draws, blocks, 4): each block's sum
    means = sums.mean(axis=1) / block
    differences, gradients = _difference(means)
    # the resample's own covariance is the mean outer product of its blocks' scaled deviations; only its quadratic form
    # in the gradient is needed
    deviations = np.einsum("dbm,dm->db", sums - block * means[:, None], gradients) / np.sqrt(block)
    errors = np.sqrt(np.mean(deviations**2, axis=1) / (starts.shape[1] * block))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num((differences - point) / errors, nan=0.0, posinf=np.inf, neginf=-np.inf))


def hac(centred: FloatArray, prewhiten: bool = True) -> FloatArray:
    """Long-run covariance with the Parzen kernel and Andrews' automatic bandwidth, (columns, columns), from centred
    values (periods, columns); scaled by n / (n - columns) as Ledoit and Wolf do."""
    periods, columns = centred.shape
    innovations, colour = centred, np.eye(columns)
    if prewhiten:
        past, now = centred[:-1], centred[1:]
        matrix = np.linalg.lstsq(past, now, rcond=None)[0].T
        left, singular, right = np.linalg.svd(matrix)
        matrix = left @ np.diag(np.minimum(singular, STABLE)) @ right
        innovations = now - past @ matrix.T
        colour = np.linalg.inv(np.eye(columns) - matrix)
    bandwidth = _andrews(innovations)
    found = innovations.T @ innovations / len(innovations)
    for lag in range(1, min(int(np.ceil(bandwidth)), len(innovations))):
        part = innovations[lag:].T @ innovations[:-lag] / len(innovations)
        found += _parzen(lag / bandwidth) * (part + part.T)
    return np.asarray(colour @ found @ colour.T * periods / (periods - columns))


def _difference(means: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Difference of Sharpe ratios and its gradient, (draws,) and (draws, 4), from mean returns and mean squares
    (draws, 4) (2008, eq. 3)."""
    first, second, first_square, second_square = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.maximum(first_square - first**2, 0.0) ** -1.5
        b = np.maximum(second_square - second**2, 0.0) ** -1.5
        difference = first * np.cbrt(a) - second * np.cbrt(b)
        gradient = np.column_stack([first_square * a, -second_square * b, -first * a / 2, second * b / 2])
    return difference, gradient


def _andrews(values: FloatArray) -> float:
    """Bandwidth of the Parzen kernel: 2.6614 (alpha(2) n)^(1/5), alpha(2) from an AR(1) fitted to every column."""
    top = bottom = 0.0
    for column in values.T:
        past, now = column[:-1] - column[:-1].mean(), column[1:] - column[1:].mean()
        slope = float(np.clip(past @ now / max(past @ past, np.finfo(float).tiny), -STABLE, STABLE))
        square = float(np.mean((now - slope * past) ** 2)) ** 2
        top += 4 * slope**2 * square / (1 - slope) ** 8
        bottom += square / (1 - slope) ** 4
    return float(2.6614 * (top / max(bottom, np.finfo(float).tiny) * len(values)) ** 0.2)


def _parzen(x: float) -> float:
    return 1 - 6 * x**2 + 6 * x**3 if x <= 0.5 else 2 * (1 - x) ** 3
