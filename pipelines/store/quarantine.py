"""Refused rows, kept whole until somebody replays them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import select, update

from pipelines.contracts.records import Refused
from pipelines.errors import StoreError
from pipelines.store import derived, frames
from pipelines.store import upsert as bulk
from pipelines.store.tables import quarantine
from pipelines.store.warehouse import Warehouse


def digest(row: Refused) -> str:
    """SHA-256 of what was refused and why: the same row refused again is the same row."""
    content = frames.json_text([row.source, row.kind, row.reason, row.payload, row.event_time]) or ""
    return hashlib.sha256(content.encode()).hexdigest()


def add(warehouse: Warehouse, refused: Sequence[Refused], *, recorded_at: datetime) -> int:
    """Keep refused rows; how many were not there yet."""
    unique = {digest(row): row for row in refused}
    if not unique:
        return 0
    frame = pd.DataFrame({
        "digest": list(unique), "source": [row.source for row in unique.values()],
        "kind": [str(row.kind) for row in unique.values()],
        "reason": [frames.storable(row.reason) for row in unique.values()],
        "payload": [dict(row.payload) for row in unique.values()],
        "event_time": pd.to_datetime([row.event_time for row in unique.values()], utc=True).as_unit("us"),
        "recorded_at": pd.Timestamp(recorded_at).tz_convert("UTC")})
    with warehouse.begin() as connection:
        inserted, _ = bulk.upsert(connection, quarantine, frame, update=False, conflict=("digest",))
    return inserted


def list_rows(warehouse: Warehouse, *, kind: str | None = None, source: str | None = None, waiting: bool = False,
              limit: int | None = None) -> pd.DataFrame:
    """The newest refused rows first. ``waiting``: only those that were not replayed."""
    where: dict[str, object] = {name: value for name, value in (("kind", kind), ("source", source)) if value}
    if waiting:
        where["replayed_at"] = None
    return derived.read(warehouse, quarantine, where=where, order=["-id"], limit=limit)


def get(warehouse: Warehouse, identifier: int) -> dict[str, Any]:
    """One refused row with its payload.

    Raises:
        StoreError: there is none with this number.
    """
    with warehouse.begin() as connection:
        row = connection.execute(select(quarantine).where(quarantine.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise StoreError(f"no refused row {identifier}; `tidemark quarantine list` shows those that exist")
    return dict(row)


def mark_replayed(warehouse: Warehouse, identifier: int | Sequence[int], at: datetime) -> int:
    """Note that rows passed their checks at last; how many were waiting until now."""
    wanted = [identifier] if isinstance(identifier, int) else list(identifier)
    with warehouse.begin() as connection:
        return connection.execute(
            update(quarantine).where(quarantine.c.id.in_(wanted), quarantine.c.replayed_at.is_(None))
            .values(replayed_at=at)).rowcount
