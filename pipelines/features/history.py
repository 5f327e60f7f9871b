"""Trades as features may see them: openings without their outcomes, and what earlier trades brought once they had
closed. Feature groups read trades here and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Rows
from pipelines.store import asof


def openings(rows: Rows) -> pd.DataFrame:
    """Trades of the rows' symbols as they were when they opened, by ``available_at``: no column of an outcome."""
    trades = asof.read(rows.warehouse, Kind.TRADES, as_of=rows.as_of.to_pydatetime(), symbols=_symbols(rows),
                       revisions="first")
    return trades.drop(columns=list(SCHEMAS[Kind.TRADES].outcomes)).sort_values(
        "available_at", kind="stable", ignore_index=True)


def closed_trades(rows: Rows) -> pd.DataFrame:
    """Trades of the rows' symbols that had closed by ``rows.as_of``, with their outcomes, by ``known``: when the
    outcome became known (UTC), at the closing or, for a log that came late, after it. All versions, so that each row
    sees the one of its time."""
    trades = asof.read(rows.warehouse, Kind.TRADES, as_of=rows.as_of.to_pydatetime(), symbols=_symbols(rows),
                       revisions="all")
    trades = trades[trades["closed_at"].notna()]
    known = trades[["available_at", "closed_at"]].max(axis=1)
    return trades.assign(known=known).sort_values(["known", "revision"], kind="stable", ignore_index=True)


def versions(rows: Rows) -> pd.DataFrame:
    """Every version, known at ``rows.as_of``, of every trade of whatever symbol, with ``known``: when this version was
    known, for an outcome not before the closing. Ordered by it. What earlier trades of other markets brought is known
    to whoever decides, so nothing here depends on which rows are being built."""
    trades = asof.read(rows.warehouse, Kind.TRADES, as_of=rows.as_of.to_pydatetime(), revisions="all")
    known = trades[["available_at", "closed_at"]].max(axis=1)
    return trades.assign(known=known).sort_values(["known", "revision", *SCHEMAS[Kind.TRADES].key], kind="stable",
                                                  ignore_index=True)


def mean_of_last(rows: Rows, trades: pd.DataFrame, column: str, count: int) -> FloatArray:
    """Mean of ``column`` over the last ``count`` trades of each row's symbol whose outcome was known at the row's own
    ``available_at``; NaN where there was none. Of a trade with several versions the one in force then counts.

    Args:
        trades: as ``closed_trades`` gives them.
        count: at least 1.

    Returns:
        shape (rows,).
    """
    found = np.full(len(rows.frame), np.nan)
    key = list(SCHEMAS[Kind.TRADES].key)
    for symbol, of_symbol in rows.frame.groupby("symbol", sort=False):
        mine = trades[trades["symbol"] == symbol]
        for at, places in of_symbol.groupby("available_at", sort=False).indices.items():
            seen = mine[mine["known"] <= at].drop_duplicates(key, keep="last")
            if len(seen):
                values = seen.sort_values("closed_at", kind="stable")[column].iloc[-count:]
                found[rows.frame.index.get_indexer(of_symbol.index[places])] = float(values.mean())
    return found


def _symbols(rows: Rows) -> list[str]:
    return sorted(set(rows.frame["symbol"]))
