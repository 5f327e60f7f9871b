"""Series to hold against returns, from the aggregates of ``sentiment.aggregate``: symbol, full hour, value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.sentiment.aggregate import aggregate
from pipelines.sentiment.hours import HOUR_US, TICKS, full_hour_after, microseconds
from pipelines.sentiment.universe import Universe


def hourly(aggregates: pd.DataFrame) -> pd.DataFrame:
    """The rows at full hours: returns are hourly."""
    return aggregates[microseconds(aggregates["at"]) % HOUR_US == 0].reset_index(drop=True)


def mean(aggregates: pd.DataFrame, window: str = "1h") -> pd.DataFrame:
    """Mean compound of a window's documents, at the hours that had any: what the features of a line are given.

    Args:
        aggregates: ``symbol``, ``window``, ``at``, ``documents``, ``mean``.
    """
    rows = aggregates[(aggregates["window"] == window) & (aggregates["documents"] > 0)]
    return rows[["symbol", "at"]].assign(value=rows["mean"]).reset_index(drop=True)


def surprise(aggregates: pd.DataFrame) -> pd.DataFrame:
    """Bullish less bearish documents of an hour, less what the share of the week before it says of so many documents.

    The sum gives busy hours their weight, and the week takes out that some places and times are always more cheerful.
    Known at ``at``, like the aggregates.

    Args:
        aggregates: ``symbol``, ``window`` (``1h`` and ``1w`` are used), ``at``, ``documents``, ``bullish``,
            ``bearish``.
    """
    rows = aggregates.assign(net=aggregates["bullish"] - aggregates["bearish"])
    columns = ["symbol", "at", "documents", "net"]
    hour, week = (rows.loc[rows["window"] == window, columns] for window in ("1h", "1w"))
    found = hour[hour["documents"] > 0].merge(week, on=["symbol", "at"], suffixes=("", "_week"))
    before = found["documents_week"] - found["documents"]
    usual = (found["net_week"] - found["net"]) / np.where(before > 0, before, np.nan)
    found["value"] = found["net"] - usual * found["documents"]
    return found.loc[found["value"].notna(), ["symbol", "at", "value"]].reset_index(drop=True)


def of_market(scores: pd.DataFrame) -> pd.DataFrame:
    """Hourly aggregates of all documents together (symbol ``*``), from the first document's hour to the last one's.

    Args:
        scores: ``available_at`` (UTC) and ``compound``, one row per document.
    """
    hours = full_hour_after(microseconds(scores["available_at"]))
    first, last = int(hours.min()), int(hours.max()) + 1
    nobody = Universe((), first, np.zeros((0, last - first), dtype=bool))
    none = pd.DataFrame({"symbol": [], "available_at": scores["available_at"].iloc[:0], "compound": []})
    return hourly(aggregate(scores, none, nobody, first * TICKS, (last - 1) * TICKS + 1))
