"""Silence and outage: was nothing written, or was nobody collecting?

A source's arrivals are compared with its own habit. The habit of a UTC day is, for each hour of the day, the median
number of documents in that hour over the seven days before. A stretch without any document is an outage when, at that
habit, so long a silence has a probability below ``IMPROBABLE`` (Poisson: exp(-expected number)). A quiet night expects
little and stays silence; the same hours without a post at noon do not.

The habit is that of the day on which the silence began, or a long outage would become the habit. Medians, because they
forget three days of outage in seven, and because arrivals come in bursts that a mean would take for the rule.

Everything at a tick comes from the arrivals up to it. As long as a silence is not improbable yet its ticks count as
alive; once it is, all of them since its beginning are known to be dead, also after the next arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import DAY_TICKS, TICKS, Ints

IMPROBABLE = 1e-6
#: Days of habit; days after which a source without documents is gone (not expected any more).
HABIT_DAYS, GONE_DAYS = 7, 14
#: The largest expected number of documents, in sixths (habits are per hour, ticks ten minutes), that may fail to come.
_MOST_EXPECTED = math.floor(-math.log(IMPROBABLE) * TICKS)

Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def lead_days(window_ticks: int) -> int:
    """How many whole days of arrivals before a tick decide its coverage."""
    return -(-window_ticks // DAY_TICKS) + GONE_DAYS + HABIT_DAYS + 1


@dataclass(frozen=True)
class Silence:
    """The arrivals of one source, per tick of whole UTC days from the tick ``first`` on.

    Position i stands for the ten minutes that end with the tick ``first + i + 1``.

    Attributes:
        counts: (ticks,) documents that became available.
        last: (ticks,) position of the last arrival up to here, -1 before the first.
        improbable: (ticks,) the silence since then is improbable, or so long that the source is gone.
    """

    first: int
    counts: Ints
    last: Ints
    improbable: Flags

    @classmethod
    def of(cls, ticks: Ints, counts: Ints, first: int, days: int) -> Silence:
        """From the ticks at (or before) which ``counts`` documents became available; ``first`` begins a UTC day."""
        at = ticks - 1 - first
        inside = (at >= 0) & (at < days * DAY_TICKS)
        per_tick = np.zeros(days * DAY_TICKS, dtype=np.int64)
        np.add.at(per_tick, at[inside], counts[inside])
        place = np.arange(len(per_tick))
        last = np.maximum.accumulate(np.where(per_tick > 0, place, -1))
        expected = _expected(per_tick, last)
        gone = place - last > GONE_DAYS * DAY_TICKS
        return cls(first, per_tick, last, (last < 0) | gone | (expected > _MOST_EXPECTED))

    def dead(self) -> Flags:
        """(ticks,) Was the source dead, as known at the end of the arrivals?"""
        ends = np.append(np.flatnonzero(self.counts) - 1, len(self.counts) - 1)
        steps = np.zeros(len(self.counts) + 1, dtype=np.int64)
        ends = ends[(ends >= 0) & self.improbable[ends] & (self.counts[ends] == 0)]
        np.add.at(steps, self.last[ends] + 1, 1)
        np.add.at(steps, ends + 1, -1)
        return np.cumsum(steps)[:-1] > 0

    def alive(self, at: Ints, window: int) -> Ints:
        """(len(at),) How many of the last ``window`` ticks up to each position the source was alive, as known then."""
        total = np.concatenate([[0], np.cumsum(self.dead())])
        begin = at + 1 - window
        now = self.last[at] + 1  # what was before the present silence is settled
        settled = np.maximum(total[now] - total[begin], 0)
        present = np.where(self.improbable[at], at + 1 - np.maximum(now, begin), 0)
        return np.asarray(window - settled - present)


def _expected(counts: Ints, last: Ints) -> Ints:
    """Documents that the habit of the day of the last arrival expects since then, times ``TICKS``."""
    days = len(counts) // DAY_TICKS
    hourly = counts.reshape(days, 24, TICKS).sum(axis=2)
    habit = np.zeros((days, 24), dtype=np.int64)
    for day in range(HABIT_DAYS, days):
        habit[day] = np.sort(hourly[day - HABIT_DAYS:day], axis=0)[HABIT_DAYS // 2]
    running = np.zeros((days, DAY_TICKS + 1), dtype=np.int64)
    np.cumsum(np.repeat(habit, TICKS, axis=1), axis=1, out=running[:, 1:])
    place = np.arange(len(counts))
    begin = np.maximum(last, 0)
    since = begin // DAY_TICKS
    return np.asarray((place // DAY_TICKS - since) * running[since, -1] + running[since, place % DAY_TICKS + 1]
                      - running[since, begin % DAY_TICKS + 1])


def coverage(arrivals: pd.DataFrame, first: int, last: int, windows: tuple[int, ...]) -> Floats:
    """The share of each window in which the collectors were alive, as known at its end.

    A source weighs as much as it delivered in the ``GONE_DAYS`` before; who delivered nothing is not expected.

    Args:
        arrivals: ``source``, ``tick`` (the first one at or after its documents became available), ``documents``;
            back to ``lead_days(max(windows))`` whole days before ``first``.
        first, last: ticks since 1970, ``last`` not included.
        windows: lengths in ticks.

    Returns:
        (windows, last - first) in [0, 1]; 0 where no source is known: nothing counted then means nothing known.
    """
    width = max(last - first, 0)
    begin = (first // DAY_TICKS - lead_days(max(windows))) * DAY_TICKS
    days = -(-(last - begin) // DAY_TICKS) if width else 0
    share, total = np.zeros((len(windows), width)), np.zeros(width)
    at = np.arange(first, last) - 1 - begin
    for _, own in arrivals.groupby("source", sort=True) if width else ():
        silence = Silence.of(own["tick"].to_numpy(), own["documents"].to_numpy(), begin, days)
        running = np.concatenate([[0], np.cumsum(silence.counts)])
        weight = running[at + 1] - running[at + 1 - GONE_DAYS * DAY_TICKS]
        total += weight
        for row, window in zip(share, windows, strict=True):
            row += weight * silence.alive(at, window)  # whole numbers: the sums are exact in any order
    return np.asarray(share / (np.maximum(total, 1) * np.asarray(windows)[:, None]))
