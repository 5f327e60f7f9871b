"""The append-only history of champions: one line, one chain, compare-and-swap under a lock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from pipelines.contracts.records import Action, Promotion
from pipelines.errors import Conflict
from pipelines.store import frames
from pipelines.store.ledger.candidates import candidate
from pipelines.store.tables import promotions as table


def append_promotion(connection: Connection, line: str, version: int, *, action: Action,
                     expected_previous: int | None, actor: str, reason: str, effective_at: datetime,
                     at: datetime) -> Promotion:
    """Make ``version`` the champion of its line.

    Args:
        expected_previous: the champion that the decision was made against (None: there was none).
        effective_at: data time from which it scores; never earlier than that of the champion before it.

    Returns:
        The new last row; or, if ``version`` is champion already, the row that made it so.

    Raises:
        Conflict: somebody else is champion by now.
        RegistryError: the line has no such version.
    """
    lock(connection, line)
    last = _last(connection, line)
    if last is not None and last.version == version:
        return _promotion(last)
    present = None if last is None else last.version
    if present != expected_previous:
        raise Conflict(f"the champion of {line} is {_named(present)}, the decision was made against "
                       f"{_named(expected_previous)}; judge again against the present one")
    candidate(connection, line, version)
    row = connection.execute(insert(table).values(
        line=line, number=1 if last is None else last.number + 1, version=version, previous=present,
        action=Action(action).value, actor=actor, reason=reason, recorded_at=at,
        effective_at=effective_at if last is None else max(effective_at, last.effective_at)).returning(table)).one()
    return _promotion(row)


def lock(connection: Connection, line: str) -> None:
    """Wait until nobody else changes the champion of a line, and keep it so until the transaction ends: reading the
    last row and appending to it are one step then. Taking it twice is taking it once."""
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
               name=f"tidemark:promotion:{line}")


def champion(connection: Connection, line: str, *, as_of: datetime | None = None) -> Promotion | None:
    """The row that names the present champion, or the one in effect at the data time ``as_of``."""
    row = _last(connection, line, as_of)
    return None if row is None else _promotion(row)


def history(connection: Connection, line: str) -> list[Promotion]:
    """Every promotion and rollback of a line, the oldest first."""
    rows = connection.execute(select(table).where(table.c.line == line).order_by(table.c.number))
    return [_promotion(row) for row in rows]


def _last(connection: Connection, line: str, as_of: datetime | None = None) -> Row[Any] | None:
    query = select(table).where(table.c.line == line)
    if as_of is not None:
        query = query.where(table.c.effective_at <= as_of)
    return connection.execute(query.order_by(table.c.number.desc()).limit(1)).one_or_none()


def _promotion(row: Row[Any]) -> Promotion:
    return Promotion(line=row.line, version=row.version, previous=row.previous, action=Action(row.action),
                     actor=row.actor, reason=row.reason, effective_at=row.effective_at,
                     recorded_at=row.recorded_at, id=row.id)


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
