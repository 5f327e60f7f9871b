"""Rows come from partitions when these are whole, and are built otherwise."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from pipelines import features
from pipelines.contracts.window import Window
from pipelines.serving.rows import rows
from tests.unit.registry.world import DAY, START, World, feature_columns


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """The windows that had to be built."""
    asked: list[Window] = []

    def build(_: object, line: object, *, window: Window, as_of: datetime) -> pd.DataFrame:
        assert as_of < window.end
        asked.append(window)
        return pd.DataFrame({"built": [1.0]})

    monkeypatch.setattr(features, "build", build)
    return asked


def test_partitions_are_joined_in_order_of_time(world: World, built: list[Window]) -> None:
    days = [world.partition(START + number * DAY, seed=number) for number in (2, 0, 1)]
    found = rows(world.warehouse, world.line, Window(START, START + 3 * DAY))
    assert built == []
    assert len(found) == sum(map(len, days))
    assert list(found.columns) == ["symbol", "event_time", "available_at", *feature_columns(world.line)]
    pd.testing.assert_frame_equal(found, found.sort_values(["event_time", "symbol"], ignore_index=True))
    one = rows(world.warehouse, world.line, Window(START + DAY, START + 2 * DAY))
    pd.testing.assert_frame_equal(one, days[2][found.columns], check_dtype=False)


@pytest.mark.parametrize(("first", "last"), [(0, 4), (-1, 2), (0, 3)])
def test_a_gap_means_building_it_all(world: World, built: list[Window], first: int, last: int) -> None:
    """Days 0, 1 and 3 are there."""
    for number in (0, 1, 3):
        world.partition(START + number * DAY)
    window = Window(START + first * DAY, START + last * DAY)
    assert list(rows(world.warehouse, world.line, window).columns) == ["built"]
    assert built == [window]


def test_partitions_of_another_feature_list_are_not_used(world: World, built: list[Window]) -> None:
    world.partition(START)
    world.line = world.line.model_copy(update={"features": world.line.features.model_copy(
        update={"groups": ("returns", "trend", "time")})})
    rows(world.warehouse, world.line, Window(START, START + DAY))
    assert len(built) == 1


def test_an_empty_partition_is_a_partition(world: World, built: list[Window]) -> None:
    columns = ["symbol", "event_time", "available_at", *feature_columns(world.line)]
    whole = world.partition(START)[columns]
    world.put(whole.iloc[:0], "partition", START + DAY, START + 2 * DAY)
    assert len(rows(world.warehouse, world.line, Window(START, START + 2 * DAY))) == len(whole)
    assert rows(world.warehouse, world.line, Window(START + DAY, START + 2 * DAY)).empty
    assert built == []
