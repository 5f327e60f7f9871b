"""Sharpe ratios with their uncertainty: probabilistic, minimum track record, deflated by the number of trials.

Two conventions hold everywhere here, and both are checked where they can be:

- Sharpe ratios are **per period** (mean over standard deviation of one period's returns). Annualised ones are larger by
  the root of the periods in a year and make every figure below nonsense.
- Kurtosis is **raw** (normal: 3), as in the papers. Excess kurtosis is 3 less.

References:
    D. H. Bailey and M. López de Prado, "The Sharpe Ratio Efficient Frontier", *Journal of Risk* 15(2), 2012, 3-44.
    D. H. Bailey and M. López de Prado, "The Deflated Sharpe Ratio", *Journal of Portfolio Management* 40(5), 2014,
    94-107.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import labelled
from pipelines.validation.significance.trials import Method, effective_trials, expected_maximum_sharpe

#: per-period Sharpe ratios beyond this were annualised: even one bar a month would make it 3.5 a year
HIGHEST_PER_PERIOD = 1.0
#: the same bound where the length of a period is known, per year
HIGHEST_PER_YEAR = 10.0


@dataclass(frozen=True)
class Moments:
    """What the Sharpe tests need of a track record.

    Attributes:
        sharpe: per period.
        skewness: third standardised moment.
        kurtosis: fourth standardised moment, raw (normal: 3).
        periods: length of the record.

    Raises:
        ContractError: a kurtosis below ``1 + skewness**2``, which no distribution has (Pearson) and excess kurtosis
            often is; a Sharpe ratio above 1 per period.
        InsufficientData: fewer than 3 periods.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    periods: int

    def __post_init__(self) -> None:
        if not np.isfinite([self.sharpe, self.skewness, self.kurtosis]).all():
            raise ContractError(f"moments are not finite: {self}; drop missing returns first")
        if self.kurtosis < (1 + self.skewness**2) * (1 - 1e-9):
            raise ContractError(
                f"kurtosis is {self.kurtosis:g}, below 1 + skewness²; pass raw kurtosis (normal: 3), add 3 to excess")
        if self.periods < 3:
            raise InsufficientData(f"{self.periods} periods have no Sharpe ratio to test; at least 3 are needed")
        check_per_period(self.sharpe, "sharpe")

    @property
    def error(self) -> float:
        """Standard error of the Sharpe ratio times the root of ``periods - 1`` (2012, "SR estimator")."""
        square = 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2
        return float(np.sqrt(square))  # at least 0 by Pearson's inequality


def check_per_period(sharpe: float, what: str) -> None:
    """Refuse a Sharpe ratio that can only be annualised."""
    if not abs(sharpe) <= HIGHEST_PER_PERIOD:
        raise ContractError(f"{what} is {sharpe:g} per period, which looks annualised; divide by the root of the "
                            "periods in a year")


def sharpe_ratio(returns: pd.Series) -> float:
    """Sharpe ratio per period: mean over standard deviation (n - 1).

    Args:
        returns: (periods,) net returns as fractions, in excess of cash if that is meant, by UTC time.

    Raises:
        ContractError: refused by `labelled.return_series`, or constant.
        InsufficientData: fewer than 3 periods.
    """
    values = labelled.return_series(returns, 3)
    spread = float(values.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(values).max()):
        raise ContractError("the returns do not vary; their Sharpe ratio is undefined: leave this contender out")
    return float(values.mean()) / spread


def moments(returns: pd.Series) -> Moments:
    """`Moments` of a record; skewness and raw kurtosis are the plain moment estimators.

    Raises: as `sharpe_ratio`.
    """
    ratio = sharpe_ratio(returns)
    values = returns.to_numpy(dtype=np.float64)
    return Moments(ratio, float(stats.skew(values)), float(stats.kurtosis(values, fisher=False)), len(values))


def psr(record: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark`` per period (2012, PSR).

    Raises:
        ContractError: a benchmark that is annualised.
    """
    check_per_period(benchmark, "benchmark")
    return float(stats.norm.cdf((record.sharpe - benchmark) * np.sqrt(record.periods - 1) / record.error))


def probabilistic_sharpe(returns: pd.Series, benchmark: float = 0.0) -> float:
    """`psr` of a record of returns. Its times tell how long a period is, so that a benchmark above 10 a year is
    refused as annualised even where it is small.

    Raises: as `moments`, and ContractError for an annualised benchmark.
    """
    record = moments(returns)
    yearly = benchmark * float(np.sqrt(labelled.periods_per_year(returns.index)))
    if abs(yearly) > HIGHEST_PER_YEAR:
        raise ContractError(f"a benchmark Sharpe of {benchmark:g} per period is {yearly:.3g} a year and looks "
                            f"annualised; per period it is {benchmark**2 / yearly:.3g}")
    return psr(record, benchmark)


def minimum_track_record(record: Moments, benchmark: float = 0.0, alpha: float = 0.05) -> float:
    """Periods after which a record with these moments would have `psr` of ``1 - alpha`` (2012, MinTRL); not rounded,
    infinite where the record is not above the benchmark.

    Raises:
        ContractError: an annualised benchmark, or ``alpha`` outside (0, 0.5).
    """
    check_per_period(benchmark, "benchmark")
    if not 0 < alpha < 0.5:
        raise ContractError(f"alpha is {alpha}; a one-sided level lies between 0 and 0.5")
    if record.sharpe <= benchmark:
        return float("inf")
    return 1 + float((record.error * stats.norm.isf(alpha) / (record.sharpe - benchmark)) ** 2)


@dataclass(frozen=True)
class DeflatedSharpe:
    """Attributes:
        probability: that the chosen trial's true Sharpe ratio is above what the best of so many worthless trials would
            show (the deflated Sharpe ratio).
        trial: the chosen trial.
        sharpe, expected_maximum: its Sharpe ratio and that benchmark, both per period.
        trials, effective: trials run, and independent ones that they amount to.
        variance: of the trials' Sharpe ratios, per period.
    """

    probability: float
    trial: str
    sharpe: float
    expected_maximum: float
    trials: int
    effective: float
    variance: float


def deflated_sharpe(returns: pd.DataFrame, trial: str | None = None, method: Method = "average") -> DeflatedSharpe:
    """Deflated Sharpe ratio of one of many trials (2014, eq. 2).

    Args:
        returns: (periods, trials) of *all* trials that were run, kept or not.
        trial: the chosen one; None for the best.
        method: how the number of independent trials is estimated, see `trials.effective_trials`.

    Raises:
        ContractError: refused by `labelled.return_values`, a constant trial, an unknown one.
        InsufficientData: fewer than 3 periods or 2 trials.
    """
    values = labelled.return_values(returns, 3, 2)
    spread = values.std(axis=0, ddof=1)
    still = [str(name) for name, flat in zip(returns.columns, spread <= 1e-12 * np.abs(values).max(axis=0), strict=True)
             if flat]
    if still:
        raise ContractError(f"the returns of {still[:3]} do not vary; a trial that never trades has no Sharpe ratio: "
                            "leave it out")
    ratios = values.mean(axis=0) / spread
    place = int(np.argmax(ratios)) if trial is None else _place(returns, trial)
    chosen = values[:, place]
    record = Moments(float(ratios[place]), float(stats.skew(chosen)), float(stats.kurtosis(chosen, fisher=False)),
                     len(chosen))
    effective = effective_trials(returns, method)
    variance = float(ratios.var(ddof=1))
    expected = expected_maximum_sharpe(variance, effective)
    return DeflatedSharpe(psr(record, expected), str(returns.columns[place]), record.sharpe, expected, len(ratios),
                          effective, variance)


def _place(returns: pd.DataFrame, trial: str) -> int:
    if trial not in returns.columns:
        raise ContractError(f"no trial {trial!r} among {list(returns.columns)[:8]}")
    return int(returns.columns.get_loc(trial))
