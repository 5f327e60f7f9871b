"""Rows as PostgreSQL's binary COPY stream, built by columns; and back, where every field has one width.

Against CSV neither side formats or parses a number: the server takes a row in half the time. The layout is that of
"COPY, Binary Format" in PostgreSQL's manual; what a type looks like on the wire is what its ``*_recv`` reads
(``float8recv``, ``timestamptz_recv``: microseconds since 2000-01-01 UTC, ``jsonb_recv``: version 1 and the text).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import BigInteger, Boolean, Column, Connection, DateTime, Double, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pipelines.errors import StoreError

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = int(np.datetime64("2000-01-01", "us").astype(np.int64))
#: A time before this would wrap around, or be minus infinity; at it, the server says "out of range".
_EARLIEST = -2**63 + _EPOCH + 1
_NULL = -1
#: Types of one width, as they travel.
_WIRE: dict[type[Any], str] = {DateTime: ">i8", Double: ">f8", BigInteger: ">i8", Integer: ">i4"}
#: Rows encoded at a time: the server takes one batch in while the next is made.
_BATCH = 1 << 13
#: What the driver hands to the connection at once, in bytes. Its default of 8 kB costs a call each.
READ_SIZE = 1 << 20


class Stream:
    """A file for ``copy_expert(..., size=READ_SIZE)``: ``rows`` in the order of ``columns``, encoded as it is read."""

    def __init__(self, rows: pa.Table, columns: Sequence[Column[Any]]) -> None:
        self._chunks = _chunks(rows, columns)

    def read(self, size: int = -1) -> bytes:
        """The next piece, of any length (the driver cuts it); empty at the end."""
        return next(self._chunks, b"")


def _chunks(rows: pa.Table, columns: Sequence[Column[Any]]) -> Iterator[bytes]:
    yield _HEADER
    for begin in range(0, len(rows), _BATCH):
        yield encode(rows.slice(begin, _BATCH), columns)
    yield _TRAILER


def encode(rows: pa.Table, columns: Sequence[Column[Any]]) -> bytes:
    """The tuples of ``rows``: for each a count of fields, then length and content of each field."""
    # Fields without nulls and of one width stand side by side in one block; a text or a null begins the next block.
    pieces: list[pa.Array] = []
    block: list[tuple[int, np.ndarray[Any, Any]]] = []
    block.append((2, np.full(len(rows), len(columns), ">i2").view(np.uint8)))
    for column in columns:
        array = _whole(rows[column.name])
        if isinstance(column.type, JSONB):
            array = pc.binary_join_element_wise(pa.scalar("\x01"), array, "")
        fixed = _fixed(array, column)
        if fixed is not None and not array.null_count:
            width = fixed.dtype.itemsize
            block += [(4, np.full(len(rows), width, ">i4").view(np.uint8)), (width, fixed.view(np.uint8))]
            continue
        content = _varying(array) if fixed is None else _sparse(fixed, array)
        lengths = np.where(array.is_valid(), pc.binary_length(content), _NULL).astype(">i4")
        pieces += [_block([*block, (4, lengths.view(np.uint8))]), content]
        block = []
    if block:
        pieces.append(_block(block))
    joined = pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    offsets = np.frombuffer(joined.buffers()[1], np.int64)
    return bytes(joined.buffers()[2][offsets[joined.offset]:offsets[joined.offset + len(joined)]])


def fetch(connection: Connection, statement: str, values: Mapping[str, object],
          fields: Mapping[str, TypeEngine[Any]]) -> np.ndarray[Any, Any]:
    """The rows of a SELECT (with ``%(name)s`` for ``values``) of numbers and times, see ``decode``: without a frame,
    for who needs few rows in milliseconds.

    Raises:
        StoreError: a field of another width or a null.
    """
    stream, cursor = io.BytesIO(), cast(Any, connection.connection.cursor())
    with cursor:
        select = cursor.mogrify(statement, values).decode("utf-8")
        cursor.copy_expert(f"COPY ({select}) TO STDOUT WITH (FORMAT binary)", stream, READ_SIZE)
    return decode(stream.getvalue(), fields)


def decode(stream: bytes, fields: Mapping[str, TypeEngine[Any]]) -> np.ndarray[Any, Any]:
    """The rows of a ``COPY … TO STDOUT`` in this format whose fields are numbers and times without nulls.

    Returns:
        (rows,) structured, a field for each name: float64, int64 or int32, times in microseconds since 1970.

    Raises:
        StoreError: a field of another width or a null.
    """
    wire = [(name, _WIRE[type(kind)]) for name, kind in fields.items()]
    row = np.dtype([("", ">i2"), *(pair for name, kind in wire for pair in ((f"_{name}", ">i4"), (name, kind)))])
    begin = len(_HEADER)
    end = len(stream) - len(_TRAILER)
    rows = (end - begin) // row.itemsize
    found = np.frombuffer(stream, row, rows, begin)
    if begin + rows * row.itemsize != end or any(
            (found[f"_{name}"] != row[name].itemsize).any() for name in fields):
        raise StoreError(f"the server sent {', '.join(fields)} with an empty value or in another width; only columns "
                         "that are never null and of one width can be read like this")
    result = np.empty(rows, [(name, width.replace(">", "=")) for name, width in wire])
    for name, kind in fields.items():
        result[name] = found[name]
        if isinstance(kind, DateTime):
            result[name] += _EPOCH
    return result


def _whole(array: pa.ChunkedArray) -> pa.Array:
    return array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)


def _fixed(array: pa.Array, column: Column[Any]) -> np.ndarray[Any, Any] | None:
    """(rows,) big-endian values of a type of fixed width (0 where null); None for texts."""
    match column.type:
        case DateTime():
            since = np.maximum(_numbers(array.cast(pa.int64())), _EARLIEST) - _EPOCH
            return np.asarray(since.astype(">i8"))
        case Double():
            return _numbers(array).astype(">f8")
        case Boolean():
            return _numbers(array.cast(pa.uint8()))
        case BigInteger():
            return _numbers(array).astype(">i8")
        case Integer():
            return _numbers(array.cast(pa.int32())).astype(">i4")
        case _:
            return None


def _numbers(array: pa.Array) -> np.ndarray[Any, Any]:
    return (array.fill_null(0) if array.null_count else array).to_numpy()  # type: ignore[no-any-return]


def _varying(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_binary()).fill_null(b"")


def _sparse(values: np.ndarray[Any, Any], array: pa.Array) -> pa.Array:
    """The values as binaries, empty where ``array`` is null."""
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(valid * values.dtype.itemsize)])
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(values[valid].tobytes())])


def _block(parts: Sequence[tuple[int, np.ndarray[Any, Any]]]) -> pa.Array:
    """Parts of (width, bytes of all rows) side by side, as one binary per row."""
    rows, width = len(parts[0][1]) // parts[0][0], sum(part[0] for part in parts)
    together = np.empty((rows, width), np.uint8)
    at = 0
    for wide, content in parts:
        together[:, at:at + wide] = content.reshape(rows, wide)
        at += wide
    ends = np.arange(0, (rows + 1) * width, width)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), rows, [None, pa.py_buffer(ends), pa.py_buffer(together)])
