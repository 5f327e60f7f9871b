"""Trailing statistics of bars, each row with the bar versions that were known at its own time.

A row at bar e becomes available when its own bar and the bars of its look-back have. It waits for a late bar, but not
for ever: ``grace`` after its close a missing bar is a gap, and should it still come, it is news from then on, like a
revision. Hence a row depends on nothing that came after it, whenever it is computed.

Nearly every row only ever saw first versions, so these are computed for all rows at once. Revisions change the view
at their own times: between two of them the view is constant, and the few rows that are decided in between and look
back on a revised bar are computed again on that view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.features.declare import Bars
from pipelines.sentiment.hours import HOUR_US, Ints, instant, microseconds

FIELDS = ("open", "high", "low", "close", "volume")
#: A time that never comes: the bar is missing.
NEVER = np.iinfo(np.int64).max
#: How long rows wait for a late bar of their look-back.
GRACE = timedelta(hours=6)

Compute = Callable[[Bars], Mapping[str, FloatArray]]


@dataclass(frozen=True)
class History:
    """All versions of the bars of some symbols on the hourly grid from ``first`` (hours since 1970).

    ``values``: first versions, shape (fields, hours, symbols), NaN where a bar is missing. ``available``: when they
    came, microseconds since 1970, shape (hours, symbols), ``NEVER`` where missing. Later versions in order of time:
    ``later_at`` (n,), ``later_place`` (n, 2) row and column, ``later_values`` (n, fields).
    """

    symbols: tuple[str, ...]
    first: int
    values: FloatArray
    available: Ints
    later_at: Ints
    later_place: Ints
    later_values: FloatArray


@dataclass(frozen=True)
class Evaluated:
    """``time``: when each row was complete (microseconds; ``NEVER``: no row), and the statistics by name; arrays of
    shape (hours, symbols)."""

    time: Ints
    values: dict[str, FloatArray]


def history(bars: pd.DataFrame, first: datetime, last: datetime) -> History:
    """Lay out ``bars`` on the grid of bars opening in ``[first, last)``.

    Args:
        bars: ``symbol``, ``event_time``, ``available_at``, ``revision`` and prices; all revisions of one interval.

    Raises:
        ContractError: a bar that does not open on a full hour.
    """
    start, stop = (instant(at) // HOUR_US for at in (first, last))
    opened = microseconds(bars["event_time"])
    if (opened % HOUR_US).any():
        stray = bars.loc[opened % HOUR_US != 0].iloc[0]
        raise ContractError(f"the bar of {stray['symbol']} opens at {stray['event_time']}, not on a full hour; "
                            "features need bars on the hourly grid: quarantine it, or map its time")
    inside = (opened // HOUR_US >= start) & (opened // HOUR_US < stop)
    bars, opened = bars[inside], opened[inside]
    symbols = tuple(sorted(bars["symbol"].unique()))
    column = pd.Index(symbols, dtype=object).get_indexer(bars["symbol"]).astype(np.int64)
    row = opened // HOUR_US - start
    known = microseconds(bars["available_at"])
    order = np.lexsort((bars["revision"].to_numpy(), known, column, row))
    row, column, known = row[order], column[order], known[order]
    prices = bars[list(FIELDS)].to_numpy(dtype=np.float64)[order]
    begins = np.ones(len(row), dtype=bool)
    begins[1:] = (np.diff(row) != 0) | (np.diff(column) != 0)
    shape = (stop - start, len(symbols))
    values = np.full((len(FIELDS), *shape), np.nan)
    available = np.full(shape, NEVER, dtype=np.int64)
    values[:, row[begins], column[begins]] = prices[begins].T
    available[row[begins], column[begins]] = known[begins]
    later = np.flatnonzero(~begins)
    later = later[np.argsort(known[later], kind="stable")]
    return History(symbols, start, values, available, known[later],
                   np.stack([row[later], column[later]], axis=1), prices[later])


def evaluate(past: History, compute: Compute, lookback: int, grace: timedelta | None = GRACE) -> Evaluated:
    """``compute`` at every row, with the versions known at the row's time.

    Args:
        compute: trailing statistics: row e of its result depends on rows e - ``lookback`` to e alone.
        grace: how long a row waits for bars before its own; None: as long as it takes (no row without all of them).
    """
    wait = past.available
    if grace is not None:
        closes = (past.first + 1 + np.arange(len(wait), dtype=np.int64))[:, None] * HOUR_US
        deadline = closes + grace // timedelta(microseconds=1)
        late = (past.available > deadline) & (past.available < NEVER)
        wait = np.minimum(wait, deadline)
        past = _come_later(past, late) if late.any() else past
    time = past.available.copy()
    for offset in range(1, min(lookback, len(time) - 1) + 1):
        np.maximum(time[offset:], wait[:-offset], out=time[offset:])
    time[past.available == NEVER] = NEVER
    values = _compute(compute, past.values, past.first)
    _revise(past, compute, lookback, time, values)
    return Evaluated(time, values)


def _come_later(past: History, late: np.ndarray) -> History:  # type: ignore[type-arg]
    """A history in which these first versions are missing at first and come among the later versions."""
    row, column = np.nonzero(late)
    at = np.concatenate([past.available[late], past.later_at])
    order = np.argsort(at, kind="stable")  # a first version stands before a revision of the same time
    values = past.values.copy()
    values[:, late] = np.nan
    return replace(
        past, values=values, later_at=at[order],
        later_place=np.concatenate([np.stack([row, column], axis=1), past.later_place])[order],
        later_values=np.concatenate([past.values[:, row, column].T, past.later_values])[order])


def _compute(compute: Compute, values: FloatArray, first: int) -> dict[str, FloatArray]:
    with np.errstate(all="ignore"):  # missing bars are NaN, and a NaN is the right answer to them
        opens, high, low, close, volume = values
        return {name: np.array(value) for name, value in compute(Bars(opens, high, low, close, volume, first)).items()}


def _revise(past: History, compute: Compute, lookback: int, time: Ints, values: dict[str, FloatArray], *,
            across: bool = False) -> None:
    """Compute again, in place, the rows that saw a later version of a bar of their look-back; ``across``: of any
    symbol's."""
    if not len(past.later_at):
        return
    state = past.values.copy()
    touched = np.zeros(time.shape, dtype=bool)
    flat = time.ravel()
    by_time = np.argsort(flat, kind="stable")
    moments, begin = np.unique(past.later_at, return_index=True)
    bounds = np.searchsorted(flat[by_time], [*moments, NEVER])
    for step, news in enumerate(np.split(np.arange(len(past.later_at)), begin[1:])):
        for item in news:
            row, column = past.later_place[item]
            state[:, row, column] = past.later_values[item]
            touched[row:row + lookback + 1, slice(None) if across else column] = True
        decided = by_time[bounds[step]:bounds[step + 1]]
        for rows, columns in _runs(decided[touched.ravel()[decided]], time.shape[1], lookback):
            top, bottom = max(int(rows[0]) - lookback, 0), int(rows[-1]) + 1
            picked = np.arange(time.shape[1]) if across else np.unique(columns)
            view = np.ascontiguousarray(state[:, top:bottom][:, :, picked])
            again = _compute(compute, view, past.first + top)
            for name, value in again.items():
                values[name][rows, columns] = value[rows - top, np.searchsorted(picked, columns)]


def _runs(cells: Ints, width: int, lookback: int) -> Iterator[tuple[Ints, Ints]]:
    """Cells of a (hours, symbols) array as (rows, columns), cut where rows are too far apart to share a view."""
    if not len(cells):
        return
    cells = np.sort(cells)
    rows, columns = cells // width, cells % width
    cuts = np.flatnonzero(np.diff(rows) > lookback + 1) + 1
    yield from zip(np.split(rows, cuts), np.split(columns, cuts), strict=True)
