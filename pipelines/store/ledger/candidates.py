"""Candidates, what the gate said about them, and what people decided."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_leave

from pipelines.contracts.records import Candidate, Outcome, Verdict
from pipelines.errors import Conflict, RegistryError
from pipelines.store import derived, frames
from pipelines.store.tables import approvals
from pipelines.store.tables import candidates as table
from pipelines.store.tables import verdicts as verdict_table

_FIELDS = [field.name for field in fields(Candidate)]
_NUMBERS = ("effect", "effect_low", "effect_high", "p_value", "minimum_detectable")


def add_candidate(connection: Connection, candidate: Candidate, *, at: datetime) -> None:
    """Enter a registered version. Entering it again changes nothing.

    Raises:
        Conflict: the version is there with another content.
    """
    connection.execute(insert_or_leave(table).values(**asdict(candidate), registered_at=at).on_conflict_do_nothing())
    stored = find(connection, candidate.line, candidate.version)
    if stored != candidate:
        raise Conflict(f"version {candidate.version} of {candidate.line} is in the ledger as another model (run "
                       f"{stored and stored.run_id}); register the model anew for a version of its own")


def find(connection: Connection, line: str, version: int) -> Candidate | None:
    row = connection.execute(select(table).where(table.c.line == line, table.c.version == version)).one_or_none()
    return None if row is None else _candidate(row)


def candidate(connection: Connection, line: str, version: int) -> Candidate:
    """One version of a line.

    Raises:
        RegistryError: the line has no such version.
    """
    found = find(connection, line, version)
    if found is None:
        known = connection.execute(
            select(table.c.version).where(table.c.line == line).order_by(table.c.version)).scalars().all()
        raise RegistryError(f"line {line} has no version {version}; it has "
                            f"{', '.join(map(str, known)) or 'none yet, train one first'}")
    return found


def unjudged(connection: Connection, line: str) -> list[Candidate]:
    """Versions of a line that the gate has not seen, the oldest first."""
    judged = select(verdict_table.c.version).where(verdict_table.c.line == line)
    query = select(table).where(table.c.line == line, table.c.version.not_in(judged)).order_by(table.c.version)
    return [_candidate(row) for row in connection.execute(query)]


def candidates(connection: Connection, line: str) -> list[Candidate]:
    """Every version of a line, the oldest first."""
    query = select(table).where(table.c.line == line).order_by(table.c.version)
    return [_candidate(row) for row in connection.execute(query)]


def last_training(connection: Connection, line: str) -> datetime | None:
    """``as_of`` of the newest candidate (by version) of a line."""
    return connection.execute(
        select(table.c.as_of).where(table.c.line == line).order_by(table.c.version.desc()).limit(1)
    ).scalar_one_or_none()


def add_verdict(connection: Connection, line: str, version: int, verdict: Verdict, *, as_of: datetime,
                at: datetime) -> int:
    """Append a verdict; its number. Saying again what was said last changes nothing.

    Raises:
        RegistryError: the line has no such version.
    """
    candidate(connection, line, version)
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
               name=f"tidemark:verdict:{line}:{version}")
    last = _last_verdict(connection, line, version)
    if last is not None and last.as_of == as_of and _same(_verdict(last), verdict):
        return int(last.id)
    values = {**asdict(verdict), "outcome": Outcome(verdict.outcome).value, "reasons": list(verdict.reasons),
              "metrics": frames.plain(verdict.metrics)}
    return int(connection.execute(
        insert(verdict_table).values(line=line, version=version, as_of=as_of, recorded_at=at, **values)
        .returning(verdict_table.c.id)).scalar_one())


def latest_verdict(connection: Connection, line: str, version: int) -> Verdict | None:
    """The last verdict on a version."""
    row = _last_verdict(connection, line, version)
    return None if row is None else _verdict(row)


def verdicts(connection: Connection, line: str | None = None) -> pd.DataFrame:
    """Verdicts in the order they were given: the columns of ``ai_trading.verdicts``."""
    return derived.read(connection, verdict_table, where={} if line is None else {"line": line})


def decide_approval(connection: Connection, line: str, version: int, approved: bool, actor: str, reason: str, *,
                    at: datetime) -> None:
    """Append what a person decided about a version; the last word counts.

    Raises:
        RegistryError: the line has no such version.
    """
    candidate(connection, line, version)
    connection.execute(insert(approvals).values(
        line=line, version=version, approved=approved, actor=actor, reason=reason, decided_at=at))


def approval(connection: Connection, line: str, version: int) -> bool | None:
    """What people decided last; None while nobody has."""
    return connection.execute(
        select(approvals.c.approved).where(approvals.c.line == line, approvals.c.version == version)
        .order_by(approvals.c.id.desc()).limit(1)).scalar_one_or_none()


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(**{name: row._mapping[name] for name in _FIELDS})


def _last_verdict(connection: Connection, line: str, version: int) -> Row[Any] | None:
    return connection.execute(
        select(verdict_table).where(verdict_table.c.line == line, verdict_table.c.version == version)
        .order_by(verdict_table.c.id.desc()).limit(1)).one_or_none()


def _verdict(row: Row[Any]) -> Verdict:
    numbers = {name: math.nan if row._mapping[name] is None else row._mapping[name] for name in _NUMBERS}
    metrics = {who: {name: math.nan if value is None else value for name, value in values.items()}
               for who, values in row.metrics.items()}
    return Verdict(outcome=Outcome(row.outcome), reasons=tuple(row.reasons), opponent=row.opponent, periods=row.periods,
                   rows=row.rows, metrics=metrics, champion_version=row.champion_version, trials=row.trials, **numbers)


def _same(one: Verdict, other: Verdict) -> bool:
    """Equal as stored (NaN equals NaN)."""
    return frames.json_text(asdict(one)) == frames.json_text(asdict(other))
