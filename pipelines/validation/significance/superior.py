"""Which trials are better than the benchmark, and which cannot be told from the best? The only door to ``arch``.

References:
    J. P. Romano and M. Wolf, "Stepwise Multiple Testing as Formalized Data Snooping", *Econometrica* 73(4), 2005,
    1237-1282.
    P. R. Hansen, A. Lunde and J. M. Nason, "The Model Confidence Set", *Econometrica* 79(2), 2011, 453-497.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import bootstrap, labelled
from pipelines.validation.significance.hansen import DRAWS, MINIMUM_PERIODS


@dataclass(frozen=True)
class ConfidenceSet:
    """Contenders that no other is significantly better than.

    Attributes:
        included: contenders in the set, in the order of the columns.
        p_values: contender → smallest level at which it would be thrown out, in the order of elimination.
        block: mean block length.
    """

    included: tuple[str, ...]
    p_values: dict[str, float]
    block: float


def step_m(*, benchmark: str, losses: pd.DataFrame | None = None, returns: pd.DataFrame | None = None,
           alpha: float = 0.05, block: float | None = None, draws: int = DRAWS, seed: int = 0,
           studentise: bool = True) -> tuple[str, ...]:
    """Contenders that are better than the benchmark, with at most ``alpha`` probability of naming any that is not.

    Args: as in `hansen.spa`.

    Returns:
        Their names, in the order of the columns.

    Raises:
        ContractError, InsufficientData: as in `hansen.spa`.
    """
    gained = labelled.against(labelled.gains(losses, returns, MINIMUM_PERIODS, 2), benchmark)
    test = _arch_spa(gained, block, draws, seed, studentise)
    names, found = list(gained.columns), np.zeros(gained.shape[1], dtype=bool)
    # arch's own StepM asks for another step even when no contender is left, and fails on the empty maximum
    while not found.all():
        test.subset(~found)
        test.compute()
        better = test.better_models(_level(alpha), "consistent")
        if not len(better):
            break
        found[better] = True
    return tuple(str(name) for name, is_better in zip(names, found, strict=True) if is_better)


def reference_spa(gained: pd.DataFrame, *, block: float | None = None, draws: int = DRAWS, seed: int = 0,
                  studentise: bool = True) -> tuple[float, float, float]:
    """Lower, consistent and upper p-value of ``arch`` for the test of `hansen.spa_of_gains`; slow, and its judge."""
    labelled.frame_values(gained, "gains", MINIMUM_PERIODS, 1)
    test = _arch_spa(gained, block, draws, seed, studentise)
    test.compute()
    lower, consistent, upper = (float(value) for value in test.pvalues)
    return lower, consistent, upper


def model_confidence_set(*, losses: pd.DataFrame | None = None, returns: pd.DataFrame | None = None,
                         alpha: float = 0.05, method: Literal["R", "max"] = "R", block: float | None = None,
                         draws: int = DRAWS, seed: int = 0) -> ConfidenceSet:
    """The contenders that contain the best with probability at least ``1 - alpha``.

    Args:
        losses, returns: (periods, contenders), exactly one of the two; at least two contenders, none equal to another.
        alpha: a contender stays in while its p-value is above this.
        method: ``R`` compares all pairs (range statistic), ``max`` each with the average.
        block, draws, seed: of the stationary bootstrap; block None for Politis-White's, the median over contenders'
            differences from the average contender.

    Raises:
        ContractError: a frame that `labelled` refuses, or two equal contenders, whose difference has no variance.
        InsufficientData: fewer than 20 periods or two contenders.
    """
    from arch.bootstrap import MCS

    better = labelled.gains(losses, returns, MINIMUM_PERIODS, 2)
    values = better.to_numpy(dtype=np.float64)
    _refuse_twins(values, list(better.columns))
    length = _block(values - values.mean(axis=1, keepdims=True), block)
    test = MCS(-values, _level(alpha), reps=draws, block_size=length, method=method, bootstrap="stationary", seed=seed)
    test.compute()
    p_values = {str(better.columns[int(position)]): float(row) for position, row in test.pvalues["Pvalue"].items()}
    return ConfidenceSet(tuple(str(name) for name in better.columns if p_values[str(name)] > alpha), p_values,
                         float(length))


def _arch_spa(gained: pd.DataFrame, block: float | None, draws: int, seed: int, studentise: bool) -> Any:
    """arch's test on these gains. Its statistic is not studentised (see `hansen`), but all it does is equivariant to
    each contender's scale, so that gains in units of their standard error make it so."""
    from arch.bootstrap import SPA

    values = gained.to_numpy(dtype=np.float64)
    length = _block(values, block)
    if studentise:
        error = np.sqrt(bootstrap.long_run_variance(values, length))
        if (error <= 1e-12 * np.abs(values).max(axis=0)).any():
            raise ContractError("a contender equals the benchmark, or beats it by a constant; leave it out")
        values = values / error
    return SPA(np.zeros(len(values)), -values, block_size=length, reps=draws, bootstrap="stationary", seed=seed)


def _block(values: FloatArray, block: float | None) -> int:
    if block is None:
        return int(bootstrap.joint_block_length(values))
    if block != int(block) or not 1 <= block <= len(values):
        raise ContractError(f"block is {block}; arch takes whole mean block lengths from 1 to {len(values)} periods")
    return int(block)


def _level(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ContractError(f"alpha is {alpha}; a level lies between 0 and 1")
    return alpha


def _refuse_twins(values: FloatArray, names: list[Any]) -> None:
    if values.shape[1] < 2:
        raise InsufficientData("one contender is a set of its own; at least 2 are needed")
    seen: dict[bytes, Any] = {}
    for name, column in zip(names, values.T, strict=True):
        key = np.ascontiguousarray(column).tobytes()
        if key in seen:
            raise ContractError(f"{name} and {seen[key]} are equal in every period; keep one of them")
        seen[key] = name
