"""Windows by literal dates."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring.windows import day_numbers, slide, trailing


def test_the_trailing_window_ends_at_the_check() -> None:
    window = trailing(datetime(2024, 3, 1, tzinfo=UTC), 2)
    assert (window.start, window.end) == (datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(("first", "expected"), [
    ("2024-03-01T00:00", [0, 0, 1, 2]),
    ("2024-03-01T22:00", [0, 0, 1, 2]),  # days are counted from the first row, not from midnight
])
def test_days_are_counted_from_the_first_row(first: str, expected: list[int]) -> None:
    start = pd.Timestamp(first, tz="UTC")
    times = pd.Series([start + pd.Timedelta(hours=hours) for hours in (0, 23, 24, 50)]).astype("datetime64[us, UTC]")
    assert day_numbers(times).tolist() == expected


def test_no_rows_no_days() -> None:
    assert day_numbers(pd.Series([], dtype="datetime64[us, UTC]")).tolist() == []


@pytest.mark.parametrize(("length", "expected"), [(1, [1, 2, 3, 4]), (2, [3, 5, 7]), (4, [10]), (5, [])])
def test_slide_adds_up_each_run_of_days(length: int, expected: list[int]) -> None:
    assert slide(np.array([1.0, 2.0, 3.0, 4.0]), length).tolist() == expected


def test_slide_keeps_the_other_axes() -> None:
    assert slide(np.array([[1, 10], [2, 20], [3, 30]]), 2).tolist() == [[3, 30], [5, 50]]
