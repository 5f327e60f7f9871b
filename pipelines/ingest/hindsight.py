"""A second reading of a window: what a source says about it now, it says now.

Most servers do not tell when they published a row; a rule does (a bar is known at its close). The rule is good for the
first reading. When a window is read again, weeks later perhaps, the source may have corrected what it said, and nobody
knew the correction at the time that the rule gives it: stored with that time, it would be look-ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.store import Warehouse, asof, loads

#: What a row belongs to. A series that the warehouse has nothing of is read for the first time, whatever its window.
SERIES: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: ("symbol", "interval"), Kind.DOCUMENTS: ("source",), Kind.INDICATORS: ("name",),
    Kind.TRADES: ("source",), Kind.LABELS: ("source",)}


@dataclass(frozen=True)
class Readings:
    """What has been read before. ``covered``: stretches of availability, half-open; ``until``: up to when anything of
    this data has been loaded by now."""

    covered: tuple[tuple[datetime, datetime], ...]
    until: datetime


def readings(warehouse: Warehouse, names: Sequence[str], window: Window) -> Readings | None:
    """The readings of ``window`` so far, slices included; None at the first one.

    Args:
        names: datasets that may hold the rows in question, each of them a whole; see ``store.loads``.
    """
    wanted = [*names, *(loads.COLLECTED + name for name in names)]
    with warehouse.begin() as connection:
        covered = loads.ranges(connection, wanted, window)
        until = loads.last_end(connection, wanted)
    return Readings(tuple(covered), until) if covered and until else None


def dated(warehouse: Warehouse, kind: Kind, rows: pd.DataFrame, before: Readings) -> pd.DataFrame:
    """The checked rows of a window with the ``available_at`` that is true of them: just before ``before.until`` for
    those that a rule puts into a stretch that has been read.

    The store passes over those that say what it believes by then already; the others become revisions of that time.
    Rows of a series of which nothing is stored around these times keep theirs: a symbol that was added today has its
    history from the beginning.
    """
    again = np.zeros(len(rows), dtype=bool)
    for start, end in before.covered:
        again |= ((rows["available_at"] >= start) & (rows["available_at"] < end)).to_numpy()
    if not again.any():
        return rows
    first, last = rows["event_time"].min().to_pydatetime(), rows["event_time"].max().to_pydatetime()
    now = asof.just_before(before.until)
    stored = asof.read(warehouse, kind, as_of=now, start=first, end=last + timedelta(microseconds=1))
    of = list(SERIES[kind])
    again &= pd.MultiIndex.from_frame(rows[of]).isin(pd.MultiIndex.from_frame(stored[of].drop_duplicates()))
    return rows.assign(available_at=rows["available_at"].mask(again, pd.Timestamp(now)))
