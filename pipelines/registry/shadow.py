"""Two versions on the same live bars: who they are, what they lost, and what follows from a look at it.

The decision itself is `gate.sequential`; whoever calls both (`monitoring.looks`) joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, select

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Duel, Look, Promotion, Purpose, RecordedLook
from pipelines.registry import promotion
from pipelines.registry.standing import in_shadow
from pipelines.store import Warehouse, frames, ledger, tables
from pipelines.validation import metrics

#: Who acts on a look.
GATE = "gate"


def duel(connection: Connection, line: Line, purpose: Purpose, as_of: datetime) -> Duel | None:
    """Who is to be compared at ``as_of`` (data time, UTC), or None.

    * shadow: the challenger of that time against its champion, since both were in place for the first time;
    * rollback: the predecessor of a champion that was promoted over it, since then. A champion that was put back by a
      rollback is not watched.

    Also None where the champion has changed since: what was seen then decides nothing now.
    """
    present = ledger.champion(connection, line.name, as_of=as_of)
    newest = ledger.champion(connection, line.name)
    if present is None or newest is None or present.id != newest.id:
        return None
    if purpose is Purpose.SHADOW:
        running = in_shadow(connection, line, present.version, as_of=as_of)
        if running is None:
            return None
        since = min(row.effective_at for row in ledger.history(connection, line.name)
                    if row.version == present.version)
        return Duel(line.name, purpose, running.version, present.version, max(running.since, since))
    if present.action is not Action.PROMOTE or present.previous is None or not line.gate.rollback.watch_days:
        return None
    found = Duel(line.name, purpose, present.previous, present.version, present.effective_at)
    return None if any(item.look.final for item in recorded(connection, found)) else found


def recorded(connection: Connection, pair: Duel, as_of: datetime | None = None) -> list[RecordedLook]:
    """The looks at a pair so far, in order."""
    return ledger.looks(connection, pair.line, version=pair.version, champion_version=pair.champion_version,
                        as_of=as_of)


def assemble(warehouse: Warehouse, pair: Duel, known_by: datetime) -> pd.DataFrame:
    """What the pair lost on the rows that both have scored since ``started_at``, as known at ``known_by``.

    Returns:
        Indexed by ``event_time`` (UTC, ascending, unique): ``difference``, the champion's mean log loss less the
        version's in nats, and ``rows``, how many predictions it is the mean of.
    """
    mine, theirs = tables.predictions.alias("mine"), tables.predictions.alias("theirs")
    came = tables.outcomes
    query = select(came.c.event_time, came.c.y, mine.c.probability.label("mine"),
                   theirs.c.probability.label("theirs")).select_from(came).join(mine, (
                       (mine.c.line == came.c.line) & (mine.c.symbol == came.c.symbol)
                       & (mine.c.event_time == came.c.event_time))).join(theirs, (
                           (theirs.c.line == came.c.line) & (theirs.c.symbol == came.c.symbol)
                           & (theirs.c.event_time == came.c.event_time))).where(
        came.c.line == pair.line, mine.c.version == pair.version, theirs.c.version == pair.champion_version,
        came.c.event_time >= pair.started_at, mine.c.event_time >= pair.started_at,
        theirs.c.event_time >= pair.started_at, came.c.matured_at <= known_by).order_by(
        came.c.event_time, came.c.symbol)
    with warehouse.begin() as connection:
        found = frames.fetch(connection, query)
    if found.empty:
        return pd.DataFrame({"difference": pd.Series(dtype="float64"), "rows": pd.Series(dtype="int64")},
                            index=pd.DatetimeIndex([], tz="UTC", name="event_time"))
    lost = pd.Series(metrics.losses(found["y"], found["theirs"]) - metrics.losses(found["y"], found["mine"]),
                     dtype="float64")
    grouped = lost.groupby(pd.DatetimeIndex(found["event_time"], name="event_time"))
    return pd.DataFrame({"difference": grouped.mean(), "rows": grouped.size()})


def act(warehouse: Warehouse, settings: Settings, line: Line, pair: Duel, looks: Sequence[Look], *, as_of: datetime,
        at: datetime, actor: str = GATE) -> Promotion | None:
    """Enter looks into the ledger and, in the same transaction, do what the last of them asks for; then show it.

    Args:
        as_of: data time (UTC) at which they are made; a new champion scores the partitions that start then or later.

    Returns:
        The ledger's row, if the champion was changed by this.

    Raises:
        Conflict: somebody changed the champion in this moment; nothing is written, look again.
        TrackingUnavailable: the ledger stands, MLflow does not show it yet.
    """
    row = None
    with warehouse.begin() as connection:
        for look in looks:
            ledger.add_look(connection, pair, look, as_of=as_of, at=at)
        made = recorded(connection, pair)
        if final := [item for item in made if item.look.final]:
            row = promotion.follow(connection, line, final[-1], actor=actor, at=at)
    if final:
        promotion.show(warehouse, settings, line, pair.version if pair.purpose is Purpose.SHADOW else None)
    return row


def changes(connection: Connection, line: Line, as_of: datetime) -> list[Promotion]:
    """The changes of champion that looks made at ``as_of`` have led to; the same for a run and its rerun."""
    found = []
    history = ledger.history(connection, line.name)
    for item in ledger.looks(connection, line.name):
        if item.as_of == as_of and item.look.final:
            action = Action.PROMOTE if item.purpose is Purpose.SHADOW else Action.ROLLBACK
            found += [row for row in history if (row.version, row.previous, row.action) == (
                item.version, item.champion_version, action)]
    return found
