"""Two versions of the same rows, compared bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.errors import ContractError
from pipelines.validation.audit.subject import Build, columns_of

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def differing(one: pd.Series, other: pd.Series) -> Mask:
    """Where two columns of the same rows differ: floats in any bit (every NaN equals every NaN), the rest in value."""
    if pd.api.types.is_float_dtype(one.dtype) and pd.api.types.is_float_dtype(other.dtype):
        a, b = (np.ascontiguousarray(series.to_numpy(dtype=np.float64)) for series in (one, other))
        return np.asarray((a.view(np.int64) != b.view(np.int64)) & ~(np.isnan(a) & np.isnan(b)))
    both = one.isna().to_numpy() & other.isna().to_numpy()
    same = one.to_numpy(dtype=object) == other.to_numpy(dtype=object) if one.dtype != other.dtype \
        else (one.array == other.array)
    equal: Mask = np.asarray(pd.array(same, dtype="boolean").fillna(False), dtype=bool)
    wrong: Mask = ~(equal | both)
    return wrong


def changed(build: Build, whole: pd.DataFrame, other: pd.DataFrame, until: pd.Timestamp,
            since: pd.Timestamp | None = None) -> tuple[dict[str, pd.Timestamp], int]:
    """Column → earliest ``event`` among the rows known at ``until`` (and at or after ``since``) that differ.

    A row that only one side has differs in ``build.known``: its time says that it was known, and it was not.

    Returns:
        That mapping, and the number of rows compared.
    """
    one, two = _within(build, whole, until, since), _within(build, other, until, since)
    key = list(build.key)
    found: dict[str, pd.Timestamp] = {}
    if len(one) != len(two) or any(differing(one[name], two[name]).any() for name in key):
        first, second = (pd.MultiIndex.from_frame(frame[key]) for frame in (one, two))
        if not second.is_unique:
            raise ContractError(f"{build.name} as of {until} have two rows of one {build.key}; keep one")
        place = second.get_indexer(first)
        lonely = [frame.loc[alone, build.event] for frame, alone in (
            (one, place < 0), (two, first.get_indexer(second) < 0))]
        if sum(map(len, lonely)):
            found[build.known] = min(times.min() for times in lonely if len(times))
        one = one[place >= 0].reset_index(drop=True)
        two = two.iloc[place[place >= 0]].reset_index(drop=True)
    for name in columns_of(build, one):
        if name not in two.columns:
            if len(one):
                found.setdefault(name, one[build.event].min())
            continue
        wrong = differing(one[name], two[name])
        if wrong.any():
            earliest = one.loc[wrong, build.event].min()
            found[name] = min(found.get(name, earliest), earliest)
    return found, len(one)


def _within(build: Build, frame: pd.DataFrame, until: pd.Timestamp, since: pd.Timestamp | None) -> pd.DataFrame:
    known = frame[build.known]
    inside = known <= until
    if since is not None:
        inside &= known >= since
    return frame[inside].reset_index(drop=True)
