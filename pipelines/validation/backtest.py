"""What a forecast would have earned after costs: a book-keeping of positions, not an execution simulator.

A row's probability becomes a position of +1, 0 or -1 unit: long above ``0.5 + band``, short below ``0.5 - band``.
The decision falls when the row is available (its bar has closed) and is executed at the next bar's open; the row's
``forward_return`` is counted from that open. A position is held for the horizon; with a horizon of h bars the unit is
split into h sleeves of 1/h, one opened each bar, so that exposure never exceeds one unit.

Costs are one-way per unit of notional traded. The sleeve that opens now takes over from the one that ends now, so only
the difference is traded; where there is no next row to take over, the position is closed and pays for it.

A row that arrived more than half a bar after its bar closed could not have been traded at the next open: no position.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError

BAR = timedelta(hours=1)
HOURS_PER_YEAR = 24 * 365


def positions(p: Any, band: float) -> FloatArray:
    """+1, 0 or -1 for each probability, shape (rows,): 0 inside ``[0.5 - band, 0.5 + band]``."""
    chances = np.asarray(p, dtype=np.float64)
    return np.where(chances > 0.5 + band, 1.0, np.where(chances < 0.5 - band, -1.0, 0.0))


def book(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int, bar: timedelta = BAR) -> pd.DataFrame:
    """Per ``event_time`` (sorted, unique, UTC) the equal-weighted mean over symbols.

    Columns: ``gross``, ``cost`` and ``net`` (simple returns per bar), ``turnover`` (units traded per bar) and
    ``exposure`` (absolute units held by the decision of this bar).

    Args:
        frame: columns ``symbol``, ``event_time``, ``available_at``, ``forward_return``; one row per symbol and time.
        p: (rows,) P(y = 1) of the same rows.
        costs: one-way costs and the band without a position.
        horizon_bars: bars a decision is held.

    Raises:
        ContractError: the target is not tradable (no ``forward_return``), or rows repeat.
    """
    rows = frame[["symbol", "event_time", "available_at", "forward_return"]].reset_index(drop=True)
    if rows["forward_return"].isna().all():
        raise ContractError("no forward_return: this target cannot be traded; remove [costs] from the line")
    if rows.duplicated(["symbol", "event_time"]).any():
        raise ContractError("a symbol has two rows at one time; keep one before the backtest")
    late = rows["available_at"] > rows["event_time"] + 1.5 * bar
    rows["signal"] = np.where(late | rows["forward_return"].isna(), 0.0, positions(p, costs.band)) / horizon_bars
    keyed = rows.set_index(["symbol", "event_time"])["signal"]
    span = horizon_bars * bar
    before = keyed.reindex(pd.MultiIndex.from_arrays([rows["symbol"], rows["event_time"] - span])).to_numpy()
    followed = pd.MultiIndex.from_arrays([rows["symbol"], rows["event_time"] + span]).isin(keyed.index)
    signal = rows["signal"].to_numpy()
    turnover = np.abs(signal - np.nan_to_num(before)) + np.where(followed, 0.0, np.abs(signal))
    gross = signal * rows["forward_return"].fillna(0.0).to_numpy()
    cost = costs.one_way * turnover
    table = pd.DataFrame({"event_time": rows["event_time"], "gross": gross, "cost": cost, "net": gross - cost,
                          "turnover": turnover, "exposure": np.abs(signal)})
    return table.groupby("event_time", sort=True).mean()


def net_returns(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int) -> pd.Series:
    """The ``net`` column of :func:`book`: mean net simple return per bar, indexed by ``event_time``."""
    return book(frame, p, costs, horizon_bars)["net"]


def equity(returns: pd.Series) -> pd.Series:
    """Compounded wealth of one unit, same index; starts at ``1 + returns.iloc[0]``."""
    return (1.0 + returns).cumprod()


def drawdown(returns: pd.Series) -> pd.Series:
    """Loss from the highest wealth so far (the starting unit included), as a fraction in [-1, 0]."""
    wealth = equity(returns)
    return wealth / wealth.cummax().clip(lower=1.0) - 1.0


def summary(result: pd.Series | pd.DataFrame, periods_per_year: float = HOURS_PER_YEAR) -> dict[str, float]:
    """Figures of one backtest; a Series of net returns gives the first five, a :func:`book` all of them.

    ``net_return`` total, compounded; ``sharpe_per_period`` mean over standard deviation of one period;
    ``sharpe_annualised`` the same times the square root of ``periods_per_year`` (independent periods assumed: it
    flatters autocorrelated returns); ``max_drawdown`` as a negative fraction; ``win_rate`` share of periods with a
    result that gained; ``turnover`` units traded per period; ``exposure`` mean absolute units held;
    ``cost`` total cost as a sum of simple returns. Sharpe and win rate are NaN where nothing was traded.
    """
    table = result if isinstance(result, pd.DataFrame) else None
    net = result if table is None else table["net"]
    spread = float(net.std(ddof=1)) if len(net) > 1 else 0.0
    sharpe = float(net.mean()) / spread if spread > 0 else float("nan")
    traded = net[net != 0]
    figures = {
        "net_return": float(equity(net).iloc[-1] - 1.0) if len(net) else 0.0,
        "sharpe_per_period": sharpe,
        "sharpe_annualised": sharpe * float(np.sqrt(periods_per_year)),
        "max_drawdown": float(drawdown(net).min()) if len(net) else 0.0,
        "win_rate": float((traded > 0).mean()) if len(traded) else float("nan"),
    }
    if table is not None:
        figures |= {"turnover": float(table["turnover"].mean()), "exposure": float(table["exposure"].mean()),
                    "cost": float(table["cost"].sum())}
    return figures
