"""Windows of checks, and what counts as an alarm."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.calibration.drift.outcome import Outcome, Seen, figures, seen
from pipelines.calibration.drift.track import START, Track, edges
from pipelines.calibration.scenario import per_exposure, wilson
from pipelines.errors import ContractError


def test_a_check_sees_the_days_before_it() -> None:
    track = Track(np.arange(20 * 24.0)[:, None], 10, 3)
    assert (track.checks, track.reference) == (10, slice(0, 240))
    assert track.window(0) == slice(8 * 24, 11 * 24)  # two days of the training, one new
    assert track.window(9) == slice(17 * 24, 20 * 24)
    frame = track.frame()
    for check in range(track.checks):
        times = frame.iloc[track.window(check)]["event_time"]
        assert times.iloc[0] == track.as_of(check) - timedelta(days=3)
        assert times.iloc[-1] == track.as_of(check) - timedelta(hours=1)


def test_symbols_share_an_hour() -> None:
    track = Track(np.zeros((12 * 48, 2)), 6, 2, per_day=48, first_check=2)
    times = track.frame()["event_time"]
    assert times.iloc[:4].tolist() == [pd.Timestamp(START)] * 2 + [pd.Timestamp(START) + timedelta(hours=1)] * 2
    assert track.checks == 5
    assert track.window(0) == slice(6 * 48, 8 * 48)


def test_half_the_hours_are_two_hours_apart() -> None:
    times = Track(np.zeros((8 * 12, 1)), 4, 2, per_day=12).frame()["event_time"]
    assert times.iloc[1] - times.iloc[0] == timedelta(hours=2)
    assert times.iloc[-1] == pd.Timestamp(START) + timedelta(days=8) - timedelta(hours=2)


@pytest.mark.parametrize(("days", "reference", "window"), [(5, 5, 2), (9, 3, 4)])
def test_too_short_a_line_is_refused(days: int, reference: int, window: int) -> None:
    with pytest.raises(ContractError, match="need more"):
        Track(np.zeros((24 * days, 1)), reference, window)


#: alarm of each check, onset, patience; false alarms, share on, hit, delay
TABLE = [
    ("0000000", None, 60, 0, 0, False, math.nan),
    ("1100101", None, 60, 3, 4 / 7, True, math.nan),
    ("0000110", 3, 60, 0, 0, True, 2.0),  # on at the check of the fifth day; the change came with the third
    ("0001110", 3, 60, 0, 0, True, 1.0),
    ("0100110", 3, 60, 1, 1 / 3, True, 2.0),
    ("0111111", 3, 60, 1, 2 / 3, False, math.nan),  # rang before, says nothing new
    ("0110001", 3, 3, 1, 2 / 3, False, math.nan),  # too late to be put down to it
    ("0010000", 0, 60, 0, 0, True, 3.0),
]


@pytest.mark.parametrize(("alarm", "onset", "patience", "false", "on", "hit", "delay"), TABLE)
def test_what_counts(alarm: str, onset: int | None, patience: int, false: int, on: float, hit: bool,
                     delay: float) -> None:
    found = seen([mark == "1" for mark in alarm], onset, patience)
    assert (found.false, found.on, found.hit) == (false, pytest.approx(on), hit)
    assert found.delay == pytest.approx(delay, nan_ok=True)


def test_edges_are_where_an_alarm_begins() -> None:
    assert edges([True, True, False, True, False, False, True]).tolist() == [0, 3, 6]


def test_figures_are_shares_means_and_medians() -> None:
    lines = [Outcome(73, {"a": Seen(false, on, hit, delay)}) for false, on, hit, delay in (
        (2, 0.5, True, 4.0), (0, 0.0, True, 8.0), (1, 0.1, False, math.nan), (0, 0.0, True, 9.0))]
    found = figures(lines, "a")
    assert (found.rate, found.lower, found.upper) == (0.75, wilson(3, 4).lower, wilson(3, 4).upper)
    assert found.per_year == per_exposure([2, 0, 1, 0], 0.2)
    assert found.per_year.rate == pytest.approx(3 / 0.8)
    assert (found.on, found.delay_days) == (pytest.approx(0.15), 8.0)


def test_without_a_quiet_day_nothing_is_false() -> None:
    found = figures([Outcome(0, {"a": Seen(0, 0.0, True, 3.0)})], "a")
    assert math.isnan(found.per_year.rate)
    assert found.rate == 1


def test_the_start_is_a_monday() -> None:
    assert datetime.fromisoformat(START.isoformat()).weekday() == 0
