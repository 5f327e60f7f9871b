"""How many independent trials do many correlated ones amount to, and how good does the best look by chance?

References:
    D. H. Bailey and M. López de Prado, "The Deflated Sharpe Ratio", *JPM* 40(5), 2014, 94-107: expected maximum (eq. 1,
    in the variance of the trials), effective number by average correlation (appendix A.3).
    N. W. Galwey, "A new measure of the effective number of tests", *Genetic Epidemiology* 33(7), 2009, 559-568.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.errors import ContractError
from pipelines.validation.significance import labelled

Method = Literal["average", "eigenvalue", "none"]


def expected_maximum_sharpe(variance: float, trials: float) -> float:
    """Expected best Sharpe ratio of ``trials`` independent ones whose true value is 0 (2014, eq. 1), at least 0.

    Args:
        variance: of the trials' Sharpe ratios, in squared per-period units.
        trials: how many, at least 1; need not be whole.

    Raises:
        ContractError: a negative or annualised variance, or less than one trial.
    """
    if not 0 <= variance <= 1:
        raise ContractError(f"the trials' Sharpe ratios have variance {variance:g}; pass that of per-period ones: "
                            "divide an annualised variance by the periods in a year")
    if not trials >= 1:
        raise ContractError(f"{trials} trials; at least 1 was run")
    if trials == 1:
        return 0.0
    quantiles = stats.norm.isf([1 / trials, 1 / (trials * np.e)])
    # just above one trial the approximation falls below 0, which the best of several never does
    return max(0.0, float(np.sqrt(variance) * ((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])))


def effective_trials(returns: pd.DataFrame, method: Method = "average") -> float:
    """Independent trials that correlated ones amount to, between 1 and their number.

    ``average``: ``r + (1 - r) M`` with the average correlation ``r`` of ``M`` trials, the paper's and the default. It
    counts most, and that is on the safe side: the variance of correlated trials' Sharpe ratios, which multiplies the
    expected maximum, has shrunk by the same correlation already, so that a stronger correction would use it twice.
    ``eigenvalue``: Galwey's ``(sum sqrt(l))**2 / sum l`` over the correlation matrix's eigenvalues; sees clusters,
    which an average hides. ``none``: every trial counts.

    Args:
        returns: (periods, trials), refused where `labelled.return_values` refuses.

    Raises:
        ContractError: an unknown method, or a trial without variance.
    """
    values = labelled.return_values(returns, 3, 1)
    number = values.shape[1]
    if method == "none" or number == 1:
        return float(number)
    if (values.std(axis=0) <= 1e-12 * np.abs(values).max(axis=0)).any():
        raise ContractError("a trial's returns do not vary, so that it correlates with nothing; leave it out")
    correlation = np.corrcoef(values, rowvar=False)
    if method == "average":
        mean = float((correlation.sum() - number) / (number * (number - 1)))
        found = mean + (1 - mean) * number
    elif method == "eigenvalue":
        eigenvalues = np.maximum(np.linalg.eigvalsh(correlation), 0.0)
        found = float(np.sqrt(eigenvalues).sum() ** 2 / eigenvalues.sum())
    else:
        raise ContractError(f"no method {method!r}; choose 'average', 'eigenvalue' or 'none'")
    return float(min(max(found, 1.0), number))
