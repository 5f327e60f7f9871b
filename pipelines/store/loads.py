"""Which partitions of which dataset have been processed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from pipelines.contracts.window import Window
from pipelines.store import frames
from pipelines.store.tables import SCHEMA

#: Before the name of a dataset: slices of a partition that were taken in while it was under way. They do not make the
#: partition loaded.
COLLECTED = "collected/"


def mark(connection: Connection, dataset: str, window: Window, *, rows: int, digest: str | None = None,
         at: datetime, part: bool = False) -> None:
    """Note that a window of a dataset is done. Marking it again with the same outcome changes nothing.

    ``part``: it is a slice of a partition that was under way, and will be read as a whole; see ``COLLECTED``.
    """
    frames.run(
        connection,
        f"INSERT INTO {SCHEMA}.loads AS known (dataset, window_start, window_end, rows, digest, loaded_at) "
        "VALUES (:dataset, :start, :end, :rows, :digest, :at) ON CONFLICT (dataset, window_start, window_end) "
        "DO UPDATE SET rows = excluded.rows, digest = excluded.digest, loaded_at = excluded.loaded_at "
        "WHERE (known.rows, known.digest) IS DISTINCT FROM (excluded.rows, excluded.digest)",
        dataset=COLLECTED + dataset if part else dataset, start=window.start, end=window.end, rows=rows, digest=digest,
        at=at)


def covered(connection: Connection, dataset: str, window: Window) -> bool:
    """Whether the windows marked so far cover all of ``window``, however they were cut."""
    return bool(frames.run(
        connection,
        f"SELECT coalesce(range_agg(tstzrange(window_start, window_end)) @> tstzrange(:start, :end), false) "
        f"FROM {SCHEMA}.loads WHERE dataset = :dataset AND window_start < :end AND window_end > :start",
        dataset=dataset, start=window.start, end=window.end).scalar_one())


def ranges(connection: Connection, datasets: Sequence[str], window: Window) -> list[tuple[datetime, datetime]]:
    """What of ``window`` the marked windows of these datasets cover together: half-open stretches, in order."""
    rows = frames.run(
        connection,
        f"SELECT lower(part) AS start, upper(part) AS end FROM unnest((SELECT range_agg(tstzrange(window_start, "
        f"window_end)) * tstzmultirange(tstzrange(:start, :end)) FROM {SCHEMA}.loads WHERE dataset = ANY(:datasets) "
        "AND window_start < :end AND window_end > :start)) AS part ORDER BY 1",
        datasets=list(datasets), start=window.start, end=window.end).all()
    return [(row.start, row.end) for row in rows]


def last_end(connection: Connection, datasets: Sequence[str]) -> datetime | None:
    """The latest end of the windows of these datasets that were marked so far; None when there is none."""
    end: datetime | None = frames.run(
        connection, f"SELECT max(window_end) FROM {SCHEMA}.loads WHERE dataset = ANY(:datasets)",
        datasets=list(datasets)).scalar_one()
    return end
