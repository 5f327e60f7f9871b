"""Frames to and from PostgreSQL through COPY.

One shape on both sides: float64 (NULL is NaN), int64 (nullable: Int64), bool, str, ``datetime64[us, UTC]``, and for
JSON columns dicts or lists (NULL is None).
"""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    CursorResult,
    DateTime,
    Double,
    Integer,
    Select,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.errors import ContractError
from pipelines.store import binary
from pipelines.store.tables import MONTHLY, SCHEMA

TIME = pa.timestamp("us", tz="UTC")
_numbers = itertools.count()


def arrow_type(column: Column[Any]) -> pa.DataType:
    """How a column travels."""
    match column.type:
        case DateTime():
            return TIME
        case Double():
            return pa.float64()
        case Boolean():
            return pa.bool_()
        case Integer():
            return pa.int64()
        case _:
            return pa.string()


def json_text(value: object) -> str | None:
    """Canonical JSON of a cell: NaN and infinities are null, times ISO 8601; characters PostgreSQL cannot hold
    (NUL, lone surrogates) are replaced by U+FFFD. None and NaN cells are None (SQL NULL)."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return None
    return json.dumps(plain(value), sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def plain(value: object) -> Any:
    """``value`` as what JSON and PostgreSQL can hold, so that it comes back equal: JSONB knows no negative zero."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or isinstance(value, bool | int):
        return value if isinstance(value, bool | int) else None
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {storable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return storable(str(value))


def storable(value: str) -> str:
    """A text without NUL and lone surrogates."""
    return value.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def to_arrow(frame: pd.DataFrame, columns: Sequence[Column[Any]]) -> pa.Table:
    """The named columns of ``frame`` with their table's types.

    Raises:
        ContractError: a column is missing, of another type, without a zone, or null where it may not be.
    """
    arrays = []
    for column in columns:
        if column.name not in frame.columns:
            raise ContractError(f"the frame for {column.table.name} lacks the column {column.name!r}; add it")
        values = frame[column.name]
        if isinstance(column.type, JSONB):
            values = pd.Series([json_text(value) for value in values], dtype=object)
        array = _array(values, column)
        if array.null_count and not column.nullable:
            raise ContractError(f"{column.table.name}.{column.name} has {array.null_count} empty values and may have "
                                "none; drop those rows or quarantine them")
        arrays.append(array)
    return pa.table(arrays, names=[column.name for column in columns])


def _array(values: pd.Series, column: Column[Any]) -> pa.Array:
    kind, name = arrow_type(column), f"{column.table.name}.{column.name}"
    try:
        array = pa.array(values, from_pandas=True)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        if kind == TIME and array.null_count < len(array):
            if not pa.types.is_timestamp(array.type):
                raise ContractError(f"{name} holds {array.type}, not times; use datetime64[us, UTC]")
            if array.type.tz is None:
                raise ContractError(f"{name} has no time zone; use datetime64[us, UTC]")
        if isinstance(column.type, Integer) and not isinstance(column.type, BigInteger):
            array.cast(pa.int32())  # only to see that it fits: the stream to the server could not say which column
        return array if array.type == kind else array.cast(kind, safe=kind != TIME)  # times lose nanoseconds
    except (pa.ArrowException, UnicodeError, TypeError) as error:
        raise ContractError(f"{name} cannot be read as {kind} ({error}); convert it before writing") from error


def stage(connection: Connection, table: Table, rows: pa.Table, *, extra: Column[Any] | None = None) -> str:
    """COPY ``rows`` into a temporary table shaped like those columns of ``table``; its name. Gone at commit.

    ``extra``: one more column, that ``rows`` has and ``table`` has not.
    """
    name = f"staging_{table.name}_{next(_numbers)}"
    shared = quoted(column for column in rows.column_names if column in table.c)
    run(connection, f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT {shared} FROM {SCHEMA}.{table.name} "
                    "WITH NO DATA")
    if extra is not None:
        run(connection, f"ALTER TABLE {name} ADD COLUMN {extra.name} {extra.type.compile(connection.dialect)}")
    copy(connection, name, rows, [extra if extra is not None and column == extra.name else table.c[column]
                                  for column in rows.column_names])
    # Without it the planner loops where it should hash; the number of rows is nearly all it needs to know for that.
    run(connection, f"SET LOCAL default_statistics_target = 10; ANALYZE {name}; "
                    "SET LOCAL default_statistics_target TO DEFAULT")
    return name


def copy(connection: Connection, target: str, rows: pa.Table, columns: Sequence[Column[Any]]) -> None:
    """COPY ``rows``, in the types of ``to_arrow``, into the table named ``target``."""
    statement = f"COPY {target} ({quoted(rows.column_names)}) FROM STDIN WITH (FORMAT binary)"
    with _cursor(connection) as cursor:
        cursor.copy_expert(statement, binary.Stream(rows, columns), binary.READ_SIZE)


def run(connection: Connection, statement: str, **values: object) -> CursorResult[Any]:
    """Execute SQL with ``:name`` parameters."""
    return connection.execute(text(statement), values)


def quoted(names: Iterable[str], prefix: str = "") -> str:
    """A column list; ``window`` and ``interval`` are words of SQL."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def ensure_months(connection: Connection, table: Table, event_time: pa.ChunkedArray) -> None:
    """Make the monthly partitions that these times (UTC) fall into."""
    if table.name in MONTHLY and len(event_time):
        months = np.unique(event_time.to_numpy().astype("datetime64[M]")).astype(object)
        run(connection, f"SELECT {SCHEMA}.ensure_months(:parent, CAST(:months AS date[]))", parent=table.name,
            months=list(months))


def fetch(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    """The rows of a SELECT as a frame."""
    compiled = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    buffer = io.BytesIO()
    with _cursor(connection) as cursor:
        statement = cursor.mogrify(str(compiled), compiled.params).decode("utf-8")
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT WITH (FORMAT csv)", buffer)
    return _decode(buffer, list(query.selected_columns))


def _decode(buffer: io.BytesIO, columns: Sequence[Any]) -> pd.DataFrame:
    types = {column.name: arrow_type(column) for column in columns}
    if buffer.tell() == 0:
        rows = pa.table({name: pa.array([], kind) for name, kind in types.items()})
    else:
        buffer.seek(0)
        rows = pc.read_csv(
            buffer, pc.ReadOptions(column_names=list(types), use_threads=False),
            pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pc.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True,
                              quoted_strings_can_be_null=False, true_values=["t"], false_values=["f"]))
    frame = pd.DataFrame({name: rows[name].to_pandas() for name in types}, columns=list(types))
    for column in columns:
        if isinstance(column.type, JSONB):
            frame[column.name] = pd.Series(
                [None if value is None else json.loads(value) for value in rows[column.name].to_pylist()],
                dtype=object, index=frame.index)
        elif isinstance(column.type, Integer) and getattr(column, "nullable", False):
            frame[column.name] = pd.Series(rows[column.name].to_pylist(), dtype="Int64", index=frame.index)
    return frame


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()
