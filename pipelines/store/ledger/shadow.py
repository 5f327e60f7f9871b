"""Looks at two versions on live bars: each is made once and stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert as insert_or_leave

from pipelines.contracts.records import Duel, Look, Outcome, Purpose, RecordedLook, Step, Verdict
from pipelines.store.ledger.candidates import latest_verdict
from pipelines.store.tables import shadow_looks as table

_NUMBERS = ("z", "futility", "effect", "low", "high", "p_value")
_SAME = ("number", "due", "boundary", "rows", "timestamps", "blocks")
#: Whom a challenger is compared with.
OPPONENT = "champion"


def add_look(connection: Connection, duel: Duel, look: Look, *, as_of: datetime, at: datetime) -> None:
    """Enter a look. One that is there already stands, whatever this one says."""
    numbers = {name: _or_null(getattr(look, name)) for name in _NUMBERS}
    connection.execute(insert_or_leave(table).values(
        line=duel.line, purpose=duel.purpose.value, version=duel.version, champion_version=duel.champion_version,
        looks=look.of, decision=look.decision.value, reasons=list(look.reasons), as_of=as_of, recorded_at=at,
        **numbers, **{name: getattr(look, name) for name in _SAME}).on_conflict_do_nothing())


def looks(connection: Connection, line: str, *, version: int | None = None, champion_version: int | None = None,
          purpose: Purpose | None = None, as_of: datetime | None = None) -> list[RecordedLook]:
    """The looks of a line in the order they were made; ``as_of``: only those made at that data time or before."""
    query = select(table).where(table.c.line == line)
    wanted: Mapping[str, Any] = {"version": version, "champion_version": champion_version,
                                 "purpose": purpose and purpose.value}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if as_of is not None:
        query = query.where(table.c.as_of <= as_of)
    return [_recorded(row) for row in connection.execute(query.order_by(table.c.id))]


def last_word(connection: Connection, line: str, version: int) -> Verdict | None:
    """What the gate says about a version in the end: the shadow's answer where it gave one, else the last verdict."""
    offline = latest_verdict(connection, line, version)
    final = [item for item in looks(connection, line, version=version, purpose=Purpose.SHADOW) if item.look.final]
    if not final:
        return offline
    item, look = final[-1], final[-1].look
    return Verdict(
        outcome=Outcome.PROMOTE if look.decision is Step.PROMOTE else Outcome.REJECT, reasons=look.reasons,
        opponent=OPPONENT, effect=look.effect, effect_low=look.low, effect_high=look.high, p_value=look.p_value,
        minimum_detectable=math.nan, periods=look.timestamps, rows=look.rows,
        metrics=offline.metrics if offline else {}, champion_version=item.champion_version)


def _recorded(row: Row[Any]) -> RecordedLook:
    values: dict[str, Any] = {name: row._mapping[name] for name in _SAME}
    values |= {name: math.nan if row._mapping[name] is None else row._mapping[name] for name in _NUMBERS}
    look = Look(decision=Step(row.decision), of=row.looks, reasons=tuple(row.reasons), **values)
    return RecordedLook(row.line, Purpose(row.purpose), row.version, row.champion_version, row.as_of, look,
                        row.recorded_at)


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
