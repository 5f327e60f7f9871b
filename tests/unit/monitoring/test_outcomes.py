"""Outcomes of predicted rows, by a market small enough to be written down."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.monitoring.outcomes import mature, runs
from pipelines.store import Warehouse, derived, facts, tables, upsert
from tests.unit.registry.world import DAY, START, World

HOUR = timedelta(hours=1)
CLOSES = [100.0, 101.0, 100.5, 100.5, 102.0, 101.0]
#: Row (hour) → y of the next hour's direction; the last row has no next hour.
EXPECTED = {0: 1, 1: 0, 2: 0, 3: 1, 4: 0}


def bars(warehouse: Warehouse, closes: list[float | None], first: datetime = START, late: timedelta = timedelta(0),
         open_: float = 100.0) -> None:
    frame = pd.DataFrame([{
        "symbol": "BTC", "interval": "1h", "event_time": first + number * HOUR,
        "available_at": first + (number + 1) * HOUR + late, "open": open_, "high": 200.0, "low": 50.0, "close": close,
        "volume": 1.0, "source": "test"} for number, close in enumerate(closes) if close is not None])
    for column in ("event_time", "available_at"):
        frame[column] = frame[column].astype("datetime64[us, UTC]")
    facts.write(warehouse, Kind.BARS, frame)


def predicted(world: World, hours: range, version: int = 1, first: datetime = START) -> None:
    rows = pd.DataFrame([{
        "line": world.line.name, "version": version, "symbol": "BTC", "event_time": first + hour * HOUR,
        "role": "champion", "available_at": first + (hour + 1) * HOUR, "label_end": first + (hour + 2) * HOUR,
        "probability": 0.5, "feature_digest": "d"} for hour in hours])
    for column in ("event_time", "available_at", "label_end"):
        rows[column] = rows[column].astype("datetime64[us, UTC]")
    with world.warehouse.begin() as connection:
        upsert.upsert(connection, tables.predictions, rows)


def outcomes(world: World) -> dict[int, int]:
    found = derived.read(world.warehouse, tables.outcomes)
    return {int((at - START) / HOUR): int(y) for at, y in zip(found["event_time"], found["y"], strict=True)}


def test_outcomes_mature_when_the_next_bar_is_known(world: World) -> None:
    world.candidate(1)
    bars(world.warehouse, CLOSES)
    predicted(world, range(6))
    assert mature(world.warehouse, world.line, START + 2 * HOUR - timedelta(microseconds=1)) == 0
    assert mature(world.warehouse, world.line, START + 2 * HOUR) == 1
    assert mature(world.warehouse, world.line, START + 2 * HOUR) == 0
    assert mature(world.warehouse, world.line, START + DAY) == 4
    assert outcomes(world) == EXPECTED
    found = derived.read(world.warehouse, tables.outcomes)
    assert (found["label_end"] == found["event_time"] + 2 * HOUR).all()
    assert (found["matured_at"] == found["label_end"]).all()
    assert found["forward_return"][0] == pytest.approx(101.0 / 100.0 - 1)


def test_only_predicted_rows_have_outcomes_and_each_has_one(world: World) -> None:
    for version in (1, 2):
        world.candidate(version)
        predicted(world, range(1, 3), version)
    bars(world.warehouse, CLOSES)
    assert mature(world.warehouse, world.line, START + DAY) == 2
    assert outcomes(world) == {1: 0, 2: 0}


def test_nothing_predicted_nothing_to_do(world: World) -> None:
    bars(world.warehouse, CLOSES)
    assert mature(world.warehouse, world.line, START + DAY) == 0


def test_order_of_calls_and_later_corrections_do_not_matter(world: World) -> None:
    world.candidate(1)
    bars(world.warehouse, CLOSES)
    predicted(world, range(6))
    bars(world.warehouse, [50.0], first=START + HOUR, late=5 * HOUR)  # bar 1 is corrected long after its outcome
    mature(world.warehouse, world.line, START + DAY)
    assert outcomes(world) == EXPECTED
    for as_of in (START + 3 * HOUR, START + 2 * DAY, START + 2 * HOUR):
        assert mature(world.warehouse, world.line, as_of) == 0


def test_a_missing_bar_leaves_its_rows_open_until_it_comes(world: World) -> None:
    world.candidate(1)
    bars(world.warehouse, [*CLOSES[:2], None, *CLOSES[3:]])
    predicted(world, range(6))
    assert mature(world.warehouse, world.line, START + DAY) == 3
    assert outcomes(world) == {0: 1, 3: 1, 4: 0}
    bars(world.warehouse, [CLOSES[2]], first=START + 2 * HOUR, late=DAY)
    assert mature(world.warehouse, world.line, START + 3 * DAY) == 2
    assert outcomes(world) == EXPECTED
    late = derived.read(world.warehouse, tables.outcomes)
    assert late["label_end"].max() == pd.Timestamp(START + 3 * HOUR + DAY)


@pytest.mark.parametrize(("days", "expected"), [
    ([], []), ([0], [(0, 1)]), ([0, 1, 2], [(0, 3)]), ([0, 3], [(0, 4)]), ([0, 4], [(0, 1), (4, 5)]),
    ([0, 2, 40, 41], [(0, 3), (40, 42)])])
def test_days_near_each_other_are_labelled_in_one_go(days: list[int], expected: list[tuple[int, int]]) -> None:
    assert runs([START + day * DAY for day in days]) == [
        Window(START + first * DAY, START + last * DAY) for first, last in expected]
