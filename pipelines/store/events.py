"""What happened to the system, in order: lateness, repairs, failures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, insert, select

from pipelines.store import derived, frames
from pipelines.store.tables import system_events


def record(connection: Connection, *, at: datetime, kind: str, line: str | None = None,
           detail: Mapping[str, object] | None = None) -> int:
    """Add an event; its number."""
    return int(connection.execute(
        insert(system_events).values(at=at, kind=kind, line=line, detail=frames.plain(detail or {}))
        .returning(system_events.c.id)).scalar_one())


def recorded(connection: Connection, kind: str, detail: Mapping[str, object]) -> bool:
    """Whether there is an event of this kind whose detail holds all of these."""
    return connection.execute(
        select(system_events.c.id).where(system_events.c.kind == kind,
                                         system_events.c.detail.contains(frames.plain(detail))).limit(1)).first() \
        is not None


def list_rows(connection: Connection, *, kind: str | None = None, line: str | None = None,
              start: datetime | None = None, end: datetime | None = None, limit: int | None = None) -> pd.DataFrame:
    """Events with ``start <= at < end``, the newest first."""
    where = {name: value for name, value in (("kind", kind), ("line", line)) if value is not None}
    return derived.read(connection, system_events, where=where, by="at", start=start, end=end, order=["-at", "-id"],
                        limit=limit)
