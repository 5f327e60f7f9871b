"""The content of a frame in one canonical form, and its SHA-256.

The digest covers column names, types, order, and values - not the bytes of a file, which change with the writer's
version. Types are narrowed to float64, int64, bool, string and timestamp[us, UTC]; NaN is null.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pcompute

from pipelines.errors import ContractError
from pipelines.store.frames import TIME

_PREFIX = b"tidemark-frame-1\n"


def canonical(frame: pd.DataFrame) -> pa.Table:
    """The frame's columns (not its index) with canonical types.

    Raises:
        ContractError: a column has another type, a time has no zone, or a name comes twice.
    """
    if not frame.columns.is_unique:
        raise ContractError("the frame has two columns of the same name; rename one")
    arrays = []
    for name in frame.columns:
        try:
            array = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, UnicodeError) as error:
            raise ContractError(f"column {name!r} cannot be stored ({error}); make it numbers, texts or "
                                "times") from error
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        arrays.append(_narrowed(str(name), array))
    return pa.table(arrays, names=[str(name) for name in frame.columns])


def _narrowed(name: str, array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_boolean(kind):
        return array
    if pa.types.is_floating(kind):
        return array.cast(pa.float64())
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return array.cast(TIME, safe=False)
    raise ContractError(f"column {name!r} is {kind}; a snapshot holds numbers, booleans, texts and zoned times")


def digest(table: pa.Table) -> str:
    """SHA-256 (64 hex digits) over header, null masks and little-endian values of a canonical table."""
    header = {"rows": table.num_rows, "columns": [[field.name, str(field.type)] for field in table.schema]}
    hasher = hashlib.sha256(_PREFIX + json.dumps(header, separators=(",", ":")).encode())
    for column in table.columns:
        array = column.combine_chunks()
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        hasher.update(np.packbits(valid).tobytes())
        if pa.types.is_string(array.type):
            filled = pcompute.fill_null(array, "")
            sizes = pcompute.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8")
            hasher.update(sizes.tobytes())
            hasher.update("".join(filled.to_pylist()).encode())
        elif pa.types.is_boolean(array.type):
            hasher.update(np.packbits(pcompute.fill_null(array, False).to_numpy(zero_copy_only=False)).tobytes())
        else:
            numbers = array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array
            values = pcompute.fill_null(numbers, 0).to_numpy(zero_copy_only=False)
            hasher.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return hasher.hexdigest()
