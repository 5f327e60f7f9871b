"""All trials of a search at once: net returns and equity curves, equal to the ``book`` of each."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation.backtest.bookkeeping import BAR, link, positions, trade
from pipelines.validation.backtest.returns import HOURS_PER_YEAR, figures

#: Cells worked on at a time: a few arrays of this many doubles stay in the processor's cache.
_CELLS = 100_000


def trial_returns(frame: pd.DataFrame, chances: pd.DataFrame, costs: Costs, horizon_bars: int,
                  bar: timedelta = BAR) -> pd.DataFrame:
    """Net simple return per bar of each trial.

    Args:
        frame: columns ``symbol``, ``event_time``, ``available_at``, ``forward_return``; one row per symbol and time.
        chances: (rows, trials) P(y = 1) of the same rows in the same order; the columns name the trials.
        costs: fees, slippage and spread, and the band without a position.
        horizon_bars: bars a decision is held.

    Returns:
        Index ``event_time`` (sorted, unique), one column per trial: the ``net`` of :func:`book`.

    Raises:
        ContractError: as ``book``, or another number of rows in ``chances`` than in ``frame``.
    """
    if len(chances) != len(frame):
        raise ContractError(f"chances of {len(chances)} rows for a frame of {len(frame)}; pass one row for each, and "
                            "one column per trial")
    ordered = np.argsort(frame["event_time"].to_numpy(), kind="stable")
    rows = frame.iloc[ordered].reset_index(drop=True)
    links = link(rows, horizon_bars, bar)
    at = rows["event_time"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], at[1:] != at[:-1]]))
    counts = np.diff(np.append(starts, len(at)))
    p = np.ascontiguousarray(chances.to_numpy(dtype=np.float64).T)
    if not (ordered[1:] > ordered[:-1]).all():
        p = p[:, ordered]
    net, scale = np.empty((p.shape[0], len(starts))), links.tradable / horizon_bars
    step = max(_CELLS // max(len(at), 1), 1)
    for first in range(0, len(p), step):
        part = slice(first, first + step)
        signal = positions(p[part], costs.band) * scale
        earned = signal * links.returns - costs.one_way * trade(signal, links)
        net[part] = earned if len(starts) == len(at) else np.add.reduceat(earned, starts, axis=1) / counts
    index = pd.DatetimeIndex(rows["event_time"].iloc[starts], name="event_time")
    return pd.DataFrame(net.T, index=index, columns=chances.columns)


def equity_curves(net: pd.DataFrame) -> pd.DataFrame:
    """Compounded wealth of one unit per trial, shape and labels of ``net``."""
    return pd.DataFrame(np.cumprod(1.0 + net.to_numpy().T, axis=1).T, index=net.index, columns=net.columns)


def trial_figures(net: pd.DataFrame, periods_per_year: float = HOURS_PER_YEAR) -> pd.DataFrame:
    """One row per trial, one column per figure from returns alone (see ``figures``)."""
    return pd.DataFrame(figures(net.to_numpy(dtype=np.float64).T, periods_per_year), index=net.columns)
