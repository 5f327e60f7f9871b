"""Times from files: numbers of any unit, ISO texts with mixed offsets, dates, local clocks. All become UTC."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pandas as pd

from pipelines.ingest.files.manifest import TimeSpec, length

TIME = "datetime64[us, UTC]"
_OFFSET = r"(?:[Zz]|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_NUMBER = r"^\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*$"
#: Ticks of a unit in one microsecond, or microseconds in one tick.
_MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
#: Largest size of a number of this unit. 1e11 s is the year 5138, 1e11 ms March 1973, and so on upwards.
_SIZES = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (np.inf, "ns"))
#: Microseconds beyond this (year 9999) are no time.
_LIMIT = 2.5e17


def read_times(raw: pd.Series, spec: TimeSpec) -> pd.Series:
    """Times in UTC, same index; NaT where a value is missing, cannot be read, or names no single instant (an hour
    that a clock shows twice or skips)."""
    if spec.unit == "shuffled":
        times = _shuffled(raw, spec)
    elif isinstance(raw.dtype, pd.DatetimeTZDtype):
        times = raw.dt.tz_convert("UTC").dt.as_unit("us")
    elif pd.api.types.is_datetime64_dtype(raw.dtype):
        times = _localized(raw.dt.as_unit("us"), spec)
    elif pd.api.types.is_numeric_dtype(raw.dtype) and not pd.api.types.is_bool_dtype(raw.dtype) and not spec.format:
        times = _numbers(raw, spec)
    else:
        times = _texts(raw.map(lambda value: None if pd.isna(value) else str(value)).astype("str"), spec)
    if spec.unit == "date":
        times = times.dt.tz_convert(spec.tz).dt.normalize().dt.tz_convert("UTC")
    return times.astype(TIME)


def _shuffled(raw: pd.Series, spec: TimeSpec) -> pd.Series:
    """An instant of the stated span for each value, uniform by its digest: equal values, equal instants."""
    start, over = pd.Timestamp(spec.start), pd.Timedelta(length(spec.over or ""))
    share = [None if pd.isna(value) else int.from_bytes(
        hashlib.sha256(str(value).encode("utf-8", "backslashreplace")).digest()[:6], "big") / 2**48 for value in raw]
    ticks = pd.Series(share, index=raw.index, dtype="float64") * (over // pd.Timedelta(microseconds=1))
    return start + pd.to_timedelta(ticks.round(), unit="us").dt.as_unit("us")


def other_unit(value: object, spec: TimeSpec) -> str:
    """``; it looks like ms`` for a number whose size is that of another unit than the one it was read with."""
    if spec.unit not in _MICROSECONDS or not re.match(_NUMBER, str(value)):
        return ""
    unit = next((name for size, name in _SIZES if abs(float(str(value))) < size), spec.unit)
    return "" if unit == spec.unit else f"; it looks like {unit}"


def _numbers(raw: pd.Series, spec: TimeSpec) -> pd.Series:
    whole = pd.api.types.is_integer_dtype(raw.dtype)
    values = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    factor = np.ones(len(values))
    if spec.unit in _MICROSECONDS:
        factor *= _MICROSECONDS[spec.unit]
    else:
        unit = np.searchsorted([size for size, _ in _SIZES], np.abs(values), side="right")
        factor = np.array([_MICROSECONDS[name] for _, name in _SIZES])[np.minimum(unit, len(_SIZES) - 1)]
    scaled = values * factor
    good = np.isfinite(scaled) & (np.abs(scaled) < _LIMIT)
    ticks = np.full(len(values), np.iinfo(np.int64).min)
    if whole:
        # Integers stay exact: a double would lose microseconds of nanosecond stamps.
        exact = raw.fillna(0).to_numpy(dtype=np.int64)
        ticks[good] = np.where(factor >= 1, exact * np.maximum(factor, 1).astype(np.int64), exact // 1000)[good]
    else:
        ticks[good] = np.round(scaled[good]).astype(np.int64)
    return pd.Series(ticks.view("datetime64[us]"), index=raw.index).dt.tz_localize("UTC")


def _texts(raw: pd.Series, spec: TimeSpec) -> pd.Series:
    if spec.format is not None:
        if "%z" in spec.format:
            return pd.to_datetime(raw, format=spec.format, utc=True, errors="coerce").dt.as_unit("us")
        return _localized(pd.to_datetime(raw, format=spec.format, errors="coerce").dt.as_unit("us"), spec)
    numeric = raw.str.match(_NUMBER).fillna(False).to_numpy(dtype=bool)
    if spec.unit in _MICROSECONDS:
        return _numbers(_to_number(raw.where(numeric)), spec)
    times = pd.Series(pd.NaT, index=raw.index, dtype=TIME)
    if spec.unit == "auto" and numeric.any():
        times[numeric] = _numbers(_to_number(raw[numeric]), spec)
        raw = raw.where(~numeric)
    offset = raw.str.contains(_OFFSET, regex=True).fillna(False) & raw.str.contains(":", regex=False).fillna(False)
    if offset.any():
        times[offset] = pd.to_datetime(raw[offset], format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    plain = raw.notna() & ~offset
    if plain.any():
        naive = pd.to_datetime(raw[plain], format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        times[plain] = _localized(naive.dt.as_unit("us"), spec)
    return times


def _to_number(raw: pd.Series) -> pd.Series:
    return pd.to_numeric(raw, errors="coerce")


def _localized(naive: pd.Series, spec: TimeSpec) -> pd.Series:
    return naive.dt.tz_localize(spec.tz, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
