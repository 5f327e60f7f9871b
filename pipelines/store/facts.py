"""Bitemporal writing of facts.

A row says "from ``available_at`` on, this key had these values". It is *unchanged* - and not stored - when exactly it
was stored before, or when the version in force just before its ``available_at`` has the same values already. Otherwise
it becomes a new revision with its own ``available_at``; revisions are numbered in the order of their arrival, and of
two with the same ``available_at`` the later one counts. So writing a partition twice, in parts, or by two at once,
changes nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Column, Connection, Integer, Table

from pipelines.contracts.columns import SCHEMAS, FactSchema, Kind
from pipelines.contracts.records import WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ContractError
from pipelines.store import frames, months
from pipelines.store.tables import FACTS, MONTHLY, SCHEMA
from pipelines.store.warehouse import Warehouse

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]

_PLACE = Column("place", Integer)
_ROWS_PER_SERIES = 20


def write(warehouse: Warehouse, kind: Kind, frame: pd.DataFrame, *,
          source_partition: Window | None = None) -> WriteCounts:
    """Store a frame with the columns of ``SCHEMAS[kind]`` (optional value columns may be left out).

    A key may come several times: its rows are taken in the order of ``available_at`` (then of the frame).

    Args:
        source_partition: if given, every ``available_at`` has to lie in it.

    Raises:
        ContractError: columns, types, zones or empty values against the contract, or a row outside the partition.
        StoreError: a row breaks a rule of the table (known before it happened, low above high).
    """
    kind = Kind(kind)
    table, schema = FACTS[kind], SCHEMAS[kind]
    rows = _rows(table, schema, frame, source_partition)
    if not len(rows):
        return WriteCounts()
    present, month_of = months.of(rows["event_time"])
    with warehouse.begin() as connection:
        months.lock(connection, table, present)
        new = months.missing(connection, table, present) if table.name in MONTHLY else []
        counts = WriteCounts()
        if len(new) < len(present):
            counts += _write_known(connection, table, schema, rows.filter(~np.isin(month_of, new)) if new else rows)
        again = []
        for month in new:
            first, later = _first(rows.filter(month_of == month) if len(present) > 1 else rows)
            months.build(connection, table, month, first)
            counts += WriteCounts(inserted=len(first))
            again.append(later)
        for month in new:  # last, as it locks out who attaches others
            months.attach(connection, table, month)
        for later in again:
            counts += _merge(connection, table, schema, later) if len(later) else WriteCounts()
        return counts


def _first(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The first row of each key, as it is stored where no key is known; and the others."""
    first = rows["place"].to_numpy() == 1
    alone = rows if first.all() else rows.filter(first)
    revision = pa.array(np.ones(len(alone), np.int64))
    return alone.drop_columns("place").append_column("revision", revision), rows.filter(~first)


def _write_known(connection: Connection, table: Table, schema: FactSchema, rows: pa.Table) -> WriteCounts:
    """Write to partitions that are there already: without a comparison, if no row can be known."""
    if not _unknown(connection, table, schema, rows):
        return _merge(connection, table, schema, rows)
    first, later = _first(rows)
    frames.copy(connection, f"{SCHEMA}.{table.name}", first, [table.c[name] for name in first.column_names])
    counts = WriteCounts(inserted=len(first))
    return counts + _merge(connection, table, schema, later) if len(later) else counts


def _unknown(connection: Connection, table: Table, schema: FactSchema, rows: pa.Table) -> bool:
    """Whether nothing is stored of these series (``symbol`` and ``interval`` of bars) in the time of their rows."""
    names = [name for name in schema.key if name != "event_time"]
    series = rows.group_by(names, use_threads=False).aggregate([("event_time", "min"), ("event_time", "max")])
    if len(series) * _ROWS_PER_SERIES > len(rows):
        return False  # few rows of many series, as documents are: asking for each costs what it saves
    values = {f"v{at}": series[name].to_pylist() for at, name in enumerate(names)}
    values |= {end: series[f"event_time_{end}"].to_pylist() for end in ("min", "max")}
    columns = ", ".join(f"CAST(:v{at} AS text[])" for at in range(len(names)))
    same = " AND ".join(f't."{name}" = s.v{at}' for at, name in enumerate(names))
    stored = frames.run(
        connection, f"SELECT EXISTS (SELECT FROM unnest({columns}, CAST(:min AS timestamptz[]), "
                    f"CAST(:max AS timestamptz[])) AS s ({', '.join(values)}), LATERAL (SELECT FROM "
                    f"{SCHEMA}.{table.name} t WHERE {same} AND t.event_time BETWEEN s.min AND s.max "
                    "AND t.event_time BETWEEN :first AND :last LIMIT 1) t)",
        **values, first=min(values["min"]), last=max(values["max"])).scalar_one()
    return not stored


def _rows(table: Table, schema: FactSchema, frame: pd.DataFrame, partition: Window | None) -> pa.Table:
    unknown = [name for name in frame.columns if name not in (*schema.columns, "revision")]
    if unknown:
        raise ContractError(f"{table.name} have no columns {unknown}; the contract has {list(schema.columns)}")
    frame = frame.drop(columns="revision", errors="ignore")
    absent = {name: None for name in schema.values if name not in schema.required and name not in frame.columns}
    frame = frame.assign(**absent).reset_index(drop=True)
    rows = frames.to_arrow(frame, [table.c[name] for name in schema.columns])
    if partition is not None and len(frame):
        known = rows["available_at"].to_numpy()
        start, end = (np.datetime64(at.replace(tzinfo=None), "us") for at in (partition.start, partition.end))
        outside = int(((known < start) | (known >= end)).sum())
        if outside:
            raise ContractError(f"{outside} of {len(frame)} {table.name} became available outside the partition "
                                f"{partition.key}; write them with the partition they belong to")
    return rows.append_column("place", pa.array(_places(rows, schema), pa.int32()))


def _places(rows: pa.Table, schema: FactSchema) -> Ints:
    """1, 2, ... among the rows of the same key, by ``available_at`` and then by position."""
    series = _series(rows, schema)
    time, known = (rows[name].cast(pa.int64()).to_numpy() for name in ("event_time", "available_at"))
    if _rising(series, time) or _rising(time, series):  # as rows mostly come: no key twice
        return np.ones(len(rows), np.int64)
    order = np.lexsort((known, time, series))  # stable
    first = np.concatenate([[True], (np.diff(series[order]) != 0) | (np.diff(time[order]) != 0)])
    run = np.arange(len(rows))
    places = np.empty(len(rows), np.int64)
    places[order] = run - np.maximum.accumulate(np.where(first, run, 0)) + 1
    return places


def _series(rows: pa.Table, schema: FactSchema) -> Ints:
    """One number per row for the key without its time, in the order in which they first come."""
    codes = np.zeros(len(rows), np.int64)
    for name in schema.key:
        if name != "event_time":
            encoded = rows[name].combine_chunks().dictionary_encode()
            codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    return codes


def _rising(major: Ints, minor: Ints) -> bool:
    """Whether the pairs are in strictly rising order."""
    step = np.diff(major)
    return bool(((step > 0) | ((step == 0) & (np.diff(minor) > 0))).all())


def _merge(connection: Connection, table: Table, schema: FactSchema, rows: pa.Table) -> WriteCounts:
    """Bulk first (known rows out, new keys in, both by hash join), then the few that need a comparison in order."""
    staging = frames.stage(connection, table, rows, extra=_PLACE)
    target = f"{SCHEMA}.{table.name}"
    names = frames.quoted(schema.columns)
    same_key = " AND ".join(f't."{name}" = s."{name}"' for name in schema.key)
    stored, staged = frames.quoted(schema.values, "t."), frames.quoted(schema.values, "s.")
    # Constants, so that the planner leaves out the months that cannot matter.
    times = rows["event_time"].to_pandas()
    span = {"first": times.min().to_pydatetime(), "last": times.max().to_pydatetime()}
    in_span = "t.event_time BETWEEN :first AND :last"
    drop_known = (f"DELETE FROM {staging} s USING {target} t WHERE {same_key} AND {in_span} "
                  f"AND t.available_at = s.available_at AND ROW({stored}) IS NOT DISTINCT FROM ROW({staged})")

    unchanged = frames.run(connection, drop_known, **span).rowcount
    inserted = frames.run(
        connection, f"INSERT INTO {target} ({names}, revision) SELECT {names}, 1 FROM {staging} s WHERE place = 1 "
                    f"AND NOT EXISTS (SELECT FROM {target} t WHERE {same_key} AND {in_span})", **span).rowcount
    revised = 0
    if unchanged + inserted < len(rows):
        frames.run(connection, drop_known, **span)  # those just inserted, and their doubles
        places = frames.run(connection, f"SELECT DISTINCT place FROM {staging} ORDER BY place").scalars().all()
        for place in places:
            revised += frames.run(
                connection,
                f"INSERT INTO {target} ({names}, revision) SELECT {frames.quoted(schema.columns, 's.')}, "
                f"(SELECT coalesce(max(t.revision), 0) + 1 FROM {target} t WHERE {same_key}) "
                f"FROM {staging} s LEFT JOIN LATERAL (SELECT t.* FROM {target} t WHERE {same_key} "
                "AND t.available_at < s.available_at ORDER BY t.available_at DESC, t.revision DESC LIMIT 1) t ON true "
                f"WHERE s.place = :place AND (t.revision IS NULL OR ROW({stored}) IS DISTINCT FROM ROW({staged})) "
                f"AND NOT EXISTS (SELECT FROM {target} t WHERE {same_key} AND t.available_at = s.available_at "
                f"AND ROW({stored}) IS NOT DISTINCT FROM ROW({staged}))", place=place).rowcount
    return WriteCounts(inserted, revised, len(rows) - inserted - revised)
