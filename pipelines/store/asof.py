"""The one reader of facts: what was known at a time.

Nobody else selects from the fact tables, so nobody can look ahead by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Double,
    Integer,
    Numeric,
    Select,
    Table,
    cast,
    distinct,
    exists,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.errors import ContractError
from pipelines.store import binary, frames
from pipelines.store.tables import FACTS
from pipelines.store.warehouse import Warehouse

Revisions = Literal["latest", "first", "all"]


def just_before(at: datetime) -> datetime:
    """The last instant the warehouse can tell from ``at`` (1 microsecond earlier).

    A computation of the partition ``[start, end)`` reads as of ``just_before(end)``: what becomes available at
    ``end`` belongs to the next one.
    """
    return at - timedelta(microseconds=1)


def read(warehouse: Warehouse, kind: Kind, *, as_of: datetime, start: datetime | None = None,
         end: datetime | None = None, symbols: Sequence[str] | None = None, names: Sequence[str] | None = None,
         revisions: Revisions = "latest", by: Literal["event_time", "available_at"] = "event_time",
         before: datetime | None = None) -> pd.DataFrame:
    """The facts of a kind with ``available_at <= as_of``, sorted by key.

    Args:
        start, end: half-open range ``[start, end)`` of the column ``by``.
        symbols: limit bars and trades to these.
        names: limit indicators to these names, documents, labels and trades to these sources.
        revisions: ``latest`` is the version in force at ``as_of`` and ``first`` the earliest known one, each chosen
            before the range of ``available_at`` is applied; ``all`` gives every revision (sorted by key, then
            ``available_at``).
        before: only facts with an earlier ``event_time``.

    Returns:
        The columns of ``SCHEMAS[kind]`` and ``revision``; float64, str, ``datetime64[us, UTC]``.

    Raises:
        ContractError: a time without a zone, or a filter that the kind does not know.
    """
    kind = Kind(kind)
    table, schema = FACTS[kind], SCHEMAS[kind]
    for value in (as_of, start, end, before):
        if value is not None and value.tzinfo is None:
            raise ContractError(f"{value} has no time zone; pass an aware UTC time")
    key = [table.c[name] for name in schema.key]
    query: Select[tuple[object, ...]] = select(*(table.c[name] for name in schema.columns), table.c.revision)
    query = query.where(table.c.available_at <= as_of, *_filters(kind, table, symbols, names))
    if start is not None:
        query = query.where(table.c[by] >= start)
    if end is not None:
        query = query.where(table.c[by] < end)
    if before is not None:
        query = query.where(table.c.event_time < before)
    if revisions == "all":
        query = query.order_by(*key, table.c.available_at, table.c.revision)
    elif by == "event_time":
        order = [table.c.available_at, table.c.revision]
        query = query.ext(distinct_on(*key)).order_by(
            *key, *(column.desc() if revisions == "latest" else column for column in order))
    else:
        query = query.where(~_other(table, schema.key, as_of, revisions)).order_by(*key)
    with warehouse.begin() as connection:
        return frames.fetch(connection, query)


def series(connection: Connection, kind: Kind, names: Sequence[str], *, start: datetime, as_of: datetime,
           interval: str | None = None) -> np.ndarray[Any, Any]:
    """All versions of the bars or indicators of these names with ``event_time`` from ``start`` on that were known at
    ``as_of``: as ``read`` with ``revisions="all"``, without the frame, for who needs a row in milliseconds.

    Args:
        names: symbols of bars, names of indicators.
        interval: of bars.

    Returns:
        (versions,) structured: ``place`` (in ``names``, int32), ``event_time`` and ``available_at`` (int64,
        microseconds since 1970), ``revision`` (int32) and the numbers of the kind (float64); ordered by
        (available_at, revision).
    """
    table = FACTS[kind]
    by, numbers = {Kind.BARS: ("symbol", ("open", "high", "low", "close", "volume")),
                   Kind.INDICATORS: ("name", ("value",))}[kind]
    columns = ("event_time", "available_at", "revision", *numbers)
    condition = "" if interval is None else 'AND "interval" = %(interval)s '
    place = "1" if len(names) == 1 else f"array_position(%(names)s::text[], {by})"
    found = binary.fetch(
        connection, f"SELECT {place}, {frames.quoted(columns)} FROM {table.fullname} "
                    f"WHERE {by} = ANY(%(names)s::text[]) {condition}AND event_time >= %(start)s "
                    "AND available_at <= %(as_of)s",
        {"names": list(names), "interval": interval, "start": start, "as_of": as_of},
        {"place": Integer(), **{name: table.c[name].type for name in columns}})
    found["place"] -= 1
    return found[np.lexsort((found["revision"], found["available_at"]))]


def trade_log(connection: Connection, *, markets: Sequence[str], sources: Sequence[str],
              as_of: datetime) -> np.ndarray[Any, Any]:
    """All versions of all trades that were known at ``as_of``, without a frame, for who needs a row in milliseconds.

    Args:
        markets, sources: the symbols and logs that are told apart.

    Returns:
        (versions,) structured: ``trade`` (int64: which one, in the order of the keys), ``market`` and ``source``
        (places in the arguments, -1: none of them), ``opened``, ``closed`` and ``known`` (int64, microseconds since
        1970; ``known`` is when this version was, for an outcome not before the closing), ``over`` (1: it has closed, 0:
        ``closed`` means nothing), ``profit`` (ratio, NaN where there is none) and ``revision``; ordered by (known,
        revision, trade).
    """
    trades = FACTS[Kind.TRADES]
    key = ", ".join(f'{name} COLLATE "C"' if name != "event_time" else name for name in SCHEMAS[Kind.TRADES].key)
    fields: dict[str, tuple[str, Any]] = {
        "trade": (f"dense_rank() OVER (ORDER BY {key})", BigInteger()),
        "market": ("COALESCE(array_position(%(markets)s::text[], symbol), 0)", Integer()),
        "source": ("COALESCE(array_position(%(sources)s::text[], source), 0)", Integer()),
        "opened": ("event_time", DateTime()), "closed": ("COALESCE(closed_at, event_time)", DateTime()),
        "known": ("GREATEST(available_at, closed_at)", DateTime()), "over": ("(closed_at IS NOT NULL)::int", Integer()),
        "profit": ("COALESCE(profit_ratio, 'NaN')", Double()), "revision": ("revision", Integer())}
    found = binary.fetch(
        connection, f"SELECT {', '.join(expression for expression, _ in fields.values())} FROM {trades.fullname} "
                    "WHERE available_at <= %(as_of)s",
        {"markets": list(markets), "sources": list(sources), "as_of": as_of},
        {name: kind for name, (_, kind) in fields.items()})
    for name in ("market", "source"):
        found[name] -= 1
    return found[np.lexsort((found["trade"], found["revision"], found["known"]))]


def sources(warehouse: Warehouse, kind: Kind, *, as_of: datetime, start: datetime, end: datetime,
            symbols: Sequence[str] | None = None, names: Sequence[str] | None = None,
            recorded_after: datetime | None = None) -> pd.DataFrame:
    """Where the facts with ``event_time`` in ``[start, end)`` that were known at ``as_of`` came from.

    Args:
        recorded_after: only rows that were written after this wall-clock time: the past that was changed later.

    Returns:
        One row per ``source``, ordered by it: ``facts`` (keys), ``revisions`` (rows, first versions included),
        ``first_event``, ``last_event``, ``first_available``, ``last_available`` and ``last_recorded`` (UTC).
    """
    kind = Kind(kind)
    table, schema = FACTS[kind], SCHEMAS[kind]
    keys = func.count(distinct(tuple_(*(table.c[name] for name in schema.key))))
    query = (select(table.c.source, keys.label("facts"), func.count().label("revisions"),
                    func.min(table.c.event_time), func.max(table.c.event_time), func.min(table.c.available_at),
                    func.max(table.c.available_at), func.max(table.c.recorded_at))
             .where(table.c.available_at <= as_of, table.c.event_time >= start, table.c.event_time < end,
                    *_filters(kind, table, symbols, names))
             .group_by(table.c.source).order_by(table.c.source))
    if recorded_after is not None:
        query = query.where(table.c.recorded_at > recorded_after)
    with warehouse.begin() as connection:
        found = connection.execute(query).all()
    return pd.DataFrame([tuple(row) for row in found], columns=[
        "source", "facts", "revisions", "first_event", "last_event", "first_available", "last_available",
        "last_recorded"])


def grid(connection: Connection, *, start: datetime, end: datetime, symbols: Sequence[str]) -> pd.DataFrame:
    """Which bars of some symbols there are with ``event_time`` in ``[start, end)``, whenever they became known: for the
    upkeep of the warehouse, never for a computation as of a time.

    Returns:
        ``symbol``, ``interval``, ``event_time`` and ``available_at`` of the first version, sorted by key.
    """
    bars, schema = FACTS[Kind.BARS], SCHEMAS[Kind.BARS]
    key = [bars.c[name] for name in schema.key]
    query = (select(*key, bars.c.available_at).ext(distinct_on(*key))
             .where(bars.c.symbol == func.any(list(symbols)), bars.c.event_time >= start, bars.c.event_time < end)
             .order_by(*key, bars.c.available_at))
    return frames.fetch(connection, query)


def newest(warehouse: Warehouse, kind: Kind, *, as_of: datetime, since: datetime,
           series: Sequence[str]) -> pd.DataFrame:
    """The newest fact of each series among the rows with ``available_at`` in ``(since, as_of]``.

    Args:
        series: the columns that name one, such as ``("symbol", "interval")``.

    Returns:
        These columns, ``event_time``, and ``available_at`` of its first version in that range, one row per series.
    """
    table = FACTS[Kind(kind)]
    names = [table.c[name] for name in series]
    query = (select(*names, table.c.event_time, table.c.available_at).ext(distinct_on(*names))
             .where(table.c.available_at > since, table.c.available_at <= as_of)
             .order_by(*names, table.c.event_time.desc(), table.c.available_at))
    with warehouse.begin() as connection:
        return frames.fetch(connection, query)


def arrivals(warehouse: Warehouse, *, as_of: datetime, start: datetime, end: datetime, step: timedelta) -> pd.DataFrame:
    """When documents became available, and how many, per source: every revision is a sign of life of its collector.

    Returns:
        ``source``, ``tick`` (the first multiple of ``step`` since 1970 at or after they became available in
        ``[start, end)``), ``documents``; ordered by (source, tick).
    """
    table = FACTS[Kind.DOCUMENTS]
    since = func.extract("epoch", table.c.available_at) / cast(step.total_seconds(), Numeric)
    tick = cast(func.ceil(since), BigInteger).label("tick")
    query = (select(table.c.source, tick, cast(func.count(), BigInteger).label("documents"))
             .where(table.c.available_at <= as_of, table.c.available_at >= start, table.c.available_at < end)
             .group_by(table.c.source, tick).order_by(table.c.source, tick))
    with warehouse.begin() as connection:
        return frames.fetch(connection, query)


def count(warehouse: Warehouse, kind: Kind, *, as_of: datetime, start: datetime, end: datetime) -> int:
    """How many facts became available for the first time in ``[start, end)``."""
    kind = Kind(kind)
    table, key = FACTS[kind], SCHEMAS[kind].key
    query = select(func.count()).select_from(table).where(
        table.c.available_at <= as_of, table.c.available_at >= start, table.c.available_at < end,
        ~_other(table, key, as_of, "first"))
    with warehouse.begin() as connection:
        return int(connection.execute(query).scalar_one())


def volume(connection: Connection, kind: Kind, *, after: datetime, until: datetime,
           symbols: Sequence[str] | None = None, names: Sequence[str] | None = None) -> tuple[int, int]:
    """How many facts became available for the first time in ``(after, until]``, and on how many UTC days of
    ``event_time``: how much is new, without reading it.

    Args:
        symbols, names: as ``read``.
    """
    kind = Kind(kind)
    table, key = FACTS[kind], SCHEMAS[kind].key
    day = func.date_trunc("day", table.c.event_time, "UTC")
    query = select(func.count(), func.count(distinct(day))).select_from(table).where(
        table.c.available_at > after, table.c.available_at <= until, *_filters(kind, table, symbols, names),
        ~_other(table, key, until, "first"))
    facts, days = connection.execute(query).one()
    return int(facts), int(days)


def last_available(connection: Connection, kind: Kind, *, as_of: datetime) -> datetime | None:
    """When the newest fact of a kind became available, no later than ``as_of``; None where there is none."""
    table = FACTS[Kind(kind)]
    found: datetime | None = connection.execute(
        select(func.max(table.c.available_at)).where(table.c.available_at <= as_of)).scalar_one()
    return found


def _filters(kind: Kind, table: Table, symbols: Sequence[str] | None,
             names: Sequence[str] | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if symbols is not None:
        if "symbol" not in table.c:
            raise ContractError(f"{kind} are not per symbol; leave symbols out")
        conditions.append(table.c.symbol == func.any(list(symbols)))
    if names is not None:
        column = {Kind.INDICATORS: "name", Kind.DOCUMENTS: "source", Kind.LABELS: "source",
                  Kind.TRADES: "source"}.get(kind)
        if column is None:
            raise ContractError(f"{kind} have no names; use symbols")
        conditions.append(table.c[column] == func.any(list(names)))
    return conditions


def _other(table: Table, key: Sequence[str], as_of: datetime, revisions: Revisions) -> ColumnElement[bool]:
    """There is a version of the same key, known at ``as_of``, that goes before this one."""
    other = table.alias("other")
    mine = tuple_(table.c.available_at, table.c.revision)
    theirs = tuple_(other.c.available_at, other.c.revision)
    return exists().where(*(other.c[name] == table.c[name] for name in key), other.c.available_at <= as_of,
                          theirs > mine if revisions == "latest" else theirs < mine)
