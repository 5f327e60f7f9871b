"""Windows: half-open, UTC, cut without a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.window import Window
from pipelines.errors import ContractError

MAY = datetime(2024, 5, 1, tzinfo=UTC)
instants = st.datetimes(datetime(2019, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))


def test_a_window_is_in_utc_and_not_empty() -> None:
    plus_two = timezone(timedelta(hours=2))
    window = Window(datetime(2024, 5, 1, 2, tzinfo=plus_two), datetime(2024, 5, 2, 2, tzinfo=plus_two))
    assert window == Window(MAY, MAY + timedelta(days=1))
    assert window.start.tzinfo is UTC
    for start, end, words in ((MAY, MAY, "is empty"), (MAY, MAY - timedelta(1), "is empty"),
                              (datetime(2024, 5, 1), MAY, "start .* has no time zone"),
                              (MAY, datetime(2024, 5, 1), "end .* has no time zone")):
        with pytest.raises(ContractError, match=words):
            Window(start, end)


@pytest.mark.parametrize(("key", "start"), [
    ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
    ("2024-05-01T00:00:00+00:00", MAY),
])
def test_a_day_is_read_from_its_key(key: str, start: datetime) -> None:
    assert Window.day(key) == Window(start, start + timedelta(days=1))
    assert Window.day(key).key == key[:10]


def test_other_keys() -> None:
    assert Window(MAY, MAY + timedelta(hours=1)).key == "2024-05-01T00:00:00+00:00/2024-05-01T01:00:00+00:00"
    for wrong in ("yesterday", "2024-13-01", ""):
        with pytest.raises(ContractError, match="expected YYYY-MM-DD"):
            Window.day(wrong)


def test_months_of_a_leap_year() -> None:
    window = Window(datetime(2024, 1, 31, 23, tzinfo=UTC), datetime(2024, 3, 1, 1, tzinfo=UTC))
    assert [(part.start.isoformat(), part.end.isoformat()) for part in window.months()] == [
        ("2024-01-31T23:00:00+00:00", "2024-02-01T00:00:00+00:00"),
        ("2024-02-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T00:00:00+00:00", "2024-03-01T01:00:00+00:00")]


@given(instants, st.timedeltas(timedelta(microseconds=1), timedelta(days=100)))
def test_cuts_cover_the_window_without_gap_or_overlap(start: datetime, length: timedelta) -> None:
    window = Window(start, start + length)
    for parts, same in ((list(window.days()), lambda at: at.date()),
                        (list(window.months()), lambda at: (at.year, at.month))):
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(one.end == other.start for one, other in pairwise(parts))
        assert all(same(part.start) == same(part.end - timedelta(microseconds=1)) for part in parts)
        assert len({same(part.start) for part in parts}) == len(parts)
