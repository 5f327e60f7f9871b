"""The outbox: what people are to be told, and what they were told. Every function takes an open connection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipelines.contracts.notices import Notice, Severity
from pipelines.store import frames
from pipelines.store.tables import deliveries, notice_cursors, notices

#: So many waiting deliveries of a channel are looked at in one go (folding makes few messages of them), and so many
#: rows are written by one statement.
MOST_WAITING, BATCH = 10_000, 500


@dataclass(frozen=True)
class Waiting:
    """A notice that a channel has not told yet; ``attempts``: how often it tried."""

    id: int
    notice: Notice
    attempts: int


@dataclass(frozen=True)
class Told:
    """What a channel has told about a kind and line within a window: messages for one notice each, and when the last
    message for several went out (None: none did)."""

    singles: int = 0
    folded_at: datetime | None = None


def add(connection: Connection, found: Iterable[Notice], channels: Mapping[str, Collection[str]], *,
        at: datetime) -> list[str]:
    """Enter notices, and for each of these channels what it has to tell. A key that is there already is left alone.

    Args:
        channels: name → keys of the notices it is to tell.
        at: wall clock of the caller.

    Returns:
        The keys that are new, in order.
    """
    items = {frames.storable(item.key): item for item in found}
    there = set(connection.execute(select(notices.c.key).where(notices.c.key.in_(list(items)))).scalars())
    values = [{
        "key": key, "kind": item.kind, "line": item.line, "severity": item.severity.value,
        "title": frames.storable(item.title), "body": frames.plain(item.body), "brief": frames.plain(item.brief),
        "html": frames.storable(item.html) or None, "link": item.link or None, "event_time": item.event_time,
        "found_at": at} for key, item in items.items() if key not in there]
    numbers: dict[str, int] = {}
    for some in _batched(values):
        query = insert(notices).values(some).on_conflict_do_nothing().returning(notices.c.key, notices.c.id)
        numbers |= {row.key: row.id for row in connection.execute(query)}
    meant = [{"notice_id": number, "channel": channel, "next_at": at}
             for channel, wanted in channels.items() for key, number in numbers.items() if items[key].key in wanted]
    for some in _batched(meant):
        connection.execute(insert(deliveries).values(some))
    return [items[key].key for key in items if key in numbers]


def known(connection: Connection, key: str) -> bool:
    return connection.execute(select(notices.c.id).where(notices.c.key == key)).first() is not None


def claim(connection: Connection, channel: str, *, at: datetime) -> list[Waiting]:
    """What a channel has to tell and may try at ``at``, the oldest first, for as long as the transaction lasts: what
    somebody else is about to tell is left out."""
    rows = connection.execute(
        select(notices, deliveries.c.attempts).join(deliveries, deliveries.c.notice_id == notices.c.id)
        .where(deliveries.c.channel == channel, deliveries.c.state == "waiting", deliveries.c.next_at <= at)
        .order_by(notices.c.id).limit(MOST_WAITING).with_for_update(skip_locked=True, of=deliveries))
    return [Waiting(row.id, _notice(row), row.attempts) for row in rows]


def told(connection: Connection, channel: str, *, since: datetime) -> dict[tuple[str, str | None], Told]:
    """What a channel told after ``since``, by kind and line."""
    query = (select(notices.c.kind, notices.c.line, func.count().filter(~deliveries.c.folded),
                    func.max(deliveries.c.sent_at).filter(deliveries.c.folded))
             .join(deliveries, deliveries.c.notice_id == notices.c.id)
             .where(deliveries.c.channel == channel, deliveries.c.sent_at > since)
             .group_by(notices.c.kind, notices.c.line))
    return {(kind, line): Told(singles, folded_at) for kind, line, singles, folded_at in connection.execute(query)}


def mark_sent(connection: Connection, channel: str, ids: Sequence[int], *, folded: bool, at: datetime) -> None:
    """These were told in one message; ``folded``: the one that tells what is too much for messages of their own."""
    _set(connection, channel, ids, state="sent", sent_at=at, folded=folded, error=None,
         attempts=deliveries.c.attempts + 1)


def postpone(connection: Connection, channel: str, ids: Sequence[int], *, until: datetime, tried: Sequence[int] = (),
             error: str | None = None) -> None:
    """These are not told before ``until``; those of them that were ``tried`` count one attempt more."""
    _set(connection, channel, ids, next_at=until)
    _set(connection, channel, tried, attempts=deliveries.c.attempts + 1,
         error=None if error is None else frames.storable(error))


def give_up(connection: Connection, channel: str, ids: Sequence[int], *, error: str) -> None:
    """These are never told: the channel has refused them too often."""
    _set(connection, channel, ids, state="given_up", error=frames.storable(error),
         attempts=deliveries.c.attempts + 1)


def list_rows(connection: Connection, *, waiting: bool = False, limit: int = 50) -> list[dict[str, Any]]:
    """The newest notices, with what became of each: channel → ``sent``, ``waiting`` (and why) or ``given_up``."""
    query = select(notices).order_by(notices.c.id.desc()).limit(limit)
    if waiting:
        query = query.where(notices.c.id.in_(select(deliveries.c.notice_id).where(deliveries.c.state == "waiting")))
    rows = list(connection.execute(query))
    sent: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    for row in connection.execute(select(deliveries).where(deliveries.c.notice_id.in_(list(sent)))
                                  .order_by(deliveries.c.channel)):
        sent[row.notice_id][row.channel] = row.state + (" (folded)" if row.folded else "") + (
            f": {row.error}" if row.error else "")
    return [{"id": row.id, "found": row.found_at, "event": row.event_time, "severity": row.severity, "kind": row.kind,
             "line": row.line, "title": row.title, "deliveries": sent[row.id]} for row in rows]


def cursors(connection: Connection) -> dict[str, int]:
    """How far each source has been read. Whoever reads on waits here until it is the only one."""
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('tidemark:notices', 0))")
    return {row.source: row.seen for row in connection.execute(select(notice_cursors))}


def advance(connection: Connection, source: str, seen: int, *, at: datetime) -> None:
    """A source has been read up to this number."""
    values = insert(notice_cursors).values(source=source, seen=seen, looked_at=at)
    connection.execute(values.on_conflict_do_update(
        index_elements=[notice_cursors.c.source],
        set_={"seen": func.greatest(notice_cursors.c.seen, values.excluded.seen), "looked_at": at}))


def _batched(rows: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [rows[first:first + BATCH] for first in range(0, len(rows), BATCH)]


def _set(connection: Connection, channel: str, ids: Sequence[int], **values: Any) -> None:
    if ids:
        connection.execute(update(deliveries).where(
            deliveries.c.channel == channel, deliveries.c.notice_id.in_(list(ids))).values(**values))


def _notice(row: Row[Any]) -> Notice:
    return Notice(kind=row.kind, line=row.line, severity=Severity(row.severity), title=row.title, body=tuple(row.body),
                  key=row.key, event_time=row.event_time, link=row.link or "", brief=tuple(row.brief),
                  html=row.html or "")
