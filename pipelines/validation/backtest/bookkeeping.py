"""Positions and their costs, row by row and per bar; the rules are those of the package's docstring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError

BAR = timedelta(hours=1)

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

#: The columns of a book, all per unit of capital.
COLUMNS = ("gross", "cost", "net", "turnover", "exposure")


@dataclass(frozen=True)
class Links:
    """What does not depend on the forecast, each of shape (rows,).

    Attributes:
        before: position of the row whose sleeve ends where this one opens (same symbol, one horizon earlier), -1: none.
        followed: a later row takes the sleeve over.
        tradable: the row came in time and has a return.
        returns: the forward return, 0 where there is none.
    """

    before: IntArray
    followed: BoolArray
    tradable: BoolArray
    returns: FloatArray


def positions(p: Any, band: float) -> FloatArray:
    """+1, 0 or -1 for each probability, any shape: 0 inside ``[0.5 - band, 0.5 + band]``."""
    chances = np.asarray(p, dtype=np.float64)
    return np.subtract(chances > 0.5 + band, chances < 0.5 - band, dtype=np.float64)


def link(frame: pd.DataFrame, horizon_bars: int, bar: timedelta = BAR) -> Links:
    """Check the frame and find each row's neighbours in time.

    Raises:
        ContractError: the target is not tradable (no ``forward_return``), or rows repeat.
    """
    if frame["forward_return"].isna().all():
        raise ContractError("no forward_return: this target cannot be traded; remove [costs] from the line")
    keys = pd.MultiIndex.from_arrays([frame["symbol"], frame["event_time"]])
    if not keys.is_unique:
        raise ContractError("a symbol has two rows at one time; keep one before the backtest")
    span = horizon_bars * bar
    before, after = (keys.get_indexer(pd.MultiIndex.from_arrays([frame["symbol"], frame["event_time"] + shift]))
                     for shift in (-span, span))
    late = frame["available_at"] > frame["event_time"] + 1.5 * bar
    return Links(before, after >= 0, ~(late | frame["forward_return"].isna()).to_numpy(),
                 frame["forward_return"].fillna(0.0).to_numpy(dtype=np.float64))


def trade(signal: FloatArray, links: Links) -> FloatArray:
    """Units traded by each row, shape of ``signal``: (..., rows) signed units of the sleeve that each row opens."""
    padded = np.concatenate([signal, np.zeros((*signal.shape[:-1], 1))], axis=-1)  # -1 finds the empty sleeve
    traded: FloatArray = np.abs(signal - padded[..., links.before]) + np.abs(signal) * ~links.followed
    return traded


def accounts(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int, bar: timedelta = BAR) -> pd.DataFrame:
    """The book of each row before it is averaged over the symbols: ``symbol``, ``event_time`` and :data:`COLUMNS`.

    Arguments and errors as of :func:`book`; rows in the order of ``frame``.
    """
    rows = frame[["symbol", "event_time", "available_at", "forward_return"]].reset_index(drop=True)
    links = link(rows, horizon_bars, bar)
    signal = np.where(links.tradable, positions(p, costs.band), 0.0) / horizon_bars
    turnover = trade(signal, links)
    gross, cost = signal * links.returns, costs.one_way * turnover
    return pd.DataFrame({"symbol": rows["symbol"], "event_time": rows["event_time"], "gross": gross, "cost": cost,
                         "net": gross - cost, "turnover": turnover, "exposure": np.abs(signal)})


def book(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int, bar: timedelta = BAR) -> pd.DataFrame:
    """Per ``event_time`` (sorted, unique, UTC) the equal-weighted mean over symbols.

    Columns: ``gross``, ``cost`` and ``net`` (simple returns per bar), ``turnover`` (units traded per bar) and
    ``exposure`` (absolute units held by the decision of this bar).

    Args:
        frame: columns ``symbol``, ``event_time``, ``available_at``, ``forward_return``; one row per symbol and time.
        p: (rows,) P(y = 1) of the same rows.
        costs: fees, slippage and spread, and the band without a position.
        horizon_bars: bars a decision is held.

    Raises:
        ContractError: the target is not tradable (no ``forward_return``), or rows repeat.
    """
    table = accounts(frame, p, costs, horizon_bars, bar)
    return table.drop(columns="symbol").groupby("event_time", sort=True).mean()


def net_returns(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int) -> pd.Series:
    """The ``net`` column of :func:`book`: mean net simple return per bar, indexed by ``event_time``."""
    return book(frame, p, costs, horizon_bars)["net"]
