"""What a forecast would have earned after costs: a book-keeping of positions, not an execution simulator.

A row's probability becomes a position of +1, 0 or -1 unit: long above ``0.5 + band``, short below ``0.5 - band``.
The decision falls when the row is available (its bar has closed) and is executed at the next bar's open; the row's
``forward_return`` is counted from that open. A position is held for the horizon; with a horizon of h bars the unit is
split into h sleeves of 1/h, one opened each bar, so that exposure never exceeds one unit.

Costs (fee, slippage, half the spread) are one-way per unit of notional traded. The sleeve that opens now takes over
from the one that ends now, so only the difference is traded; where there is no next row to take over, the position is
closed and pays for it.

A row that arrived more than half a bar after its bar closed could not have been traded at the next open: no position.
"""

from pipelines.validation.backtest.attribution import attribute, contributions
from pipelines.validation.backtest.benchmarks import books, compare
from pipelines.validation.backtest.bookkeeping import BAR, accounts, book, net_returns, positions
from pipelines.validation.backtest.decisions import TakeRule, choose, take_or_skip
from pipelines.validation.backtest.montecarlo import MIN_PERIODS, intervals
from pipelines.validation.backtest.regimes import volatility_regime
from pipelines.validation.backtest.returns import (
    HOURS_PER_YEAR,
    Drawdown,
    drawdown,
    equity,
    figures,
    summary,
    worst_drawdown,
)
from pipelines.validation.backtest.scenarios import SCENARIOS, Setting, stress
from pipelines.validation.backtest.trials import equity_curves, trial_figures, trial_returns

__all__ = ["BAR", "HOURS_PER_YEAR", "MIN_PERIODS", "SCENARIOS", "Drawdown", "Setting", "TakeRule", "accounts",
           "attribute", "book", "books", "choose", "compare", "contributions", "drawdown", "equity", "equity_curves",
           "figures", "intervals", "net_returns", "positions", "stress", "summary", "take_or_skip", "trial_figures",
           "trial_returns", "volatility_regime", "worst_drawdown"]
