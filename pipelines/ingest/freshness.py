"""How old the newest fact of each series is, and whether that is too old.

The clock is data time, the end of what was loaded: a feed that went silent is stale, an ingestion that did not run is
not (its DAG has a deadline of its own). A series without a row for ``FORGOTTEN`` was delisted and raises no alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from pipelines.config import Quality
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest.checks import interval_length
from pipelines.ingest.series import NAMES
from pipelines.store import Warehouse, asof, derived, events, frames, tables

FORGOTTEN = timedelta(days=28)
STALE = "stale"  # kind of the system event
#: A bar may be as old as this many of its intervals, whatever the hours say: daily bars rest over a long weekend.
INTERVALS = 4


@dataclass(frozen=True)
class Freshness:
    """The newest fact of a series as of a time.

    Attributes:
        event_time, available_at: of that fact (UTC); the latter of its first version.
        age_hours: from ``available_at`` to the time of asking.
        deadline_hours: the most that is allowed; None: any age is.
    """

    kind: Kind
    series: str
    event_time: datetime
    available_at: datetime
    age_hours: float
    deadline_hours: float | None

    @property
    def stale(self) -> bool:
        return self.deadline_hours is not None and self.age_hours > self.deadline_hours


def deadline_hours(quality: Quality, kind: Kind, series: str) -> float | None:
    """The declared maximum age of a series (``BTCUSDT 1h``, ``vix``), in hours; None if there is none."""
    names = series.split(" ")
    exception = next((quality.exceptions[name] for name in (series, names[0]) if name in quality.exceptions), None)
    hours = exception if exception is not None else float(getattr(quality, f"fresh_{kind.value}_hours"))
    if hours == 0:
        return None
    step = interval_length(names[-1]) if kind is Kind.BARS and exception is None else None
    return hours if step is None else max(hours, INTERVALS * step / pd.Timedelta(hours=1))


def freshness(kind: Kind, newest: pd.DataFrame, quality: Quality, as_of: datetime) -> list[Freshness]:
    """Each series of ``newest`` (columns of ``NAMES[kind]``, ``event_time``, ``available_at``) as of a time, in
    order."""
    found = []
    for row in newest.sort_values(list(NAMES[kind])).to_dict("records"):
        series = " ".join(str(row[name]) for name in NAMES[kind])
        age = (pd.Timestamp(as_of) - row["available_at"]) / pd.Timedelta(hours=1)
        found.append(Freshness(kind, series, row["event_time"].to_pydatetime(), row["available_at"].to_pydatetime(),
                               float(age), deadline_hours(quality, kind, series)))
    return found


def stale(rows: Iterable[Freshness]) -> list[Freshness]:
    """Those that are older than their deadline."""
    return [row for row in rows if row.stale]


def read(warehouse: Warehouse, quality: Quality, as_of: datetime,
         kinds: Iterable[Kind] = tuple(Kind)) -> list[Freshness]:
    """The freshness of every series that had a row in the ``FORGOTTEN`` before ``as_of``."""
    return [row for kind in kinds for row in freshness(
        kind, asof.newest(warehouse, kind, as_of=as_of, since=as_of - FORGOTTEN, series=NAMES[kind]), quality, as_of)]


def alarm(warehouse: Warehouse, quality: Quality, *, at: datetime) -> list[str]:
    """Record an event for each series that is stale at the end of what was loaded, once per stale stretch (until its
    next fact comes). Returns a sentence for each new one.

    Args:
        at: wall-clock time, for the events.
    """
    found: list[Freshness] = []
    for kind in Kind:
        with warehouse.begin() as connection:
            loaded = derived.read(connection, tables.loads, columns=["window_end"], where={"dataset": kind.value},
                                  order=["-window_end"], limit=1)
        if not loaded.empty:
            # A window that is not over yet says nothing about the time to come.
            as_of = min(asof.just_before(loaded["window_end"][0].to_pydatetime()), at)
            found += stale(read(warehouse, quality, as_of, [kind]))
    said = []
    with warehouse.begin() as connection:
        frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('tidemark:stale', 0))")
        for row in found:
            detail = {"kind": row.kind.value, "series": row.series, "newest": row.event_time,
                      "available_at": row.available_at}
            if not events.recorded(connection, STALE, detail):
                events.record(connection, at=at, kind=STALE, detail={
                    **detail, "age_hours": round(row.age_hours, 2), "deadline_hours": row.deadline_hours})
                said.append(sentence(row))
    return said


def sentence(row: Freshness) -> str:
    return (f"{row.kind.value} of {row.series} are stale: the newest came {row.age_hours:.1f} h before the end of what "
            f"was loaded, {row.deadline_hours:g} h are allowed")


def newest_of(kind: Kind, rows: pd.DataFrame) -> pd.DataFrame:
    """The newest fact per series of a frame, as ``asof.newest`` gives it from the warehouse."""
    names = list(NAMES[kind])
    ordered = rows.sort_values([*names, "event_time", "available_at"], ascending=[*[True] * len(names), False, True])
    return ordered.drop_duplicates(names)[[*names, "event_time", "available_at"]].reset_index(drop=True)


def end_of(window: Window) -> datetime:
    """The last instant of a window: what becomes available at its end belongs to the next."""
    return asof.just_before(window.end)
