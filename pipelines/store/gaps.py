"""Stretches of facts that never came, until they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, update

from pipelines.contracts.records import Gap
from pipelines.store import derived, frames, upsert
from pipelines.store.tables import gaps
from pipelines.store.warehouse import Warehouse


def settle(connection: Connection, kind: str, found: Sequence[Gap], since: Mapping[str, datetime], *,
           at: datetime) -> tuple[int, int]:
    """Bring the table in line with what was found: new gaps are added, known ones keep the time they were found at, and
    those that are not there any more, or were cut into others, are closed. Doing it twice changes nothing.

    Args:
        found: every gap of the series in ``since``, from those times on.
        since: series → first instant (UTC) that was looked at; gaps that begin before it are left alone.
        at: wall-clock time, for ``found_at`` and ``closed_at``.

    Returns:
        How many were added and how many closed.
    """
    if not since:
        return 0, 0
    lock(connection, kind)
    known = derived.read(connection, gaps, where={"kind": kind, "series": list(since)})
    waiting = known[known["closed_at"].isna()]
    here = {(gap.series, pd.Timestamp(gap.start)) for gap in found}
    closed = 0
    for row in waiting.itertuples():
        if row.start >= since[row.series] and (row.series, row.start) not in here:
            closed += connection.execute(
                update(gaps).where(gaps.c.kind == kind, gaps.c.series == row.series, gaps.c.start == row.start,
                                   gaps.c.closed_at.is_(None)).values(closed_at=at)).rowcount
    if not found:
        return 0, closed
    first = _first_found(known, found, at)
    frame = pd.DataFrame({
        "kind": kind, "series": [gap.series for gap in found],
        "start": _times([gap.start for gap in found]), "end": _times([gap.end for gap in found]),
        "missing": [gap.missing for gap in found], "open_ended": [gap.open_ended for gap in found],
        "found_at": _times(first), "closed_at": _times([None] * len(found))})
    added, _ = upsert.upsert(connection, gaps, frame)
    return added, closed


def lock(connection: Connection, kind: str) -> None:
    """Until the end of the transaction nobody else settles gaps of this kind. What is missing has to be looked up after
    this: of two that load neighbouring windows at once, the second sees what the first has brought."""
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=f"tidemark:gaps:{kind}")


def list_rows(source: Warehouse | Connection, *, kind: str | None = None, series: Sequence[str] | None = None,
              start: datetime | None = None, end: datetime | None = None, waiting: bool = False,
              limit: int | None = None) -> pd.DataFrame:
    """The latest gaps first.

    Args:
        start, end: half-open range ``[start, end)`` of their first instant.
        waiting: only those that are open.
    """
    where: dict[str, object] = {} if kind is None else {"kind": kind}
    if series is not None:
        where["series"] = list(series)
    if waiting:
        where["closed_at"] = None
    return derived.read(source, gaps, where=where, by="start", start=start, end=end, order=["-start", "series"],
                        limit=limit)


def _first_found(known: pd.DataFrame, found: Sequence[Gap], at: datetime) -> list[datetime]:
    """When each was found: at the earliest time of those that it overlaps, for a gap can shrink or be cut in two."""
    times = []
    for gap in found:
        over = known[(known["series"] == gap.series) & (known["start"] < gap.end) & (known["end"] > gap.start)]
        times.append(min([at, *over["found_at"]]))
    return times


def _times(values: Sequence[datetime | None]) -> pd.Series:
    return pd.Series(pd.to_datetime(pd.Series(values, dtype=object), utc=True)).dt.as_unit("us")
