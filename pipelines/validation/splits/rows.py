"""Rows as instants: the checks and the look-ups that every splitter shares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.errors import ContractError

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

_US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rows:
    """Event times and label ends of a frame, shape (rows,), as UTC microseconds since the epoch."""

    at: IntArray
    known: IntArray
    ordered: bool

    def between(self, start: int, end: int) -> IntArray:
        """Positions (ascending) of the rows with ``start <= event_time < end``."""
        if self.ordered:
            first, last = np.searchsorted(self.at, (start, end))
            return np.arange(first, last)
        return np.flatnonzero((self.at >= start) & (self.at < end))

    def times(self) -> IntArray:
        """The distinct event times, ascending: what a length in bars counts."""
        if not self.ordered or not len(self.at):
            return np.unique(self.at)
        first: BoolArray = np.concatenate([[True], self.at[1:] != self.at[:-1]])
        return self.at[first]


def read(event_time: pd.Series, label_end: pd.Series) -> Rows:
    """Check two columns of one frame.

    Raises:
        ContractError: times without a zone, missing times, unequal lengths, or a label that ends before its row.
    """
    at, known = _instants("event_time", event_time), _instants("label_end", label_end)
    if len(at) != len(known):
        raise ContractError(f"{len(at)} event times but {len(known)} label ends; pass columns of one frame")
    if (known < at).any():
        raise ContractError("a label_end lies before its event_time; labels cannot be known before their row")
    return Rows(at, known, bool((at[1:] >= at[:-1]).all()))


def length(name: str, value: timedelta | int) -> None:
    """Refuse a window length that is not a positive time or a positive count of bars."""
    if isinstance(value, bool) or not isinstance(value, timedelta | int):
        raise ContractError(f"{name} is {value!r}; pass a timedelta, or a whole number of bars")
    if (value <= timedelta(0)) if isinstance(value, timedelta) else (value < 1):
        raise ContractError(f"{name} is {value}; a window has to be longer than zero: pass a positive length")


def not_negative(embargo: timedelta) -> None:
    if embargo < timedelta(0):
        raise ContractError("embargo is negative; pass zero or more")


def micros(delta: timedelta) -> int:
    return delta // _US


def instant(at: pd.Timestamp) -> int:
    """UTC microseconds since the epoch of an aware time."""
    if at.tzinfo is None:
        raise ContractError(f"{at} has no zone; pass an aware UTC time")
    return int((at - stamp(0)) // _US)


def stamp(value: int) -> pd.Timestamp:
    return pd.Timestamp(value, unit="us", tz="UTC")


def _instants(name: str, values: pd.Series) -> IntArray:
    series = pd.Series(values)
    if not isinstance(series.dtype, pd.DatetimeTZDtype):
        raise ContractError(f"{name} has type {series.dtype}; pass aware UTC times (datetime64[us, UTC])")
    if series.isna().any():
        raise ContractError(f"{name} is missing in {int(series.isna().sum())} rows; drop rows without a label first")
    found: IntArray = series.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    return found
