"""Outcomes: what became of the rows that were predicted, once it is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, exists, func, select

from pipelines.contracts.line import Line
from pipelines.contracts.window import Window
from pipelines.features import labels
from pipelines.store import Warehouse, derived, tables, upsert

OUTCOMES, PREDICTIONS = tables.outcomes, tables.predictions
DAY = timedelta(days=1)
#: Days with open rows that are this near each other are labelled in one go.
NEAR = 3 * DAY


def mature(warehouse: Warehouse, line: Line, as_of: datetime) -> int:
    """Enter the outcomes of predicted rows whose label was known at ``as_of``; how many are new.

    An outcome is what was known when its last bar was there and never changes, so neither the order of calls nor
    their number matters. A row whose outcome lacks a bar stays open; should the bar come, it matures then.
    """
    new = 0
    with warehouse.begin() as connection:
        days = _open_days(connection, line, as_of)
    for window in runs(days):
        known = labels.read(warehouse, line, start=window.start, end=window.end, as_of=as_of)
        with warehouse.begin() as connection:
            predicted = derived.read(
                connection, PREDICTIONS, columns=["symbol", "event_time"], where={"line": line.name},
                start=window.start, end=window.end).drop_duplicates(ignore_index=True)
            found = known.merge(predicted, on=["symbol", "event_time"])
            found = found.assign(line=line.name, matured_at=found["label_end"])
            new += upsert.upsert(connection, OUTCOMES, found[
                ["line", "symbol", "event_time", "y", "forward_return", "label_end", "matured_at"]], update=False)[0]
    return new


def runs(days: Sequence[datetime]) -> list[Window]:
    """Ascending UTC midnights as windows that cover them, days near each other in one."""
    found: list[Window] = []
    for day in days:
        if found and day - found[-1].end < NEAR:
            found[-1] = Window(found[-1].start, day + DAY)
        else:
            found.append(Window(day, day + DAY))
    return found


def _open_days(connection: Connection, line: Line, as_of: datetime) -> list[datetime]:
    """Days with predicted rows that should have matured by ``as_of`` and have not."""
    done = exists().where(OUTCOMES.c.line == PREDICTIONS.c.line, OUTCOMES.c.symbol == PREDICTIONS.c.symbol,
                          OUTCOMES.c.event_time == PREDICTIONS.c.event_time)
    day = func.date_trunc("day", PREDICTIONS.c.event_time, "UTC").label("day")
    query = select(day).distinct().where(
        PREDICTIONS.c.line == line.name, PREDICTIONS.c.label_end <= as_of, ~done).order_by(day)
    return list(connection.execute(query).scalars())
