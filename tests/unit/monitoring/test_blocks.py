"""Blocks of timestamps, and what hourly memory means for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring import blocks

START, DAY, HOUR = datetime(2024, 3, 1, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)


def hours(count: int, first: str = "2024-03-01") -> pd.DatetimeIndex:
    return pd.date_range(first, periods=count, freq="h", tz="UTC", unit="us")


def test_a_block_is_half_open() -> None:
    times = pd.DatetimeIndex(["2024-02-29T23:59Z", "2024-03-01T00:00Z", "2024-03-01T23:59Z", "2024-03-02T00:00Z"])
    assert blocks.number(times, START, DAY).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(("end", "whole"), [
    (START, []), (START + 0.99 * DAY, []), (START + DAY, [0]), (START + 2.5 * DAY, [0, 1])])
def test_a_block_counts_when_it_is_over(end: datetime, whole: list[int]) -> None:
    assert blocks.whole(hours(72), START, DAY, end, HOUR).tolist() == whole


def test_a_block_with_too_few_hours_is_left_out() -> None:
    times = hours(72)
    kept = times[(times < "2024-03-02") | (times >= "2024-03-02T13:00Z")]
    assert blocks.whole(kept, START, DAY, START + 3 * DAY, HOUR).tolist() == [0, 2]
    values = pd.Series(np.arange(len(kept), dtype=float), kept)
    chosen = np.array([0, 2])
    assert blocks.means(values, START, DAY, chosen).tolist() == [11.5, values.iloc[-24:].mean()]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("size", [1, 6, 24])
def test_the_implied_correlation_is_that_of_the_covariance_matrix(rho: float, size: int) -> None:
    covariance = rho ** np.abs(np.subtract.outer(range(2 * size), range(2 * size)))
    exact = covariance[:size, size:].mean() / covariance[:size, :size].mean()
    assert blocks.implied(rho, size) == pytest.approx(exact)


def test_the_correlation_of_a_series() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(24 * 23)
    slow = np.empty(24 * 23)
    state = 0.0
    for hour, shock in enumerate(noise):
        state = 0.97 * state + shock
        slow[hour] = state
    days = [series.reshape(-1, 24).mean(axis=1) for series in (noise, slow)]
    assert blocks.correlation(pd.Series(noise), days[0][:10], 24) < 0.02
    assert 0.4 < blocks.correlation(pd.Series(slow), days[1], 24) <= blocks.MOST_CORRELATED
    assert blocks.correlation(pd.Series(np.full(500, 0.7)), np.full(20, 0.7), 24) == 0
    assert blocks.correlation(pd.Series(dtype=float), np.empty(0), 24) == 0


def test_blocks_that_remember_are_seen_although_hours_are_not() -> None:
    """A level that changes from day to day under independent hours."""
    rng = np.random.default_rng(1)
    level = np.repeat(np.tile([1.0, 1.0, 1.0, -1.0, -1.0, -1.0], 5), 24)
    hourly = 0.5 * level + 3 * rng.standard_normal(len(level))
    daily = hourly.reshape(-1, 24).mean(axis=1)
    alone = blocks.correlation(pd.Series(hourly), daily[:blocks.ENOUGH_BLOCKS - 1], 24)
    assert alone < 0.05 < blocks.correlation(pd.Series(hourly), daily, 24)
