"""Where the net return came from: symbol, calendar month, trading session, regime.

Every table adds up to the book: the contributions are sums of simple returns per bar, not compounded.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.features.groups.time import SESSIONS, is_open
from pipelines.sentiment.hours import HOUR_US, microseconds
from pipelines.validation.backtest.bookkeeping import BAR, COLUMNS, accounts

NO_SESSION = "closed"
UNKNOWN = "unknown"
_CENTRES = tuple(session for session in SESSIONS if session.name in ("tokyo", "london", "new_york"))


def contributions(frame: pd.DataFrame, p: Any, costs: Costs, horizon_bars: int, bar: timedelta = BAR) -> pd.DataFrame:
    """What each row adds to the book: ``accounts`` over the number of symbols of its time.

    Arguments and errors as of ``book``; summed over an ``event_time`` the columns are the book's.
    """
    table = accounts(frame, p, costs, horizon_bars, bar)
    symbols = table.groupby("event_time")["symbol"].transform("size")
    columns = list(COLUMNS)
    table[columns] = table[columns].div(symbols, axis=0)
    return table


def attribute(rows: pd.DataFrame, regime: pd.Series, bar: timedelta = BAR) -> dict[str, pd.DataFrame]:
    """Split the return four ways.

    Args:
        rows: as made by :func:`contributions`.
        regime: index ``event_time`` (unique, UTC), a label per time (see ``volatility_regime``); a time without one is
            ``unknown``.
        bar: length of a bar; a row's session is the one at its bar's close, when it is decided.

    Returns:
        ``symbol``, ``month`` (``YYYY-MM``, UTC), ``session`` and ``regime``, each a frame with one row per group and
        the columns ``gross``, ``cost``, ``net``, ``turnover`` (sums), ``share`` (of the total net, NaN when that is 0)
        and ``rows``. Hours in which several of Tokyo, London and New York are open are shared between them in equal
        parts (so ``rows`` is fractional); hours in which none is are ``closed``.

    Raises:
        ContractError: ``regime`` has two labels for one time.
    """
    if not regime.index.is_unique:
        raise ContractError("regime has two labels for one event_time; pass one per time")
    at = pd.DatetimeIndex(rows["event_time"])
    labels = {"symbol": rows["symbol"].to_numpy(), "month": at.strftime("%Y-%m").to_numpy(),
              "regime": regime.reindex(at).astype(object).fillna(UNKNOWN).to_numpy()}
    found = {name: _table(rows, label, np.ones(len(rows))) for name, label in labels.items()}
    return {**found, "session": _sessions(rows, at + bar)}


def _sessions(rows: pd.DataFrame, decided: pd.DatetimeIndex) -> pd.DataFrame:
    hours = microseconds(decided) // HOUR_US
    opened = np.column_stack([is_open(session, hours) for session in _CENTRES])
    none = opened.sum(axis=1) == 0
    shares = np.column_stack([opened, none]) / np.maximum(opened.sum(axis=1), 1.0)[:, None]
    names = np.array([*(session.name for session in _CENTRES), NO_SESSION], dtype=object)
    row, column = np.nonzero(shares)
    return _table(rows.iloc[row], names[column], shares[row, column])


def _table(rows: pd.DataFrame, label: Any, weight: Any) -> pd.DataFrame:
    parts = rows[["gross", "cost", "net", "turnover"]].mul(weight, axis=0)
    table = parts.assign(rows=weight).groupby(label).sum().rename_axis(None)
    total = float(table["net"].sum())
    table.insert(4, "share", table["net"] / total if total else np.nan)
    return table
