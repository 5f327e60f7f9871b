"""The table of gaps follows what is found: added once, shrunk, cut, closed, opened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.contracts.records import Gap
from pipelines.errors import StoreError
from pipelines.store import Warehouse, gaps

T = datetime(2024, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = datetime(2024, 4, 1, tzinfo=UTC)
BTC, ETH = "BTCUSDT 1h", "ETHUSDT 1h"


def gap(start: int, end: int, series: str = BTC, open_ended: bool = False) -> Gap:
    return Gap("bars", series, T + start * HOUR, T + end * HOUR, end - start, open_ended)


def settle(warehouse: Warehouse, found: list[Gap], *, since: int = -100, day: int = 0) -> tuple[int, int]:
    with warehouse.begin() as connection:
        return gaps.settle(connection, "bars", found, {BTC: T + since * HOUR, ETH: T + since * HOUR},
                           at=AT + timedelta(days=day))


def rows(warehouse: Warehouse, **filters: object) -> list[tuple[str, int, int, int, bool, int, int | None]]:
    """(series, start, end, missing, open-ended, day found, day closed), by series and start."""
    frame = gaps.list_rows(warehouse, **filters)
    return sorted((row.series, int((row.start - T) / HOUR), int((row.end - T) / HOUR), row.missing, row.open_ended,
                   (row.found_at - AT).days, None if row.closed_at != row.closed_at else (row.closed_at - AT).days)
                  for row in frame.itertuples())


def test_twice_is_once(warehouse):
    found = [gap(5, 8), gap(20, 23, open_ended=True), gap(5, 6, ETH)]
    assert settle(warehouse, found) == (3, 0)
    stored = rows(warehouse)
    assert stored == [(BTC, 5, 8, 3, False, 0, None), (BTC, 20, 23, 3, True, 0, None), (ETH, 5, 6, 1, False, 0, None)]
    assert settle(warehouse, found, day=1) == (0, 0)
    assert rows(warehouse) == stored


@pytest.mark.parametrize(("later", "expected"), [
    ([], [(5, 9, 0, 1)]),
    ([gap(5, 7)], [(5, 7, 0, None)]),  # the end came
    ([gap(6, 9)], [(5, 9, 0, 1), (6, 9, 0, None)]),  # the beginning came
    ([gap(5, 6), gap(8, 9)], [(5, 6, 0, None), (8, 9, 0, None)]),  # the middle came
    ([gap(5, 12)], [(5, 12, 0, None)]),  # it was open-ended and has grown
    ([gap(5, 9), gap(30, 31)], [(5, 9, 0, None), (30, 31, 1, None)]),
])
def test_a_gap_that_changes_keeps_the_time_it_was_found_at(warehouse, later, expected):
    settle(warehouse, [gap(5, 9)])
    settle(warehouse, later, day=1)
    assert [(start, end, found, closed) for _, start, end, _, _, found, closed in rows(warehouse)] == expected
    assert len(rows(warehouse, waiting=True)) == len(later)


def test_a_closed_gap_can_open_again(warehouse):
    settle(warehouse, [gap(5, 9)])
    settle(warehouse, [], day=1)
    settle(warehouse, [gap(5, 9)], day=2)
    assert rows(warehouse) == [(BTC, 5, 9, 4, False, 0, None)]


def test_what_was_not_looked_at_is_left_alone(warehouse):
    settle(warehouse, [gap(-50, -48), gap(5, 9)])
    assert settle(warehouse, [], since=0, day=1) == (0, 1)
    assert rows(warehouse, waiting=True) == [(BTC, -50, -48, 2, False, 0, None)]
    with warehouse.begin() as connection:
        assert gaps.settle(connection, "bars", [], {}, at=AT) == (0, 0)


def test_filters(warehouse):
    settle(warehouse, [gap(5, 8), gap(5, 6, ETH), gap(50, 51)])
    assert [row[0] for row in rows(warehouse, series=[ETH])] == [ETH]
    assert [row[1] for row in rows(warehouse, start=T + 50 * HOUR)] == [50]
    assert [row[1] for row in rows(warehouse, end=T + 50 * HOUR, series=[BTC])] == [5]
    assert len(rows(warehouse, kind="bars", limit=2)) == 2
    assert rows(warehouse, kind="trades") == []


def test_many_at_once_agree(warehouse):
    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(lambda day: settle(warehouse, [gap(5, 8), gap(5, 6, ETH)], day=day), range(6)))
    assert sorted(counts) == [(0, 0)] * 5 + [(2, 0)]


@pytest.mark.parametrize("wrong", [Gap("bars", BTC, T, T, 1), Gap("bars", BTC, T, T + HOUR, 0)])
def test_the_table_refuses_nonsense(warehouse, wrong):
    with pytest.raises(StoreError, match="gaps_"):
        settle(warehouse, [wrong])
