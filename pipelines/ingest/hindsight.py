"""A second reading of a window: what a source says about it now, it says now.

Most servers do not tell when they published a row; a rule does (a bar is known at its close). The rule is good for the
first reading. When a window is read again, weeks later perhaps, the source may have corrected what it said, and nobody
knew the correction at the time that the rule gives it: stored with that time, it would be look-ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.store import Warehouse, asof, loads

#: What a row belongs to. A series that the warehouse has nothing of is read for the first time, whatever its window.
SERIES: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: ("symbol", "interval"), Kind.DOCUMENTS: ("source",), Kind.INDICATORS: ("name",),
    Kind.TRADES: ("source",)}


def read_until(warehouse: Warehouse, names: Sequence[str], window: Window) -> datetime | None:
    """Up to when this data has been loaded by now, if ``window`` was among it; None at the first reading.

    Args:
        names: datasets that together hold the rows in question; see ``store.loads``.
    """
    with warehouse.begin() as connection:
        if not all(loads.covered(connection, name, window) for name in names):
            return None
        return max(loads.last_end(connection, name) or window.end for name in names)


def dated(warehouse: Warehouse, kind: Kind, rows: pd.DataFrame, until: datetime) -> pd.DataFrame:
    """The checked rows of a second reading with the ``available_at`` that is true of them: just before ``until``.

    The store passes over those that say what it believes by then already; the others become revisions of that time.
    Rows of a series of which nothing is stored around these times keep theirs: a symbol that was added today has its
    history from the beginning.
    """
    if rows.empty:
        return rows
    first, last = rows["event_time"].min().to_pydatetime(), rows["event_time"].max().to_pydatetime()
    stored = asof.read(warehouse, kind, as_of=asof.just_before(until), start=first,
                       end=last + timedelta(microseconds=1))
    of = list(SERIES[kind])
    known = pd.MultiIndex.from_frame(stored[of].drop_duplicates())
    again = pd.MultiIndex.from_frame(rows[of]).isin(known)
    return rows.assign(available_at=rows["available_at"].mask(again, pd.Timestamp(asof.just_before(until))))
