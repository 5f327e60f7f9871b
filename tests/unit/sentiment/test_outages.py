"""Silence is not outage: what a plain loop says, what any cut says, and the real Reddit set with its dead days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import ROOT
from pipelines.sentiment import outages
from pipelines.sentiment.hours import DAY_TICKS, TICKS, Ints, full_tick_after, microseconds

FIRST = 19_700 * DAY_TICKS  # a UTC day
HOUR = 6
DAYS = 40
REDDIT = ROOT.parent / "shared" / "data" / "reddit_posts_2020_2022" / "posts.parquet"
#: Days without a single post, as the set's description lists them.
DEAD_DAYS = {date(2021, 2, 5), date(2021, 2, 6), date(2021, 3, 1), date(2021, 3, 6),
             *(date(2021, 3, day) for day in range(18, 27)), *(date(2021, 4, day) for day in range(10, 14))}


def arrivals(counts: Ints, source: str = "s") -> pd.DataFrame:
    """``counts`` per ten minutes from FIRST on."""
    at = np.flatnonzero(counts)
    return pd.DataFrame({"source": source, "tick": FIRST + at + 1, "documents": counts[at]})


def busy_days(seed: int = 0, per_hour: float = 12.0, night: float = 0.0) -> Ints:
    """Poisson arrivals; ``night``: documents per hour between 0 and 6 UTC."""
    hour = np.arange(DAYS * DAY_TICKS) % DAY_TICKS // TICKS
    return np.random.default_rng(seed).poisson(np.where(hour < 6, night, per_hour) / TICKS).astype(np.int64)


def coverage_at(counts: Ints, hours: int, window: int = 24 * HOUR) -> float:
    """Of the day before ``hours`` after FIRST."""
    at = FIRST + hours * TICKS
    return float(outages.coverage(arrivals(counts), at, at + 1, (window,))[0, 0])


def test_quiet_nights_are_silence() -> None:
    counts = busy_days()
    for hours in range(30 * 24, 32 * 24):
        assert coverage_at(counts, hours) == 1


def test_a_dead_collector_is_found_and_by_when() -> None:
    counts = busy_days(per_hour=10.0, night=10.0)
    dead = slice(30 * DAY_TICKS, 31 * DAY_TICKS + 60)
    counts[dead] = 0
    assert coverage_at(counts, 30 * 24 + 1) == 1  # an hour without ten posts happens
    assert coverage_at(counts, 30 * 24 + 2) < 1
    assert coverage_at(counts, 31 * 24) == 0
    later = 31 * 24 + 14  # ten hours dead, four alive
    assert coverage_at(counts, later) == pytest.approx(14 / 24 - 10 / 24, abs=0.02)
    assert coverage_at(counts, 33 * 24) == 1


def test_a_long_outage_does_not_become_the_habit_and_ends_as_gone() -> None:
    counts = busy_days(night=12.0)
    counts[20 * DAY_TICKS:] = 0
    assert coverage_at(counts, 33 * 24) == 0
    assert coverage_at(counts, 36 * 24) == 0
    counts[34 * DAY_TICKS + 600:] = 12  # back after more than two weeks
    assert coverage_at(counts, 39 * 24, window=48 * HOUR) == pytest.approx(
        (39 * 24 * 6 - (34 * DAY_TICKS + 600)) / (48 * HOUR), abs=1e-9)


def test_nothing_is_known_before_the_first_document() -> None:
    counts = busy_days(night=12.0)
    counts[:35 * DAY_TICKS] = 0
    assert coverage_at(counts, 35 * 24 - 1) == 0
    assert coverage_at(counts, 35 * 24 + 12) == pytest.approx(0.5, abs=0.01)


def test_a_source_weighs_what_it_delivers() -> None:
    big, small = busy_days(1, 30.0, 30.0), busy_days(2, 10.0, 10.0)
    small[30 * DAY_TICKS:] = 0
    at = FIRST + 32 * DAY_TICKS
    both = pd.concat([arrivals(big, "big"), arrivals(small, "small")])
    share = outages.coverage(both, at, at + 1, (DAY_TICKS,))[0, 0]
    days = slice(18 * DAY_TICKS, 32 * DAY_TICKS)
    assert share == pytest.approx(big[days].sum() / (big[days].sum() + small[days].sum()))


def slow(counts: Ints, at: int, window: int) -> float:
    """The definition, for one source, tick by tick."""
    alive, seen = 0, counts[:at]
    arrived = np.flatnonzero(seen)
    for place in range(at - window, at):
        before = arrived[arrived <= place]
        if not len(before):
            continue
        begin = before[-1]
        after = arrived[arrived > place]
        end = after[0] if len(after) else at
        if place == begin:
            alive += 1
            continue
        day = begin // DAY_TICKS
        hourly = counts.reshape(-1, 24, TICKS).sum(axis=2)
        habit = np.median(hourly[day - 7:day], axis=0) if day >= 7 else np.zeros(24)
        expected = sum(habit[tick % DAY_TICKS // TICKS] for tick in range(begin + 1, end)) / TICKS
        alive += not (np.exp(-expected) < outages.IMPROBABLE or end - 1 - begin > 14 * DAY_TICKS)
    return alive / window if seen[-14 * DAY_TICKS:].sum() else 0.0


HOLES = st.lists(st.tuples(st.integers(0, DAYS * 24), st.integers(1, 120)), max_size=4)


def with_holes(seed: int, holes: list[tuple[int, int]]) -> Ints:
    counts = busy_days(seed, per_hour=4.0 + seed % 7, night=seed % 3)
    for begin, hours in holes:
        counts[begin * HOUR:(begin + hours) * HOUR] = 0
    return counts


@given(st.integers(0, 100), HOLES, st.integers(30 * DAY_TICKS, DAYS * DAY_TICKS))
@settings(max_examples=12)
def test_equals_the_definition(seed: int, holes: list[tuple[int, int]], at: int) -> None:
    counts = with_holes(seed, holes)
    found = outages.coverage(arrivals(counts), FIRST + at, FIRST + at + 1, (HOUR, DAY_TICKS))
    assert found[:, 0].tolist() == pytest.approx([slow(counts, at, HOUR), slow(counts, at, DAY_TICKS)], abs=1e-12)


@given(st.integers(0, 100), HOLES, st.integers(1, 6 * DAY_TICKS))
@settings(max_examples=25)
def test_any_cut_says_the_same_and_the_future_nothing(seed: int, holes: list[tuple[int, int]], cut: int) -> None:
    every = pd.concat([arrivals(with_holes(seed, holes), "a"), arrivals(with_holes(seed + 1, holes[:2]), "b")])
    first, last = FIRST + 33 * DAY_TICKS, FIRST + 39 * DAY_TICKS
    middle, windows = first + cut, (HOUR, 4 * HOUR, DAY_TICKS, 7 * DAY_TICKS)
    whole = outages.coverage(every, first, last, windows)
    parts = [outages.coverage(every[(every["tick"] < end) & (
        every["tick"] > begin - (outages.lead_days(7 * DAY_TICKS) + 1) * DAY_TICKS)], begin, end, windows)
        for begin, end in ((first, middle), (middle, last))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_no_stretch_no_rows() -> None:
    assert outages.coverage(arrivals(busy_days()), FIRST, FIRST, (6,)).shape == (1, 0)


@pytest.mark.skipif(not REDDIT.exists(), reason=f"the development data is not here ({REDDIT})")
def test_the_dead_days_of_the_reddit_set_are_found_and_its_quiet_nights_are_not() -> None:
    posts = pd.read_parquet(Path(REDDIT), columns=["created_utc"])["created_utc"]
    ticks, counts = np.unique(full_tick_after(microseconds(posts)), return_counts=True)
    first = int(ticks[0]) // DAY_TICKS * DAY_TICKS
    days = (int(ticks[-1]) - first) // DAY_TICKS + 1
    silence = outages.Silence.of(ticks, counts, first, days)
    dead = silence.dead().reshape(-1, TICKS).mean(axis=1) > 0.5
    empty = silence.counts.reshape(-1, TICKS).sum(axis=1) == 0
    start = pd.Timestamp(first * 600, unit="s").date()
    listed = np.repeat([start + timedelta(days=day) in DEAD_DAYS for day in range(days)], 24)
    assert listed.sum() == 17 * 24
    assert dead[listed].all()  # recall by hour: 1
    # What else is dead are the edges of those days and outages of hours to two days that nobody listed: in each of them
    # at least 14 posts were expected and none came. Most empty hours are not.
    assert empty[dead].mean() > 0.97
    assert (empty & ~dead).sum() > 400
    assert silence.improbable.reshape(-1, TICKS)[:, -1][listed].all()  # known on the day itself, not only afterwards
