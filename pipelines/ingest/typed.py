"""From a raw frame to the contract's columns and types, without losing a row on the way."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.errors import ContractError

_LARGEST = int(np.finfo(np.float64).max)
Flags = NDArray[np.bool_]
#: Stands before bytes that could not be decoded. No text may hold it for another reason (Unicode 15, section 23.7).
NOT_A_CHARACTER = "\ufffe"
#: Decode with ``errors=SHOW``: bytes that the encoding does not know become this noncharacter and their value; the
#: checks refuse texts with it.
SHOW = "tidemark"
codecs.register_error(SHOW, lambda error: (
    NOT_A_CHARACTER + "".join(f"\\x{byte:02x}" for byte in error.object[error.start:error.end]), error.end)
    if isinstance(error, UnicodeDecodeError) else codecs.strict_errors(error))


@dataclass(frozen=True)
class Texts:
    """What is wrong with the texts of a column, per row. ``loose``: the column is of Python objects still."""

    missing: Flags
    blank: Flags
    wrong_type: Flags
    nul: Flags
    broken: Flags
    length: NDArray[np.int64]
    loose: bool


def typed(kind: Kind, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Texts], dict[str, Flags]]:
    """The contract's columns with a fresh index 0..n-1.

    Numbers become float64, times ``datetime64[us, UTC]``; texts stay as they are and are described.

    Returns:
        the frame, the description of each text column, and for each number column the rows that hold no number.

    Raises:
        ContractError: a column is missing or unknown, or its times have no zone.
    """
    schema = SCHEMAS[kind]
    optional = [name for name in schema.values if name not in schema.required]
    missing = [name for name in schema.columns if name not in frame.columns and name not in optional]
    unknown = [str(name) for name in frame.columns if name not in schema.columns]
    if missing or unknown:
        raise ContractError(
            f"{kind.value} " + " and ".join(
                text for text, wrong in ((f"lack the columns {missing}", missing),
                                         (f"have unknown columns {unknown}", unknown)) if wrong)
            + f"; the contract has {list(schema.columns)}")
    types = {**dict.fromkeys(schema.key, "str"), "event_time": "time", "available_at": "time", **schema.values}
    columns, texts, unreadable = {}, {}, {}
    for name in schema.columns:
        values = (frame[name].reset_index(drop=True) if name in frame.columns
                  else pd.Series([None] * len(frame), dtype=object))
        match types[name]:
            case "time":
                columns[name] = _times(kind, name, values)
            case "float":
                columns[name], unreadable[name] = _numbers(values)
            case "json":
                columns[name] = pd.Series([None if _absent(value) else value for value in values], dtype=object)
            case _:
                columns[name], texts[name] = values, describe(values)
    return pd.DataFrame(columns), texts, unreadable


def _times(kind: Kind, name: str, values: pd.Series) -> pd.Series:
    if values.isna().all():
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        raise ContractError(f"{kind.value}.{name} is {values.dtype}; it has to be zoned times (datetime64[us, UTC])")
    return values.dt.tz_convert("UTC").dt.as_unit("us")


def _numbers(values: pd.Series) -> tuple[pd.Series, Flags]:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype("float64"), np.zeros(len(values), dtype=bool)
    try:
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    except OverflowError:  # a whole number of hundreds of digits
        huge = values.map(lambda value: isinstance(value, int) and abs(value) > _LARGEST)
        numbers = pd.to_numeric(values.mask(huge.astype(bool)), errors="coerce").astype("float64")
    return numbers, (numbers.isna() & values.notna()).to_numpy(dtype=bool)


def _absent(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def describe(values: pd.Series) -> Texts:
    """What is wrong with each text. Columns of type ``str`` cannot hold half surrogates; objects can hold anything."""
    size = len(values)
    nothing = np.zeros(size, dtype=bool)
    missing = values.isna().to_numpy(dtype=bool)
    if isinstance(values.dtype, pd.StringDtype):
        filled = values.fillna("")
        length = filled.str.len().to_numpy(dtype=np.int64)
        blank = ~missing & (filled.str.strip() == "").to_numpy(dtype=bool)
        return Texts(missing, blank, nothing, _contains(filled, "\x00"), _contains(filled, NOT_A_CHARACTER), length,
                     loose=False)
    items = values.tolist()
    wrong = np.array([not (gone or isinstance(item, str)) for item, gone in zip(items, missing, strict=True)],
                     dtype=bool)
    strings = [item if isinstance(item, str) else "x" for item in items]
    return Texts(
        missing, np.array([not item.strip() for item in strings], dtype=bool), wrong,
        np.array(["\x00" in item for item in strings], dtype=bool),
        np.array([not _encodes(item) for item in strings], dtype=bool),
        np.array([len(item) for item in strings], dtype=np.int64), loose=True)


def _contains(texts: pd.Series, part: str) -> Flags:
    return np.asarray(texts.str.contains(part, regex=False).to_numpy(dtype=bool))


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    if NOT_A_CHARACTER in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
