"""Deadlines by kind and series, and one alarm per stale stretch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from pydantic import ValidationError

from pipelines.config import Quality
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest import freshness
from pipelines.ingest.freshness import STALE, alarm, deadline_hours, newest_of, read, stale
from pipelines.store import Warehouse, asof, events, facts, loads

T = datetime(2024, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("kind", "series", "settings", "hours"), [
    (Kind.BARS, "BTCUSDT 1h", {}, 6), (Kind.BARS, "BTCUSDT 4h", {}, 16), (Kind.BARS, "SPY 1d", {}, 96),
    (Kind.BARS, "BTCUSDT 15m", {"fresh_bars_hours": 0.5}, 1), (Kind.BARS, "BTCUSDT 1h", {"fresh_bars_hours": 0}, None),
    (Kind.DOCUMENTS, "reddit", {}, 24), (Kind.INDICATORS, "vix", {}, 96), (Kind.TRADES, "log", {}, None),
    (Kind.TRADES, "log", {"fresh_trades_hours": 12}, 12),
    (Kind.INDICATORS, "vix", {"fresh_series": "vix=120 BTCUSDT=3"}, 120),
    (Kind.BARS, "BTCUSDT 1h", {"fresh_series": "vix=120, BTCUSDT=3"}, 3),
    (Kind.BARS, "BTCUSDT 1h", {"fresh_series": "BTCUSDT=0"}, None),
    (Kind.DOCUMENTS, "a=b", {"fresh_series": "a=b=2.5"}, 2.5),
])
def test_deadlines(kind, series, settings, hours):
    assert deadline_hours(Quality(**settings), kind, series) == hours


@pytest.mark.parametrize("text", ["vix", "vix=", "=3", "vix=-1", "vix=abc", "vix=1.2.3"])
def test_a_wrong_exception_is_named(text):
    with pytest.raises(ValidationError, match="write name=hours pairs"):
        Quality(fresh_series=text)


def bars(hours: range, symbol: str, *, known: float = 1) -> pd.DataFrame:
    times = pd.DatetimeIndex([pd.Timestamp(T + hour * HOUR) for hour in hours]).as_unit("us")
    return pd.DataFrame({"symbol": symbol, "interval": "1h", "event_time": times,
                         "available_at": times + pd.Timedelta(hours=known), "open": 1.0, "high": 1.0, "low": 1.0,
                         "close": 1.0, "volume": 1.0, "source": "test"})


def store(warehouse: Warehouse, *parts: pd.DataFrame, through: int) -> None:
    """Write bars and mark them as loaded from T to this hour."""
    for part in parts:
        facts.write(warehouse, Kind.BARS, part)
    with warehouse.begin() as connection:
        loads.mark(connection, "bars", Window(T, T + through * HOUR), rows=1, at=AT)


def test_the_age_is_that_of_the_newest_event_and_a_revision_of_an_old_one_does_not_help(warehouse):
    revised = bars(range(0, 1), "BTCUSDT").assign(close=0.5, low=0.5, available_at=pd.Timestamp(T + 20 * HOUR))
    store(warehouse, bars(range(0, 10), "BTCUSDT"), revised, bars(range(0, 20), "ETHUSDT"), through=24)
    found = read(warehouse, Quality(), T + 24 * HOUR, [Kind.BARS])
    assert [(row.series, row.age_hours, row.deadline_hours, row.stale) for row in found] == [
        ("BTCUSDT 1h", 14, 6, True), ("ETHUSDT 1h", 4, 6, False)]
    assert stale(found) == found[:1]
    assert found[0].event_time == T + 9 * HOUR
    early = read(warehouse, Quality(), T + 5 * HOUR, [Kind.BARS])
    assert [(row.series, row.age_hours) for row in early] == [("BTCUSDT 1h", 0), ("ETHUSDT 1h", 0)]
    assert read(warehouse, Quality(), T + freshness.FORGOTTEN + 30 * HOUR, [Kind.BARS]) == []


def test_a_frame_and_the_warehouse_agree_on_what_is_newest(warehouse):
    frame = pd.concat([bars(range(0, 10), "BTCUSDT"), bars(range(9, 10), "BTCUSDT", known=5).assign(close=0.5, low=0.5),
                       bars(range(0, 3), "ETHUSDT")])
    store(warehouse, frame, through=24)
    stored = asof.newest(warehouse, Kind.BARS, as_of=AT, since=T, series=("symbol", "interval"))
    pd.testing.assert_frame_equal(newest_of(Kind.BARS, frame), stored, check_dtype=False)


def test_one_alarm_per_stale_stretch(warehouse):
    quality = Quality()

    def alarms(day: int) -> list[str]:
        return alarm(warehouse, quality, at=AT + timedelta(days=day))

    assert alarms(0) == []  # nothing was loaded
    store(warehouse, bars(range(0, 10), "BTCUSDT"), bars(range(0, 24), "ETHUSDT"), through=24)
    assert alarms(1) == ["bars of BTCUSDT 1h are stale: the newest came 14.0 h before the end of what was loaded, "
                         "6 h are allowed"]
    assert alarms(2) == []
    store(warehouse, bars(range(24, 48), "ETHUSDT"), through=48)
    assert alarms(3) == []  # silent still
    store(warehouse, bars(range(40, 66), "BTCUSDT"), bars(range(48, 66), "ETHUSDT"), through=72)
    assert alarms(4) == []  # both speak
    store(warehouse, bars(range(66, 94), "ETHUSDT"), through=96)
    assert [text[:18] for text in alarms(5)] == ["bars of BTCUSDT 1h"]
    with warehouse.begin() as connection:
        rows = events.list_rows(connection, kind=STALE)
    assert len(rows) == 2
    assert rows["detail"][1] == {"kind": "bars", "series": "BTCUSDT 1h", "newest": "2024-03-04T09:00:00+00:00",
                                 "available_at": "2024-03-04T10:00:00+00:00", "age_hours": 14.0, "deadline_hours": 6.0}


def test_an_ingestion_that_does_not_run_is_no_stale_feed(warehouse):
    """The clock is data time: what was loaded was fresh at its end, whatever the hour is now."""
    store(warehouse, bars(range(0, 23), "BTCUSDT"), through=24)
    assert alarm(warehouse, Quality(), at=AT) == []


def test_a_window_that_is_not_over_raises_no_alarm(warehouse):
    store(warehouse, bars(range(0, 23), "BTCUSDT"), through=24 * 365)
    assert alarm(warehouse, Quality(), at=T + 24 * HOUR) == []
    assert len(alarm(warehouse, Quality(), at=T + 48 * HOUR)) == 1
