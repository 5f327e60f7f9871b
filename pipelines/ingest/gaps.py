"""Bars that should be there and are not: found on the grid of their interval, asked for once more, written down.

A gap lies between two bars of a series, or between its last bar and the end of the window that brought it
(*open-ended*). A series without any bar in the window has no gap there: it may not be listed yet, or not any more; when
it goes silent, the freshness deadline tells. When it speaks again, the silence becomes a gap of the window in which it
does. Nothing is ever filled in.

Only what was asked for can be missing: a bar counts when its window was loaded. Weekends are no gaps of a series that
is known from at least ``WEEKS`` weeks and has no bar on a Saturday or Sunday. Holidays of an exchange are not known
here, so they are written down as gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch, Provider
from pipelines.contracts.records import Gap, Refused
from pipelines.contracts.window import Window
from pipelines.errors import SourceError
from pipelines.ingest.checks import interval_length

#: How far around a window the bars of a series are looked at: a longer silence is not bridged.
LOOK_AROUND = timedelta(days=28)
#: Separate stretches that one run asks for again; what is beyond them is written down unasked.
MOST_REQUESTS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000  # microseconds
#: Weeks without a bar at a weekend that make a market one that rests.
WEEKS = 3
_SERIES = ["symbol", "interval"]
Ticks = NDArray[np.int64]


def find(bars: pd.DataFrame, present: Iterable[str], loaded: Iterable[Window]) -> list[Gap]:
    """Every gap of the series in ``present``, in order.

    Args:
        bars: what is known, all versions: ``symbol``, ``interval``, ``event_time``, ``available_at``.
        present: the series to look at, such as ``BTCUSDT 1h``.
        loaded: windows that have been asked for; a bar is due when its close, and the usual delay, lie in one.
    """
    named, found = set(present), []
    asked = np.array([[_tick(window.start), _tick(window.end)] for window in loaded], dtype=np.int64).reshape(-1, 2)
    for (symbol, interval), rows in bars.groupby(_SERIES, sort=True):
        series, step = f"{symbol} {interval}", interval_length(str(interval))
        if step is None or series not in named:
            continue
        late = _length(max((rows["available_at"] - rows["event_time"]).median(), step))
        found += [Gap(Kind.BARS.value, series, _instant(a), _instant(b), count, open_ended)
                  for a, b, count, open_ended in holes(
                      _ticks(pd.DatetimeIndex(rows["event_time"])), _length(step), asked - late)]
    return found


def holes(times: Ticks, step: int, asked: Ticks) -> list[tuple[int, int, int, bool]]:
    """Missing stretches of a grid, in microseconds since 1970.

    Args:
        times: opens of the bars there are, any order; doubles do not matter.
        step: their distance.
        asked: half-open stretches of opens that were asked for, one per window, shape (stretches, 2). After the last
            bar, those are missed that were asked for together with it.

    Returns:
        ``(start, end, missing, open_ended)`` each, in order: the first missing open, one step after the last missing
        one, how many are missing, and whether nothing comes after them.
    """
    known = np.unique(times)
    if not len(known):
        return []
    rests = not _weekend(known).any() and len(np.unique((known // _DAY + 3) // 7)) >= WEEKS
    together = asked[(asked[:, 0] <= known[-1]) & (known[-1] < asked[:, 1]), 1]
    found = []
    after = np.append(known[1:], max([known[-1] + step, *together]))
    for at in map(int, np.flatnonzero(after - known > step)):
        missing = np.arange(known[at] + step, after[at], step)
        missing = missing[~_weekend(missing)] if rests else missing
        missing = missing[((missing[:, None] >= asked[:, 0]) & (missing[:, None] < asked[:, 1])).any(axis=1)]
        if len(missing):
            found.append((int(missing[0]), int(missing[-1]) + step, len(missing), at == len(known) - 1))
    return found


def _weekend(ticks: Ticks) -> NDArray[np.bool_]:
    return np.asarray((ticks // _DAY + 3) % 7 >= 5)  # 1970-01-01 was a Thursday, Monday counts as 0


@dataclass(frozen=True)
class Again:
    """What was asked for a second time and what came: ``answer`` has bars that were missing, and nothing else."""

    windows: tuple[Window, ...] = ()
    answer: Batch = field(default_factory=Batch)
    trouble: str | None = None

    @property
    def bars(self) -> int:
        return sum(len(frame) for frame in self.answer.frames.values())


def ask_again(provider: Provider, gaps: Sequence[Gap], window: Window) -> Again:
    """Ask the provider once more for the bars of these gaps that were due in ``window``.

    Gaps that overlap are one request; a provider that fails now does not spoil what it delivered before.
    """
    wanted = _requests(gaps, window)
    frames: list[pd.DataFrame] = []
    refused: list[Refused] = []
    trouble = None
    missing: dict[str, list[Gap]] = {}
    for gap in gaps:
        missing.setdefault(gap.series, []).append(gap)
    for part, symbols in wanted:
        try:
            batch = provider.fetch(part, [Kind.BARS], symbols)
        except SourceError as error:
            trouble = f"{type(error).__name__}: {error}"
            break
        refused.extend(batch.refused)
        if Kind.BARS in batch.frames and len(frame := batch.frames[Kind.BARS]):
            frames.append(frame[[_lies_in(missing, row) for row in
                                 frame[[*_SERIES, "event_time"]].itertuples(index=False)]])
    came = pd.concat(frames, ignore_index=True) if any(map(len, frames)) else None
    return Again(tuple(part for part, _ in wanted), Batch({} if came is None else {Kind.BARS: came}, refused), trouble)


def _requests(gaps: Sequence[Gap], window: Window) -> list[tuple[Window, list[str]]]:
    """Stretches of availability inside ``window`` that hold what is missing, with their symbols; those that touch are
    one. A bar comes at its close or soon after, so each reaches two bars further."""
    stretches = []
    for gap in sorted(gaps, key=lambda gap: gap.start):
        symbol, interval = gap.series.rsplit(" ", 1)
        step = interval_length(interval)
        length = timedelta(0) if step is None else step.to_pytimedelta()
        start, end = max(window.start, gap.start + length), min(window.end, gap.end + 2 * length)
        if start < end:
            stretches.append((start, end, symbol))
    merged: list[tuple[datetime, datetime, set[str]]] = []
    for start, end, symbol in stretches:
        if merged and start <= merged[-1][1]:
            before = merged.pop()
            merged.append((before[0], max(before[1], end), before[2] | {symbol}))
        else:
            merged.append((start, end, {symbol}))
    return [(Window(start, end), sorted(symbols)) for start, end, symbols in merged[:MOST_REQUESTS]]


def _lies_in(gaps: dict[str, list[Gap]], row: tuple[object, ...]) -> bool:
    symbol, interval, at = row
    return isinstance(at, datetime) and at == at and any(
        gap.start <= at < gap.end for gap in gaps.get(f"{symbol} {interval}", ()))


def _ticks(times: pd.DatetimeIndex) -> Ticks:
    return np.asarray(times.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64))


def _tick(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _length(step: pd.Timedelta) -> int:
    return int(step / pd.Timedelta(microseconds=1))


def _instant(ticks: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ticks)
