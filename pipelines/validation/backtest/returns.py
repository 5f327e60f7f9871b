"""The figures of one or many series of net returns, each under one name.

====================  ==============================================================================  ======
name                  meaning                                                                         better
====================  ==============================================================================  ======
net_return            total, compounded                                                               more
sharpe_per_period     mean over standard deviation (ddof 1) of one period                             more
sharpe_annualised     the same times the square root of periods per year                              more
sortino_per_period    mean over downside deviation: root mean square of the losses, over all periods  more
sortino_annualised    the same times the square root of periods per year                              more
calmar                compounded return of a year over the largest drawdown's size                    more
max_drawdown          largest loss from a high of wealth, a fraction in [-1, 0]                       more
win_rate              share of periods with a result that gained                                      more
profit_factor         sum of gains over sum of losses                                                 more
turnover              units traded per period (from a book)
exposure              mean absolute units held (from a book)
cost                  total cost as a sum of simple returns (from a book)                             less
====================  ==============================================================================  ======

Annualising by a square root assumes independent periods; it flatters autocorrelated returns. A figure that the returns
cannot define is NaN: Sharpe and Sortino without variation or loss, Calmar without drawdown, the win rate where nothing
was traded, the profit factor without a loss.

References:
    W. F. Sharpe, "The Sharpe Ratio", *Journal of Portfolio Management* 21(1), 1994, 49-58.
    F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework", *Journal of Investing* 3(3),
    1994, 59-64.
    T. W. Young, "Calmar Ratio: A Smoother Tool", *Futures* 20(1), 1991, 40.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray

HOURS_PER_YEAR = 24 * 365
#: The figures of returns alone.
RETURN_NAMES = ("net_return", "sharpe_per_period", "sharpe_annualised", "sortino_per_period", "sortino_annualised",
                "calmar", "max_drawdown", "win_rate", "profit_factor")
#: A spread this small beside the mean is rounding, and a ratio to it means nothing.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Drawdown:
    """The largest loss from a high of wealth.

    Attributes:
        depth: fraction in [-1, 0].
        peak: period after which wealth was highest before the loss; None: the start, before the first period.
        trough: period after which wealth was lowest.
        recovery: first period after which wealth was back at the peak's; None: not yet.
    """

    depth: float
    peak: pd.Timestamp | None
    trough: pd.Timestamp | None
    recovery: pd.Timestamp | None


def equity(returns: pd.Series) -> pd.Series:
    """Compounded wealth of one unit, same index; starts at ``1 + returns.iloc[0]``."""
    return (1.0 + returns).cumprod()


def drawdown(returns: pd.Series) -> pd.Series:
    """Loss from the highest wealth so far (the starting unit included), as a fraction in [-1, 0]."""
    wealth = equity(returns)
    return wealth / wealth.cummax().clip(lower=1.0) - 1.0


def worst_drawdown(returns: pd.Series) -> Drawdown:
    """The deepest drawdown with its dates; the earliest of equal ones; depth 0 and no dates if wealth never fell."""
    falls = drawdown(returns).to_numpy()
    if not len(falls) or not falls.min() < 0:
        return Drawdown(0.0, None, None, None)
    wealth, trough = equity(returns).to_numpy(), int(falls.argmin())
    before = wealth[: trough + 1]
    high = max(1.0, float(before.max()))
    peak = returns.index[int(np.flatnonzero(before == high)[-1])] if before.max() >= 1.0 else None
    back = np.flatnonzero(wealth[trough:] >= high)
    return Drawdown(float(falls[trough]), peak, returns.index[trough],
                    returns.index[trough + int(back[0])] if len(back) else None)


def figures(net: FloatArray, periods_per_year: float = HOURS_PER_YEAR) -> dict[str, FloatArray]:
    """The figures from returns alone, for many series at once.

    Args:
        net: (series, periods) simple returns per period.
        periods_per_year: how many such periods make a year.

    Returns:
        Name → shape (series,).
    """
    series, periods = net.shape
    if not periods:
        nothing = np.full(series, np.nan)
        return {name: np.zeros(series) if name in ("net_return", "max_drawdown") else nothing for name in RETURN_NAMES}
    mean = net.mean(axis=1)
    spread = net.std(axis=1, ddof=1) if periods > 1 else np.zeros(series)
    losses = np.minimum(net, 0.0)
    lost, gained = -losses.sum(axis=1), np.maximum(net, 0.0).sum(axis=1)
    wealth = np.cumprod(1.0 + net, axis=1)
    high = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
    deepest = np.minimum((wealth / high - 1.0).min(axis=1), 0.0)
    wins, traded = (net > 0).sum(axis=1), (net != 0).sum(axis=1)
    with np.errstate(over="ignore"):
        yearly = np.maximum(wealth[:, -1], 0.0) ** (periods_per_year / periods) - 1.0
    year = np.sqrt(periods_per_year)
    sharpe = _ratio(mean, np.where(spread > _ROUNDING * np.abs(mean), spread, 0.0))
    sortino = _ratio(mean, np.sqrt(np.mean(losses**2, axis=1)))
    calmar = _ratio(yearly, -deepest)
    return {
        "net_return": wealth[:, -1] - 1.0, "sharpe_per_period": sharpe, "sharpe_annualised": sharpe * year,
        "sortino_per_period": sortino, "sortino_annualised": sortino * year,
        "calmar": np.where(np.isfinite(calmar), calmar, np.nan), "max_drawdown": deepest,
        "win_rate": _ratio(wins, traded), "profit_factor": _ratio(gained, lost),
    }


def summary(result: pd.Series | pd.DataFrame, periods_per_year: float = HOURS_PER_YEAR) -> dict[str, float]:
    """Figures of one backtest: of a Series of net returns those from returns alone, of a ``book`` all of them."""
    table = result if isinstance(result, pd.DataFrame) else None
    net = result if table is None else table["net"]
    found = {name: float(values[0])
             for name, values in figures(net.to_numpy(dtype=np.float64)[None, :], periods_per_year).items()}
    if table is not None:
        found |= {"turnover": float(table["turnover"].mean()), "exposure": float(table["exposure"].mean()),
                  "cost": float(table["cost"].sum())}
    return found


def _ratio(over: FloatArray, under: FloatArray) -> FloatArray:
    """``over / under``, NaN where ``under`` is not positive."""
    under = np.asarray(under, dtype=np.float64)
    found: FloatArray = np.divide(over, under, out=np.full(under.shape, np.nan), where=under > 0)
    return found
