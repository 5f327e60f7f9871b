"""Times as files write them, against instants worked out by hand."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.ingest.files.manifest import TimeSpec
from pipelines.ingest.files.times import read_times


def spec(**words: object) -> TimeSpec:
    return TimeSpec(column="t", **words)


def iso(values: object, **words: str) -> list[str]:
    """What is read, as ISO texts; an unreadable value is ``NaT``."""
    times = read_times(values if isinstance(values, pd.Series) else pd.Series(values), spec(**words))
    assert str(times.dtype) == "datetime64[us, UTC]"
    return [str(time.isoformat()).replace("+00:00", "Z") for time in times]


@pytest.mark.parametrize(("value", "words", "expected"), [
    # numbers
    (1623283200, {"unit": "s"}, "2021-06-10T00:00:00Z"),
    (1623283200000, {"unit": "ms"}, "2021-06-10T00:00:00Z"),
    (1623283200000001, {"unit": "us"}, "2021-06-10T00:00:00.000001Z"),
    (1623283200000001999, {"unit": "ns"}, "2021-06-10T00:00:00.000001Z"),
    (1623283200.25, {"unit": "s"}, "2021-06-10T00:00:00.250000Z"),
    (-86400, {"unit": "s"}, "1969-12-31T00:00:00Z"),
    (1623283200, {"unit": "auto"}, "2021-06-10T00:00:00Z"),
    (1623283200000, {"unit": "auto"}, "2021-06-10T00:00:00Z"),
    (1623283200000000, {"unit": "auto"}, "2021-06-10T00:00:00Z"),
    (1623283200000000000, {"unit": "auto"}, "2021-06-10T00:00:00Z"),
    ("1623283200000", {"unit": "ms"}, "2021-06-10T00:00:00Z"),
    (" 1623283200 ", {"unit": "auto"}, "2021-06-10T00:00:00Z"),
    ("1.6232832e12", {"unit": "ms"}, "2021-06-10T00:00:00Z"),
    (float("nan"), {"unit": "s"}, "NaT"),
    (float("inf"), {"unit": "s"}, "NaT"),
    (1e300, {"unit": "s"}, "NaT"),
    ("12x", {"unit": "s"}, "NaT"),
    # ISO texts: an offset wins over the zone
    ("2021-06-10", {"unit": "iso"}, "2021-06-10T00:00:00Z"),
    ("2021-06-10 05:30", {"unit": "iso"}, "2021-06-10T05:30:00Z"),
    ("2021-06-10T05:30:00.123456Z", {"unit": "iso"}, "2021-06-10T05:30:00.123456Z"),
    ("2020-10-23 11:00:00+03:00", {"unit": "iso"}, "2020-10-23T08:00:00Z"),
    ("2020-10-25 10:00:00+0200", {"unit": "iso"}, "2020-10-25T08:00:00Z"),
    ("2020-10-25T10:00:00-05:00", {"unit": "iso", "zone": "Asia/Tokyo"}, "2020-10-25T15:00:00Z"),
    ("2021-06-10 09:00", {"unit": "iso", "zone": "Asia/Tokyo"}, "2021-06-10T00:00:00Z"),
    ("2021-01-10 09:00", {"zone": "America/New_York"}, "2021-01-10T14:00:00Z"),
    ("2021-07-10 09:00", {"zone": "America/New_York"}, "2021-07-10T13:00:00Z"),
    ("2021-11-07 01:30", {"zone": "America/New_York"}, "NaT"),  # the clock shows it twice
    ("2021-03-14 02:30", {"zone": "America/New_York"}, "NaT"),  # the clock skips it
    ("2021-11-07 01:30-04:00", {"zone": "America/New_York"}, "2021-11-07T05:30:00Z"),
    ("2024-13-45", {"unit": "iso"}, "NaT"),
    ("yesterday", {"unit": "auto"}, "NaT"),
    ("", {"unit": "auto"}, "NaT"),
    (None, {"unit": "iso"}, "NaT"),
    # patterns
    ("30-6-2022 23:10", {"format": "%d-%m-%Y %H:%M"}, "2022-06-30T23:10:00Z"),
    ("6/30/2022 7 PM", {"format": "%m/%d/%Y %I %p", "zone": "America/New_York"}, "2022-06-30T23:00:00Z"),
    ("2022-06-30 23:10 +0200", {"format": "%Y-%m-%d %H:%M %z"}, "2022-06-30T21:10:00Z"),
    (20220630, {"format": "%Y%m%d"}, "2022-06-30T00:00:00Z"),
    ("31-6-2022 23:10", {"format": "%d-%m-%Y %H:%M"}, "NaT"),
    # days
    ("2021-06-10T17:45:00", {"unit": "date"}, "2021-06-10T00:00:00Z"),
    ("2021-06-10", {"unit": "date", "zone": "America/New_York"}, "2021-06-10T04:00:00Z"),
    (dt.date(2021, 6, 10), {"unit": "date"}, "2021-06-10T00:00:00Z"),
    (pd.Timestamp("2021-06-10 08:00"), {"unit": "iso", "zone": "Asia/Jerusalem"}, "2021-06-10T05:00:00Z"),
    (pd.Timestamp("2021-06-10 08:00", tz="Asia/Jerusalem"), {"zone": "Asia/Tokyo"}, "2021-06-10T05:00:00Z"),
])
def test_one_value(value, words, expected):
    assert iso([value], **words) == [expected]


def test_seconds_and_milliseconds_in_one_column():
    mixed = [1623283200, 1623279600000, 1623276000, None]
    assert iso(pd.Series(mixed, dtype="Int64")) == [
        "2021-06-10T00:00:00Z", "2021-06-09T23:00:00Z", "2021-06-09T22:00:00Z", "NaT"]
    assert iso(["1623283200", "1623279600000", "2021-06-09T22:00Z", "soon"]) == [
        "2021-06-10T00:00:00Z", "2021-06-09T23:00:00Z", "2021-06-09T22:00:00Z", "NaT"]


def test_offsets_and_local_clock_in_one_column():
    assert iso(["2020-10-25 00:30:00+03:00", "2020-10-25 01:30:00+02:00", "2020-10-25 12:00:00", "2020-10-25T09:00Z"],
               unit="iso", zone="Asia/Jerusalem") == [
        "2020-10-24T21:30:00Z", "2020-10-24T23:30:00Z", "2020-10-25T10:00:00Z", "2020-10-25T09:00:00Z"]


def test_index_is_kept():
    times = read_times(pd.Series(["2021-01-01", "x"], index=[7, 3]), spec(unit="iso"))
    assert list(times.index) == [7, 3]


INSTANTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC))


@given(st.lists(INSTANTS, min_size=1, max_size=20), st.sampled_from(["s", "ms", "us"]), st.sampled_from([int, str]))
def test_numbers_of_any_unit_come_back(instants, unit, form):
    per_second = {"s": 1, "ms": 1000, "us": 1_000_000}[unit]
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    numbers = [(at - epoch) // dt.timedelta(microseconds=1) * per_second // 1_000_000 for at in instants]
    wanted = [(epoch + dt.timedelta(microseconds=number * 1_000_000 // per_second)) for number in numbers]
    assert list(read_times(pd.Series([form(number) for number in numbers]), spec(unit=unit))) == wanted


@given(st.lists(st.tuples(INSTANTS, st.integers(-12, 14)), min_size=1, max_size=20))
def test_texts_with_any_offset_come_back(pairs):
    texts = [at.astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat() for at, hours in pairs]
    assert list(read_times(pd.Series(texts), spec(unit="iso", zone="Asia/Tokyo"))) == [at for at, _ in pairs]


SHUFFLED = {"unit": "shuffled", "start": dt.datetime(2020, 4, 4, tzinfo=dt.UTC), "over": "104d"}


def test_a_set_without_times_gets_one_for_each_value_by_its_digest():
    """SHA-256 of "abc" begins with ba7816bf8f01: its share of 2**48 of 104 days."""
    share = int("ba7816bf8f01", 16) / 2**48
    expected = pd.Timestamp("2020-04-04", tz="UTC") + pd.Timedelta(microseconds=round(share * 104 * 86_400 * 10**6))
    times = read_times(pd.Series(["abc", None, 7, "abc"]), spec(**SHUFFLED))
    assert times[0] == times[3] == expected
    assert times.isna().tolist() == [False, True, False, False]


def test_shuffled_times_fill_the_span_evenly_and_stay_when_the_set_grows():
    many = pd.Series([f"text {number}" for number in range(2_000)])
    times = read_times(many, spec(**SHUFFLED))
    assert times[:500].equals(read_times(many[:500], spec(**SHUFFLED)))
    share = (times - pd.Timestamp("2020-04-04", tz="UTC")) / pd.Timedelta(days=104)
    assert share.between(0, 1, inclusive="left").all()
    assert stats.kstest(share, "uniform").pvalue > 0.01
