"""Immutable frames as Parquet files named after the digest of their content.

A file is written beside and renamed, so it is whole or not there; the row that names it is written after the file.
"""

from __future__ import annotations

import os
import uuid
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import distinct_on

from pipelines.contracts.records import SnapshotRef
from pipelines.errors import IntegrityError, StoreError, StoreUnavailable
from pipelines.store import frames
from pipelines.store.digest import canonical, digest
from pipelines.store.tables import SCHEMA, snapshots
from pipelines.store.warehouse import Warehouse

SnapshotKind = Literal["training", "partition", "evidence", "search", "trial"]


def put(warehouse: Warehouse, frame: pd.DataFrame, *, kind: SnapshotKind, line: str, start: datetime,
        end: datetime) -> SnapshotRef:
    """Store a frame for the window ``[start, end)`` of a line. The same content is the same file, written once.

    Raises:
        ContractError: a column that a snapshot cannot hold.
        StoreUnavailable: the place of the snapshots cannot be written right now.
    """
    table = canonical(frame)
    name = digest(table)
    latest = find(warehouse, kind=kind, line=line, start=start, end=end)
    system, root = filesystem(warehouse.snapshot_root)
    path = _path(root, name)
    if not _intact(system, path, name):
        write_file(system, path, table)
    if latest is not None and latest.digest == name:
        return latest
    uri = _path(warehouse.snapshot_root, name)
    with warehouse.begin() as connection:
        # Content that was here before and is here again becomes the latest again.
        frames.run(
            connection,
            f"INSERT INTO {SCHEMA}.snapshots (digest, kind, line, window_start, window_end, uri, rows, columns) "
            "VALUES (:digest, :kind, :line, :start, :end, :uri, :rows, CAST(:columns AS jsonb)) "
            "ON CONFLICT (digest, kind, line, window_start, window_end) "
            "DO UPDATE SET created_at = clock_timestamp(), uri = excluded.uri",
            digest=name, kind=kind, line=line, start=start, end=end, uri=uri, rows=table.num_rows,
            columns=frames.json_text([[field.name, str(field.type)] for field in table.schema]))
    return SnapshotRef(name, uri, table.num_rows, kind, line, start, end)


def get(warehouse: Warehouse, name: str) -> pd.DataFrame:
    """The frame with this digest; its content is checked against it.

    Raises:
        StoreError: no snapshot has this digest.
        IntegrityError: the file is missing or holds something else.
    """
    with warehouse.begin() as connection:
        uri = connection.execute(
            select(snapshots.c.uri).where(snapshots.c.digest == name)
            .order_by(snapshots.c.created_at.desc()).limit(1)).scalar_one_or_none()
    if uri is None:
        raise StoreError(f"no snapshot {name[:12]}…; the digests that exist are in ai_trading.snapshots")
    system, root = filesystem(warehouse.snapshot_root)
    candidates = [(system, _path(root, name)), filesystem(uri)]  # the root may have moved since
    for where, path in candidates:
        if where.get_file_info(path).type == pafs.FileType.File:
            table = _read(where, path)
            if table is None or digest(table) != name:
                raise IntegrityError(f"{path} does not hold the content of its digest; restore it from a backup, or "
                                     "delete it and build the partition again")
            return table.to_pandas()
    raise IntegrityError(f"the file of snapshot {name[:12]}… is neither at {candidates[0][1]} nor at {uri}; restore it "
                         "from a backup, or build the partition again")


def find(warehouse: Warehouse, *, kind: SnapshotKind, line: str, start: datetime,
         end: datetime) -> SnapshotRef | None:
    """The latest snapshot of exactly this window."""
    query = (select(snapshots).where(snapshots.c.kind == kind, snapshots.c.line == line,
                                     snapshots.c.window_start == start, snapshots.c.window_end == end)
             .order_by(snapshots.c.created_at.desc()).limit(1))
    with warehouse.begin() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _ref(row)


def entry(warehouse: Warehouse, name: str, *, line: str) -> tuple[SnapshotRef, datetime] | None:
    """The latest entry of a line with this digest, and when it was stored (wall clock, UTC); None if there is none."""
    query = (select(snapshots).where(snapshots.c.digest == name, snapshots.c.line == line)
             .order_by(snapshots.c.created_at.desc()).limit(1))
    with warehouse.begin() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else (_ref(row), row.created_at)


def between(warehouse: Warehouse, *, kind: SnapshotKind, line: str, start: datetime,
            end: datetime) -> list[SnapshotRef]:
    """The latest snapshot of each window that lies inside ``[start, end)``, in order of time."""
    query = (select(snapshots).ext(distinct_on(snapshots.c.window_start, snapshots.c.window_end))
             .where(snapshots.c.kind == kind, snapshots.c.line == line, snapshots.c.window_start >= start,
                    snapshots.c.window_end <= end)
             .order_by(snapshots.c.window_start, snapshots.c.window_end, snapshots.c.created_at.desc()))
    with warehouse.begin() as connection:
        return [_ref(row) for row in connection.execute(query)]


def _ref(row: Row[Any]) -> SnapshotRef:
    return SnapshotRef(row.digest, row.uri, row.rows, row.kind, row.line, row.window_start, row.window_end)


def _path(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name[:2]}/{name}.parquet"


def filesystem(place: str) -> tuple[pafs.FileSystem, str]:
    """The file system and path of a local directory or of a URL (s3://, gs://, or any that fsspec knows)."""
    if "://" not in place:
        return pafs.LocalFileSystem(), os.path.abspath(place)
    try:
        return pafs.FileSystem.from_uri(place)  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        import fsspec  # type: ignore[import-untyped]

        system, path = fsspec.core.url_to_fs(place)
        return pafs.PyFileSystem(pafs.FSSpecHandler(system)), path


def _read(system: pafs.FileSystem, path: str) -> pa.Table | None:
    """The table of a file; None if it is no Parquet file any more."""
    try:
        table = pq.read_table(path, filesystem=system, use_threads=False, partitioning=None)
        return table.replace_schema_metadata(None)
    except (pa.ArrowException, OSError):
        return None


def _intact(system: pafs.FileSystem, path: str, name: str) -> bool:
    if system.get_file_info(path).type != pafs.FileType.File:
        return False
    table = _read(system, path)
    return table is not None and digest(table) == name


def write_file(system: pafs.FileSystem, path: str, table: pa.Table, *, durable: bool = True, **how: Any) -> None:
    """Write a table as a Parquet file that is whole or not there; ``how``: of ``pyarrow.parquet.write_table``.

    Args:
        durable: also after a power cut.

    Raises:
        StoreUnavailable: the path cannot be written right now.
    """
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    # Measurements hardly repeat: a dictionary of them is begun, given up, and costs half of the writing.
    repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    try:
        system.create_dir(os.path.dirname(path), recursive=True)
        with system.open_output_stream(partial) as stream:
            pq.write_table(table, stream, **{"compression": "zstd", "use_dictionary": repeating, **how})
        if durable and isinstance(system, pafs.LocalFileSystem):
            with open(partial, "rb") as file:
                os.fsync(file.fileno())  # a row must never name a file that a power cut can empty
        system.move(partial, path)
    except OSError as error:
        raise StoreUnavailable(f"cannot write the snapshot {path} ({error}); free some space, or check the rights and "
                               "TIDEMARK_SNAPSHOTS") from error
