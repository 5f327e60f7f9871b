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
from sqlalchemy import Connection, Table

from pipelines.contracts.columns import SCHEMAS, FactSchema, Kind
from pipelines.contracts.records import WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ContractError
from pipelines.store import frames
from pipelines.store.tables import FACTS, SCHEMA
from pipelines.store.warehouse import Warehouse


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
    with warehouse.begin() as connection:
        # In its own transaction: attaching a partition should not hold its locks while rows are written.
        frames.ensure_months(connection, table, rows["event_time"])
    with warehouse.begin() as connection:
        staging = frames.stage(connection, table, rows, extra="place integer")
        for month in _months(rows):
            frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
                       name=f"tidemark:facts:{kind.value}:{month}")
        return _merge(connection, table, schema, staging, rows)


def _rows(table: Table, schema: FactSchema, frame: pd.DataFrame, partition: Window | None) -> pa.Table:
    unknown = [name for name in frame.columns if name not in (*schema.columns, "revision")]
    if unknown:
        raise ContractError(f"{table.name} have no columns {unknown}; the contract has {list(schema.columns)}")
    frame = frame.drop(columns="revision", errors="ignore")
    absent = {name: None for name in schema.values if name not in schema.required and name not in frame.columns}
    frame = frame.assign(**absent).reset_index(drop=True)
    rows = frames.to_arrow(frame, [table.c[name] for name in schema.columns])
    if partition is not None and len(frame):
        known = rows["available_at"].to_pandas()
        outside = int(((known < partition.start) | (known >= partition.end)).sum())
        if outside:
            raise ContractError(f"{outside} of {len(frame)} {table.name} became available outside the partition "
                                f"{partition.key}; write them with the partition they belong to")
    return rows.append_column("place", pa.array(_places(rows, schema), pa.int32()))


def _places(rows: pa.Table, schema: FactSchema) -> np.ndarray:
    """1, 2, ... among the rows of the same key, by ``available_at`` and then by position."""
    keys = pd.DataFrame({name: rows[name].to_pandas() for name in (*schema.key, "available_at")})
    return np.asarray(keys.sort_values("available_at", kind="stable").groupby(list(schema.key), sort=False)
                      .cumcount().sort_index() + 1)


def _months(rows: pa.Table) -> list[str]:
    return [str(month) for month in np.unique(rows["event_time"].to_numpy().astype("datetime64[M]"))]


def _merge(connection: Connection, table: Table, schema: FactSchema, staging: str, rows: pa.Table) -> WriteCounts:
    """Bulk first (known rows out, new keys in, both by hash join), then the few that need a comparison in order."""
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
