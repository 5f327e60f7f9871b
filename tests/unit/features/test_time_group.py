"""Clock features, and sessions on both sides of each daylight-saving change."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from pipelines.features.declare import Rows
from pipelines.features.groups import time
from pipelines.store import Warehouse


def values_at(*closes: str) -> pd.DataFrame:
    """Features of the bars that close at these UTC times."""
    event_time = pd.to_datetime(list(closes), utc=True).as_unit("us") - pd.Timedelta(hours=1)
    frame = pd.DataFrame({"symbol": "A", "event_time": event_time, "available_at": event_time + pd.Timedelta(hours=9)})
    rows = Rows.of(frame, cast(Warehouse, None), pd.Timestamp("2030-01-01", tz="UTC"))
    return pd.DataFrame(time.GROUP.from_rows(rows))  # type: ignore[misc]


@pytest.mark.parametrize(("close", "open_sessions"), [
    # A Tuesday in January: London is on UTC, New York on UTC-5, Sydney on UTC+11, Tokyo always on UTC+9.
    ("2024-01-16T20:00", "new_york sydney"),  # Sydney 07:00 Wednesday
    ("2024-01-16T19:00", "new_york"),
    ("2024-01-16T22:00", "sydney"),  # New York 17:00
    ("2024-01-16T00:00", "sydney tokyo"),
    ("2024-01-16T04:00", "sydney tokyo"),
    ("2024-01-16T05:00", "tokyo"),  # Sydney 16:00
    ("2024-01-16T07:00", "tokyo"), ("2024-01-16T08:00", "london tokyo"), ("2024-01-16T09:00", "london"),
    ("2024-01-16T13:00", "london new_york"), ("2024-01-16T12:00", "london"), ("2024-01-16T17:00", "new_york"),
    # A Tuesday in July: London on UTC+1, New York on UTC-4, Sydney on UTC+10.
    ("2024-07-16T20:00", "new_york"), ("2024-07-16T21:00", "sydney"),
    ("2024-07-16T07:00", "london tokyo"), ("2024-07-16T12:00", "london new_york"), ("2024-07-16T16:00", "new_york"),
    ("2024-07-16T06:00", "tokyo"),  # Sydney 16:00
    # New York changes on 10 March, London on 31 March: three weeks in which their distance is four hours.
    ("2024-03-08T12:00", "london"), ("2024-03-11T12:00", "london new_york"), ("2024-03-11T07:00", "tokyo"),
    ("2024-04-01T07:00", "london tokyo"),
    # Sydney leaves summer time on 7 April.
    ("2024-04-04T20:00", "new_york sydney"), ("2024-04-08T20:00", "new_york"), ("2024-04-08T21:00", "sydney"),
    # London and New York leave it on 27 October and 3 November.
    ("2024-10-25T07:00", "london tokyo"), ("2024-10-28T07:00", "tokyo"), ("2024-11-01T12:00", "london new_york"),
    ("2024-11-04T12:00", "london"),
    # Weekends by the local day: Sydney's Monday begins on Sunday evening UTC, New York's Friday ends on Saturday.
    ("2024-01-13T12:00", ""), ("2024-01-14T19:00", ""), ("2024-01-14T20:00", "sydney"), ("2024-01-14T23:00", "sydney"),
    ("2024-01-12T21:00", "new_york"), ("2024-01-12T22:00", ""), ("2024-01-15T00:00", "sydney tokyo"),
])
def test_sessions(close: str, open_sessions: str) -> None:
    row = values_at(close).iloc[0]
    assert [session.name for session in sorted(time.SESSIONS, key=lambda session: session.name)
            if row[f"session_{session.name}"] == 1.0] == open_sessions.split()


def test_sessions_are_those_of_the_standard_librarys_clocks() -> None:
    """Hour by hour over years on both sides of the blocks that the calendar is kept in (8192 hours)."""
    hours = np.random.default_rng(0).integers(420_000, 520_000, 2000)  # 2017 to 2029
    for session in time.SESSIONS:
        local = [datetime.fromtimestamp(int(hour) * 3600, ZoneInfo(session.zone)) for hour in hours]
        expected = [session.opens <= at.hour < session.closes and at.weekday() < 5 for at in local]
        np.testing.assert_array_equal(time.is_open(session, hours), np.array(expected, dtype=float))


def test_the_clock_runs_in_circles() -> None:
    frame = values_at("2024-01-15T00:00", "2024-01-15T06:00", "2024-01-15T12:00", "2024-01-15T18:00",
                      "2024-01-16T00:00")
    np.testing.assert_allclose(frame["hour_sin"], [0, 1, 0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(frame["hour_cos"], [1, 0, -1, 0, 1], atol=1e-12)
    # 2024-01-15 was a Monday.
    np.testing.assert_allclose(frame["weekday_sin"].iloc[[0, 4]], [0, np.sin(2 * np.pi / 7)], atol=1e-12)
    np.testing.assert_allclose(frame["weekday_cos"].iloc[[0, 4]], [1, np.cos(2 * np.pi / 7)], atol=1e-12)


def test_a_row_alone_equals_the_row_among_others() -> None:
    closes = [str(at) for at in pd.date_range("2024-03-01", periods=24 * 40, freq="h")]
    whole = values_at(*closes)
    for place in (0, 1, 7, 333, 959):
        assert values_at(closes[place]).iloc[0].to_numpy().tobytes() == whole.iloc[place].to_numpy().tobytes()


def test_no_rows() -> None:
    assert values_at().shape == (0, 8)
