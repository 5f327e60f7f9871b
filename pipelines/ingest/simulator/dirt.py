"""The dirt of real feeds: rows that come late, twice, wrong and later corrected, or broken.

Every row draws the same few numbers whatever the rate, so a dirtier world has all the dirt of a cleaner one. A broken
row is followed by a good one minutes later, so history keeps few holes. Everything is written into a log, so that
a test can ask whether exactly the broken rows were refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.ingest.simulator.streams import Flags, Floats, Ints, Objects, Stream, stream

DRAWS = 5
CATEGORIES = ("late", "doubled", "revised", "malformed")
#: Cumulative shares of the categories among dirty rows.
_SHARES = np.cumsum([0.30, 0.25, 0.25])
UNREADABLE = "unreadable time"
UNREADABLE_TIME = "2024-13-32T25:61"
_MINUTE = 60_000_000  # microseconds
LOG_COLUMNS = ("kind", "category", "variant", "key", "event_time", "available_at", "good_at")

#: Changes rows of a frame: (frame, positions in it, a uniform number for each).
Change = Callable[[pd.DataFrame, Ints, Floats], None]


@dataclass(frozen=True)
class Feed:
    """What was delivered: good and broken rows by ``available_at``, rows whose time cannot be read (``event_time``
    is text in them), and the log of all dirt (see ``LOG_COLUMNS``; ``good_at``: when the good row came)."""

    frame: pd.DataFrame
    unreadable: pd.DataFrame
    log: pd.DataFrame


def draws(seed: int, purpose: Stream, counts: list[int]) -> Floats:
    """Uniform numbers, shape (rows, DRAWS): the first ``counts[0]`` rows belong to day 0, and so on."""
    return np.concatenate([stream(seed, purpose, day).random((count, DRAWS)) for day, count in enumerate(counts)])


def soil(kind: Kind, clean: pd.DataFrame, uniform: Floats, rate: float, *, key: str, breaks: Mapping[str, Change],
         revise: Change, first_is_wrong: bool) -> Feed:
    """Deliver ``clean`` with dirt at ``rate``.

    Args:
        key: the column that names a row in the log, besides its times.
        breaks: name of a defect → how to make it; ``UNREADABLE`` is added to them.
        revise: makes the other version of a row that is delivered twice with different values.
        first_is_wrong: the other version comes first and is corrected later; else it is a later edit.
    """
    dirty = uniform[:, 0] < rate
    category = np.searchsorted(_SHARES, uniform[:, 1], side="right")
    late, doubled, revised, broken = (np.flatnonzero(dirty & (category == code)) for code in range(4))
    delay, part, size = uniform[:, 2], uniform[:, 3], uniform[:, 4]
    on_time = clean["available_at"].dt.as_unit("us").astype("int64").to_numpy()

    hours_late = np.minimum(np.exp(1.0 + 0.8 * _normal(delay)), 30.0)
    first = on_time.copy()
    first[late] += np.ceil(60 * hours_late[late]).astype(np.int64) * _MINUTE
    again = on_time + np.where(delay < 0.5, 0, np.ceil(600 * delay)).astype(np.int64) * _MINUTE
    corrected = on_time + np.ceil(60 * (2 + 46 * delay)).astype(np.int64) * _MINUTE
    redelivered = on_time + np.ceil(5 + 40 * delay).astype(np.int64) * _MINUTE

    rows = np.concatenate([np.arange(len(clean)), doubled, revised, broken])
    times = np.concatenate([first, again[doubled], corrected[revised], redelivered[broken]])
    frame = clean.take(rows).reset_index(drop=True)
    frame["available_at"] = _instants(times)
    edited = revised if first_is_wrong else len(clean) + len(doubled) + np.arange(len(revised))
    revise(frame, edited, size[revised])

    names = (*breaks, UNREADABLE)
    variant = (part[broken] * len(names)).astype(np.int64)
    for code, change in enumerate(breaks.values()):
        change(frame, broken[variant == code], size[broken[variant == code]])
    lost = broken[variant == len(breaks)]
    order = np.lexsort((np.arange(len(rows)), rows, times))
    unreadable = frame.take(lost).assign(event_time=UNREADABLE_TIME)
    unreadable = unreadable.sort_values("available_at", kind="stable", ignore_index=True)

    labels: Objects = np.full(len(clean), "", dtype=object)
    labels[broken] = np.array(names, dtype=object)[variant]
    return Feed(
        frame=frame.take(order[~np.isin(order, lost)]).reset_index(drop=True)[list(SCHEMAS[kind].columns)],
        unreadable=unreadable[list(SCHEMAS[kind].columns)],
        log=_log(kind, clean, key, dirty, category, labels, on_time,
                 np.select([category == 0, category == 3], [first, redelivered],
                           default=corrected if first_is_wrong else on_time)))


def _normal(uniform: Floats) -> Floats:
    """A cheap standard-normal quantile (logistic approximation); the tails need not be exact."""
    clipped = np.clip(uniform, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped)) / 1.702


def _log(kind: Kind, clean: pd.DataFrame, key: str, dirty: Flags, category: Ints, labels: Objects, seen: Ints,
         good: Ints) -> pd.DataFrame:
    rows = np.flatnonzero(dirty)
    # A doubled row was good the first time.
    good_at = np.where(category[rows] == 1, seen[rows], good[rows])
    return pd.DataFrame({
        "kind": kind.value,
        "category": np.array(CATEGORIES, dtype=object)[category[rows]],
        "variant": labels[rows],
        "key": clean[key].to_numpy()[rows],
        "event_time": clean["event_time"].array[rows],
        "available_at": _instants(seen[rows]),
        "good_at": _instants(good_at),
    }, columns=list(LOG_COLUMNS))


def _instants(microseconds: Ints) -> pd.DatetimeIndex:
    return pd.to_datetime(microseconds, unit="us", utc=True).as_unit("us")
