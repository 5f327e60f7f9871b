"""Between the daily partitions: what has become available since the last look."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidemark_airflow import history
from tidemark_airflow.context import Work, tell

if TYPE_CHECKING:
    from pipelines.contracts.window import Window

#: Windows end at full steps, so that a rerun asks for the same.
STEP = timedelta(minutes=10)
#: What is older is left to the daily partition, which reads the whole day.
FURTHEST = timedelta(days=1)


def stretch(now: datetime, last: datetime | None) -> tuple[datetime, datetime] | None:
    """From the end of what was collected ``last`` to the last full step before ``now``; None when that is nothing.

    The beginning is at most ``FURTHEST`` back, and so far after a longer pause.
    """
    end = now - (now - datetime(1970, 1, 1, tzinfo=now.tzinfo)) % STEP
    start = max(last or end - FURTHEST, end - FURTHEST)
    return (start, end) if start < end else None


def window(w: Work) -> Window | None:
    """The stretch to collect now, by what the warehouse holds."""
    from pipelines.contracts.window import Window
    from pipelines.store import loads

    names = [kind.value for kind in history.source(w).kinds()]
    with w.warehouse.begin() as connection:
        # The kind that is furthest behind: a day of bars may be loaded already, its documents not yet.
        ends = [loads.last_end(connection, [name, loads.COLLECTED + name]) for name in names]
    known = [end for end in ends if end is not None]
    found = stretch(w.at, min(known) if len(known) == len(ends) and known else None)
    return Window(*found) if found else None


def collect(w: Work) -> Any:
    """Fetch, check and write what is new; score its texts and bring the aggregates up to its end."""
    from pipelines.ingest import run
    from pipelines.sentiment import run as scoring

    fresh = window(w)
    if fresh is None:
        return tell("collected", "nothing: the last look was less than ten minutes ago")
    report = run.run(w.warehouse, history.source(w), fresh, at=w.at, part=True)
    scored = scoring.run(w.warehouse, fresh, w.settings.credibility, part=True)
    return tell("collected", {"window": fresh.key, "facts": report, "sentiment": scored})
