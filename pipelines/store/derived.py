"""Reading tables that are not facts: predictions, outcomes, aggregates, reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Double, Integer, Select, Table, func, select

from pipelines.errors import ContractError
from pipelines.store import binary, frames, tables
from pipelines.store.tables import FACTS
from pipelines.store.warehouse import Warehouse


def read(source: Warehouse | Connection, table: Table, *, columns: Sequence[str] | None = None,
         where: Mapping[str, object] | None = None, by: str = "event_time", start: datetime | None = None,
         end: datetime | None = None, as_of: datetime | None = None, order: Sequence[str] | None = None,
         limit: int | None = None) -> pd.DataFrame:
    """Rows of a table as a frame, sorted by its primary key unless ``order`` says otherwise (``-name``: descending).

    Args:
        where: column → value; a list, tuple or set means any of them; None means empty.
        by, start, end: half-open range ``[start, end)`` of the time column ``by``.
        as_of: only rows with ``available_at <= as_of``.

    Raises:
        ContractError: an unknown column, or a fact table (facts have their own reader, ``store.asof``).
    """
    if table in FACTS.values():
        raise ContractError(f"{table.name} are facts; read them as of a time with store.asof.read")
    order = list(order or (column.name for column in table.primary_key))
    wanted = [*(columns or ()), *(where or ()), *(name.removeprefix("-") for name in order)]
    if unknown := [name for name in wanted if name not in table.c]:
        raise ContractError(f"{table.name} has no columns {unknown}; it has {[column.name for column in table.c]}")
    query: Select[tuple[object, ...]] = select(*(table.c[name] for name in columns) if columns else table.c)
    for name, value in (where or {}).items():
        if isinstance(value, list | tuple | set | frozenset):
            query = query.where(table.c[name] == func.any(list(value)))
        else:
            query = query.where(table.c[name].is_(None) if value is None else table.c[name] == value)
    if start is not None:
        query = query.where(table.c[by] >= start)
    if end is not None:
        query = query.where(table.c[by] < end)
    if as_of is not None:
        query = query.where(table.c.available_at <= as_of)
    query = query.order_by(*(table.c[name[1:]].desc() if name.startswith("-") else table.c[name] for name in order))
    query = query.limit(limit) if limit is not None else query
    if isinstance(source, Connection):
        return frames.fetch(source, query)
    with source.begin() as connection:
        return frames.fetch(connection, query)


def aggregates(connection: Connection, *, symbols: Sequence[str], windows: Sequence[str], at: Sequence[datetime],
               as_of: datetime, columns: Sequence[str]) -> np.ndarray[Any, Any]:
    """The sentiment aggregates of these symbols and windows at these times, as far as they were known at ``as_of``.

    Returns:
        (rows,) structured: ``symbol`` and ``window`` (their places in the arguments, int32), ``at`` (int64,
        microseconds since 1970) and ``columns`` (float64, NaN where empty); in no order.
    """
    table = tables.sentiment_aggregates
    numbers = ", ".join(f"COALESCE({frames.quoted([name])}::float8, 'NaN')" for name in columns)
    found = binary.fetch(
        connection,
        'SELECT array_position(%(symbols)s::text[], symbol), array_position(%(windows)s::text[], "window"), "at", '
        f'{numbers} FROM {table.fullname} WHERE symbol = ANY(%(symbols)s::text[]) AND "at" = ANY(%(at)s) '
        'AND "window" = ANY(%(windows)s::text[]) AND available_at <= %(as_of)s',
        {"symbols": list(symbols), "windows": list(windows), "at": list(at), "as_of": as_of},
        {"symbol": Integer(), "window": Integer(), "at": table.c["at"].type, **{name: Double() for name in columns}})
    for name in ("symbol", "window"):
        found[name] -= 1
    return found
