"""From the warehouse to the outbox: what is new in the ledger, the drift reports and the system events.

Each source is read from a cursor on. The tables give out numbers before their transactions commit, so a row can appear
behind the cursor; therefore the last ``OVERLAP`` rows are read again each time, and the outbox, which knows every key,
takes nothing twice. The first look at a source notes what is there and tells nobody: history is not news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, case, exists, func, or_, select

from pipelines.config_notify import Notify
from pipelines.contracts.notices import Notice, Severity
from pipelines.notify import findings, happenings
from pipelines.notify.wording import House
from pipelines.store import Warehouse, ledger, tables
from pipelines.store import notices as outbox

log = logging.getLogger(__name__)

OVERLAP = 200
Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A table that is read for notices: the rows after a number, and what they say."""

    table: Table
    rows: Callable[[Connection, int], list[Row]]
    say: Callable[[Mapping[str, Any], House], list[Notice]]


def gather(warehouse: Warehouse, house: House, rules: Notify, channels: Collection[str], *, at: datetime) -> list[str]:
    """Enter what is new into the outbox, for these channels; the keys that were new, in order.

    One transaction: killed half-way it has done nothing. Two at once take turns.

    Args:
        channels: those that are configured now. One that is configured later is told what is found from then on.
        at: wall clock of the caller.
    """
    new = []
    with warehouse.begin() as connection:
        seen = outbox.cursors(connection)
        for name, source in SOURCES.items():
            first, reached = name not in seen, _reached(connection, source.table)
            rows = source.rows(connection, 0 if first else seen[name] - OVERLAP)
            found = [notice for row in rows for notice in _said(name, source, row, house, at)]
            wanted = {} if first else {channel: meant(channel, found, rules) for channel in channels}
            new += outbox.add(connection, found, wanted, at=at)
            outbox.advance(connection, name, reached, at=at)
    return new


def meant(channel: str, found: Iterable[Notice], rules: Notify) -> set[str]:
    """Keys of the notices that a channel is to tell: severe enough, not muted, not about its own trouble."""
    least = Severity(rules.least).rank
    return {notice.key for notice in found
            if notice.severity.rank >= least and notice.kind not in rules.muted
            and not (notice.kind == "channel" and f" by {channel} " in notice.title)}


def _said(name: str, source: Source, row: Row, house: House, at: datetime) -> list[Notice]:
    """What a row says. One that cannot be read stands in the way of none that come after it, and is told as such."""
    try:
        return source.say(row, house)
    except Exception as error:
        log.warning("row %s of %s could not be put into words", row.get("id"), name, exc_info=True)
        return [Notice("notify", None, Severity.WARNING, f"a row of {name} could not be put into words",
                       (f"Row {row.get('id')} ({type(error).__name__}): look at it in ai_trading.{name}.",),
                       f"unread:{name}:{row.get('id')}", at)]


def _reached(connection: Connection, table: Table) -> int:
    """Up to where a source has been read. A request that is still open stays in front of the cursor."""
    query = select(func.coalesce(func.max(table.c.id), 0))
    newest = int(connection.execute(query).scalar_one())
    if table is not tables.retrain_requests:
        return newest
    oldest = connection.execute(select(func.min(table.c.id)).where(
        table.c.state.in_(("pending", "claimed")))).scalar_one_or_none()
    return newest if oldest is None else min(newest, int(oldest) - 1)


def _plain(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _after(table: Table) -> Callable[[Connection, int], list[Row]]:
    return lambda connection, number: _plain(
        connection, select(table).where(table.c.id > number).order_by(table.c.id))


def _answered(table: Table) -> Callable[[Connection, int], list[Row]]:
    """Rows about a version, with what people have said about it by now. A version that was champion needs no answer:
    a line that asks people from today on does not ask about what happened before."""
    said, done = tables.approvals, tables.promotions
    latest = (select(said.c.approved).where(said.c.line == table.c.line, said.c.version == table.c.version)
              .order_by(said.c.id.desc()).limit(1).scalar_subquery())
    promoted = exists().where(done.c.line == table.c.line, done.c.version == table.c.version)
    answer = case((promoted, True), else_=latest).label("answered")
    return lambda connection, number: _plain(
        connection, select(table, answer).where(table.c.id > number).order_by(table.c.id))


def _turns(connection: Connection, number: int) -> list[Row]:
    """Drift reports with which an alarm begins or ends, with every alarm of this report (``<alarm>``) and of the one
    before it (``was_<alarm>``)."""
    table = tables.drift_reports
    rings = {name: table.c[name] if name in table.c else func.coalesce(
        table.c.metrics[name].astext.in_(("1", "1.0", "true")), False) for name in findings.ALARMS}
    before = {name: func.coalesce(func.lag(column).over(partition_by=table.c.line, order_by=table.c.as_of), False)
              for name, column in rings.items()}
    light = select(table.c.id, *(column.label(name) for name, column in rings.items()),
                   *(column.label(f"was_{name}") for name, column in before.items())).subquery()
    turned = or_(*(light.c[name] != light.c[f"was_{name}"] for name in rings))
    alarms = [column for name, column in light.c.items() if name != "id" and name not in table.c]
    query = select(table, *alarms).join(light, light.c.id == table.c.id)
    return _plain(connection, query.where(table.c.id > number, turned).order_by(table.c.line, table.c.as_of))


def requests(connection: Connection, number: int = 0, *, line: str | None = None, start: datetime | None = None,
             end: datetime | None = None) -> list[Row]:
    """Retrain requests after a number, with ``version``, ``family`` and ``trials`` of their candidate and ``cost``.

    ``line``, ``start``, ``end``: only those of a line, and as of a data time in ``(start, end]``.
    """
    asked, made = tables.retrain_requests, tables.candidates
    newest = (select(made.c.request_id, func.max(made.c.version).label("version")).where(made.c.request_id.is_not(None))
              .group_by(made.c.request_id).subquery())
    query = (select(asked, made.c.version, made.c.family, made.c.trials)
             .outerjoin(newest, newest.c.request_id == asked.c.id)
             .outerjoin(made, (made.c.line == asked.c.line) & (made.c.version == newest.c.version))
             .where(asked.c.id > number).order_by(asked.c.id))
    for condition in (line is not None and asked.c.line == line, start is not None and asked.c.as_of > start,
                      end is not None and asked.c.as_of <= end):
        query = query if condition is False else query.where(condition)
    rows = _plain(connection, query)
    costs = {number: spent for name in {row["line"] for row in rows}
             for number, spent in ledger.costs_of_requests(connection, name).items()}
    return [{**row, "cost": costs.get(row["id"])} for row in rows]


#: Name of the cursor → where notices come from. A new source is one line.
SOURCES: dict[str, Source] = {
    "drift_reports": Source(tables.drift_reports, _turns, findings.of_report),
    "retrain_requests": Source(tables.retrain_requests, requests, findings.of_request),
    "verdicts": Source(tables.verdicts, _answered(tables.verdicts), findings.of_verdict),
    "shadow_looks": Source(tables.shadow_looks, _answered(tables.shadow_looks), findings.of_look),
    "approvals": Source(tables.approvals, _after(tables.approvals), findings.of_approval),
    "promotions": Source(tables.promotions, _after(tables.promotions), findings.of_promotion),
    "system_events": Source(tables.system_events, _after(tables.system_events), happenings.of_event),
}
