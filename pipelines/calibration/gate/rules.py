"""Five rules by which people promote models, on the same simulated returns as the gate.

All of them look at the whole period at once, as people do who have no fresh days, and judge the trial that looks best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from pipelines.calibration.gate.returns import DAYS_PER_YEAR
from pipelines.validation.backtest.returns import figures
from pipelines.validation.significance import deflated_sharpe, spa
from pipelines.validation.significance.forecast import diebold_mariano_of

LEVEL = 0.05
#: What "better" has to mean under the second rule, per year.
MARGIN = 0.3

#: Name of the trial that a rule promotes, or None. Takes the daily returns (periods, contenders), champion first.
Rule = Callable[[pd.DataFrame], "str | None"]


def best_sharpe(returns: pd.DataFrame) -> str | None:
    """The greatest Sharpe ratio wins."""
    best, sharpe, _ = _best(returns)
    return best if sharpe[best] > sharpe[returns.columns[0]] else None


def sharpe_and_drawdown(returns: pd.DataFrame) -> str | None:
    """The best wins if it has 0.3 Sharpe a year more than the champion and no deeper drawdown."""
    best, sharpe, drawdown = _best(returns)
    champion = returns.columns[0]
    won = sharpe[best] >= sharpe[champion] + MARGIN and drawdown[best] >= drawdown[champion]
    return best if won else None


def plain_diebold_mariano(returns: pd.DataFrame) -> str | None:
    """The best wins if a Diebold-Mariano test against the champion, not corrected for the choice, is significant."""
    best, _, _ = _best(returns)
    test = diebold_mariano_of(returns[best] - returns.iloc[:, 0], horizon=1)
    return best if test.p_value <= LEVEL else None


def deflated(returns: pd.DataFrame) -> str | None:
    """The best wins if its deflated Sharpe ratio says with 95 % that it is above zero."""
    best, _, _ = _best(returns)
    trials = returns.iloc[:, 1:]
    if trials.shape[1] < 2:
        return None
    return best if deflated_sharpe(trials, best).probability > 1 - LEVEL else None


def superior_predictive_ability(returns: pd.DataFrame) -> str | None:
    """The best wins if Hansen's test over all trials is significant."""
    found = spa(benchmark=str(returns.columns[0]), returns=returns)
    return found.best if found.p_value <= LEVEL else None


RULES: Mapping[str, Rule] = {
    "best_sharpe": best_sharpe, "sharpe_and_drawdown": sharpe_and_drawdown,
    "plain_diebold_mariano": plain_diebold_mariano, "deflated_sharpe": deflated,
    "spa_over_all": superior_predictive_ability}


def _best(returns: pd.DataFrame) -> tuple[str, dict[str, float], dict[str, float]]:
    """The trial with the greatest Sharpe ratio; Sharpe per year and drawdown (fraction, at most 0) of everybody."""
    found = figures(returns.to_numpy(dtype=np.float64).T, DAYS_PER_YEAR)
    sharpe, drawdown = (dict(zip(map(str, returns.columns), map(float, found[name]), strict=True))
                        for name in ("sharpe_annualised", "max_drawdown"))
    return max(list(sharpe)[1:], key=sharpe.__getitem__), sharpe, drawdown
