"""Is one forecast better than another? Tests of a mean loss difference that know about serial correlation.

`diebold_mariano` is the field's standard for forecasts of a known horizon. `cosine_test` makes no assumption about the
horizon and pays with fewer degrees of freedom where the differences hang together; it is the one for differences whose
memory is long and not known.

References:
    F. X. Diebold and R. S. Mariano, "Comparing Predictive Accuracy", *JBES* 13(3), 1995, 253-263.
    D. Harvey, S. Leybourne and P. Newbold, "Testing the equality of prediction mean squared errors", *International
    Journal of Forecasting* 13(2), 1997, 281-291: the correction (eq. 9) and Student's t with n - 1 degrees.
    E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, "HAR Inference: Recommendations for Practice", *JBES* 36(4),
    2018, 541-559: equal-weighted cosine (EWC) estimator, eq. 9 and 10; ``B = 0.4 n^(2/3)``, t with B degrees.
    U. K. Müller, "HAC Corrections for Strongly Autocorrelated Time Series", *JBES* 32(3), 2014, 311-322: why a fixed
    rule is oversized under strong autocorrelation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.validation.significance import labelled
from pipelines.validation.significance.block import noncentrality

Kernel = Literal["rectangular", "bartlett"]
#: fewest cosines: with fewer, Student's t is so wide that the test finds nothing
LEAST_COSINES = 3
#: relative bias of the long-run variance that the automatic number of cosines allows under an AR(1)
BIAS = 0.05


@dataclass(frozen=True)
class MeanTest:
    """A mean difference, benchmark's loss minus contender's: above 0 where the contender was better.

    Attributes:
        effect: mean difference in the unit of the losses.
        error: its standard error, corrections included.
        statistic: effect over error.
        freedom: degrees of freedom of Student's t.
        p_value: one-sided, of "the contender is not better".
        p_two_sided: of "both are equally good".
        low, high: two-sided 95 % interval of the effect.
        minimum_detectable: the effect that the one-sided test at ``alpha`` finds with 80 % power.
        method: what the standard error is made of.
    """

    effect: float
    error: float
    statistic: float
    freedom: int
    p_value: float
    p_two_sided: float
    low: float
    high: float
    minimum_detectable: float
    method: str


def loss_differences(losses: pd.DataFrame, contender: str, benchmark: str) -> pd.Series:
    """Benchmark's loss minus the contender's per period, from a (periods, contenders) frame of losses.

    Raises:
        ContractError: refused by `labelled.loss_values`, or an unknown column.
    """
    labelled.loss_values(losses)
    for name in (contender, benchmark):
        if name not in losses.columns:
            raise ContractError(f"no column {name!r} in the losses; there are {list(losses.columns)[:8]}")
    return losses[benchmark] - losses[contender]


def diebold_mariano(losses: pd.DataFrame, contender: str, benchmark: str, *, horizon: int,
                    kernel: Kernel = "rectangular", alpha: float = 0.05) -> MeanTest:
    """Diebold-Mariano test with the small-sample correction of Harvey, Leybourne and Newbold.

    Args:
        losses: (periods, contenders).
        horizon: of the forecasts in periods; optimal forecasts' errors are correlated over ``horizon - 1`` lags.
        kernel: weights of those lags. ``rectangular`` is the original; where it gives a variance that is not positive,
            ``bartlett`` (Newey-West, with ``horizon`` lags so that it keeps some) takes its place.
        alpha: one-sided level of the minimum detectable effect.

    Raises:
        ContractError: as `loss_differences`, a horizon below 1, or equal losses in every period.
        InsufficientData: fewer than ``max(10, 3 horizon)`` periods.
    """
    return diebold_mariano_of(loss_differences(losses, contender, benchmark), horizon=horizon, kernel=kernel,
                              alpha=alpha)


def diebold_mariano_of(differences: pd.Series, *, horizon: int, kernel: Kernel = "rectangular",
                       alpha: float = 0.05) -> MeanTest:
    """`diebold_mariano` on ready differences, (periods,), above 0 where the contender was better."""
    if horizon < 1:
        raise ContractError(f"horizon is {horizon}; a forecast looks at least 1 period ahead")
    values = labelled.series_values(differences, "differences", max(10, 3 * horizon))
    _refuse_constant(values)
    periods = len(values)
    variance, used = _variance(values, horizon - 1, kernel), kernel
    if variance <= 0:
        variance, used = _variance(values, horizon, "bartlett"), "bartlett"
    correction = (periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods) / periods
    return _result(float(values.mean()), float(np.sqrt(variance / periods / correction)), periods - 1, alpha,
                   f"Diebold-Mariano, {used} over {horizon - 1} lags, HLN correction")


def cosine_test(differences: pd.Series, *, cosines: int | None = None, alpha: float = 0.05) -> MeanTest:
    """Test of a mean by equal-weighted cosines: the series' slow movements measure its long-run variance.

    The number of cosines is the degrees of freedom. By default it is Lazarus and others' ``0.4 n^(2/3)``, and fewer
    where the series is persistent: as many as keep the variance's relative bias under a fitted first-order
    autoregression within a twentieth, at least 3.

    Args:
        differences: (periods,) above 0 where the contender was better, by UTC time.
        cosines: a number to use instead.
        alpha: one-sided level of the minimum detectable effect.

    Raises:
        ContractError: refused by `labelled.series_values`, constant, or a number of cosines out of range.
        InsufficientData: fewer than 20 periods.
    """
    values = labelled.series_values(differences, "differences", 20)
    _refuse_constant(values)
    periods = len(values)
    number = automatic_cosines(values) if cosines is None else cosines
    if not 2 <= number < periods:
        raise ContractError(f"{number} cosines for {periods} periods; take 2 to {periods - 1}")
    steps = np.arange(periods) + 0.5
    waves = np.cos(np.pi * np.outer(np.arange(1, number + 1), steps) / periods)
    variance = float(np.mean((waves @ (values - values.mean())) ** 2) * 2 / periods)
    return _result(float(values.mean()), float(np.sqrt(variance / periods)), number, alpha, f"{number} cosines")


def automatic_cosines(values: FloatArray) -> int:
    """Cosines for (periods,): as many as `affordable_cosines` says, and at least `LEAST_COSINES`."""
    return max(int(affordable_cosines(values)), LEAST_COSINES)


def affordable_cosines(values: FloatArray) -> float:
    """How many cosines (periods,) can bear: the rule of Lazarus and others, lowered under persistence. Below
    `LEAST_COSINES` the series remembers too long for its length, and any test of its mean is oversized.

    To first order the estimator's relative bias is ``-(pi B / n)^2 / 6 * 2 r / (1 - r)^2`` under an AR(1) with
    correlation ``r`` (their eq. 14 with the cosine kernel's curvature). ``r`` is estimated by least squares with
    Kendall's correction for its downward bias, ``(1 + 3 r) / n``.
    """
    periods = len(values)
    rule = float(round(0.4 * periods ** (2 / 3)))
    centred = values - values.mean()
    first = float(centred[1:] @ centred[:-1] / (centred @ centred))
    correlation = min(first + (1 + 3 * first) / periods, 1 - 1 / periods)
    if correlation <= 0:
        return rule
    curvature = 2 * correlation / (1 - correlation) ** 2
    return min(rule, float(periods / np.pi * np.sqrt(6 * BIAS / curvature)))


def _variance(values: FloatArray, lags: int, kernel: Kernel) -> float:
    centred = values - values.mean()
    periods = len(values)
    found = float(centred @ centred)
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1) if kernel == "bartlett" else 1.0
        found += 2 * weight * float(centred[lag:] @ centred[:-lag])
    return found / periods


def _refuse_constant(values: FloatArray) -> None:
    if values.std() <= 1e-12 * max(float(np.abs(values).max()), np.finfo(float).tiny):
        raise ContractError("the differences do not vary; check that both columns are forecasts of their own")


def _result(effect: float, error: float, freedom: int, alpha: float, method: str) -> MeanTest:
    if not 0 < alpha < 0.5:
        raise ContractError(f"alpha is {alpha}; a one-sided level lies between 0 and 0.5")
    statistic = effect / error
    half = float(stats.t.ppf(0.975, freedom)) * error
    return MeanTest(effect, error, statistic, freedom, float(stats.t.sf(statistic, freedom)),
                    float(2 * stats.t.sf(abs(statistic), freedom)), effect - half, effect + half,
                    noncentrality(alpha, freedom) * error, method)
