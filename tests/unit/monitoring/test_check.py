"""A champion watched day by day: quiet, then the world turns."""

from __future__ import annotations

import math
from datetime import datetime

import pandas as pd
import pytest

from pipelines.contracts.line import Drift
from pipelines.contracts.records import DriftReport, Outcome
from pipelines.contracts.window import Window
from pipelines.errors import TrackingUnavailable
from pipelines.monitoring import check as room
from pipelines.monitoring import learnt
from pipelines.registry import promotion
from pipelines.serving.batch import predict
from pipelines.store import derived, tables, upsert
from tests.unit.registry.world import AT, DAY, START, World, said

AS_OF = START + 23 * DAY


@pytest.fixture
def watched(world: World) -> World:
    """A champion trained on a market with an edge."""
    promotion.apply(world.warehouse, world.settings, world.line, world.train(AS_OF), said(Outcome.PROMOTE),
                    actor="gate", at=AT)
    return world


def live(world: World, number: int, **truth: float) -> None:
    """One day: rows, predictions, and the outcomes that the simulated market gave."""
    day = AS_OF + number * DAY
    rows = world.partition(day, **truth)
    predict(world.warehouse, world.settings, world.line, Window(day, day + DAY))
    found = rows.assign(line=world.line.name, matured_at=rows["label_end"])
    with world.warehouse.begin() as connection:
        upsert.upsert(connection, tables.outcomes, found[
            ["line", "symbol", "event_time", "y", "forward_return", "label_end", "matured_at"]], update=False)


def look(world: World, number: int) -> DriftReport:
    """The check at the end of day ``number``."""
    return room.check(world.warehouse, world.settings, world.line, AS_OF + (number + 1) * DAY)


def stored(world: World) -> pd.DataFrame:
    return derived.read(world.warehouse, tables.drift_reports, order=["as_of"])


def test_without_a_champion_the_report_says_nothing(world: World) -> None:
    report = look(world, 0)
    assert (report.alarm, report.champion_version, report.columns, report.rows) == (False, None, (), 0)
    row = stored(world).iloc[0]
    assert (row["line"], row["share"], row["columns"], row["evidently"]) == ("direction_1h", 0.0, [], None)


def test_quiet_days_raise_no_alarm(watched: World) -> None:
    for number in range(6):
        live(watched, number)
        report = look(watched, number)
        assert not report.alarm, report
    assert report.rows == 3 * 72
    assert {column.column for column in report.columns} == {
        "return_1h", "return_4h", "return_12h", "return_24h", "volume_ratio_24h"}
    assert report.metrics["matured"] > 200
    assert report.metrics["auc"] > 0.6
    assert report.metrics["loss_p"] > 0.01
    assert watched.registry is not None
    assert watched.registry.pages == {}
    row = stored(watched).iloc[-1]
    assert row["evidently"] is None  # nobody asked, and nothing is the matter
    assert row["reference_digest"] == report.reference_digest


def test_data_drift_needs_several_checks_in_a_row(watched: World) -> None:
    live(watched, 0)
    assert not look(watched, 0).data_drift
    live(watched, 1, shift=4.0)
    live(watched, 2, shift=4.0)
    first = look(watched, 2)
    assert first.share == 1.0
    assert not first.data_drift
    live(watched, 3, shift=4.0)
    second = look(watched, 3)
    assert second.data_drift
    assert list(stored(watched)["data_drift"]) == [False, False, True]
    # Looking again, at either day, finds the same.
    before = stored(watched).drop(columns=["id", "recorded_at"])
    look(watched, 2)
    look(watched, 3)
    pd.testing.assert_frame_equal(stored(watched).drop(columns=["id", "recorded_at"]), before)


def test_an_alarm_puts_a_page_on_the_champions_run(watched: World) -> None:
    assert watched.registry is not None
    for number in range(3):
        live(watched, number, shift=4.0)
        look(watched, number)
    pages = dict(watched.registry.pages)
    live(watched, 3, shift=4.0)
    watched.registry.down = True
    with pytest.raises(TrackingUnavailable):
        look(watched, 3)
    assert list(stored(watched)["data_drift"]) == [False, False, False, True]  # the report is there all the same
    watched.registry.down = False
    look(watched, 3)
    (new,) = watched.registry.pages.keys() - pages.keys()
    assert new == ("run1", "drift/2024-01-28T0000.html")
    assert "<html" in watched.registry.pages[new][:500]
    live(watched, 4, shift=4.0)
    assert look(watched, 4).alarm
    assert set(watched.registry.pages) == {*pages, new}  # the alarm lasts; its page is there


def test_a_turned_market_shows_in_the_losses(watched: World) -> None:
    """The features look as ever; what followed from them does not."""
    for number in range(4):
        live(watched, number, edge=-1.0)
    report = look(watched, 3)
    assert report.performance_drift
    assert not report.data_drift
    assert report.metrics["loss_current"] > report.metrics["loss_reference"]
    assert report.metrics["auc"] < 0.4


def test_predictions_can_move_before_any_outcome_is_known(watched: World) -> None:
    for number in range(4):
        day = AS_OF + number * DAY
        watched.partition(day, shift=1.0)
        predict(watched.warehouse, watched.settings, watched.line, Window(day, day + DAY))
    report = look(watched, 3)
    assert report.prediction_drift
    assert not report.performance_drift
    assert math.isnan(report.metrics["loss_p"])
    assert report.metrics["prediction_level"] > report.metrics["prediction_level_reference"]


def test_before_a_day_is_over_nothing_is_said(watched: World) -> None:
    live(watched, 0, edge=-1.0, shift=4.0)
    report = room.check(watched.warehouse, watched.settings, watched.line, AS_OF + 0.9 * DAY)
    assert not (report.performance_drift or report.prediction_drift or report.metrics["label_drift"])
    assert math.isnan(report.metrics["loss_p"])
    assert report.metrics["prediction_blocks"] == 0
    assert report.metrics["prediction_evidence"] == -math.inf
    assert look(watched, 0).metrics["prediction_blocks"] == 1


def test_what_comes_at_the_hour_of_the_check_belongs_to_the_next(watched: World) -> None:
    live(watched, 0)
    known = look(watched, 0).metrics["matured"]
    assert known == 23 * 3  # the outcome of the last hour comes at midnight
    live(watched, 1)
    assert look(watched, 0).metrics["matured"] == known


def test_a_new_champion_starts_afresh(watched: World) -> None:
    for number in range(4):
        live(watched, number, shift=4.0)
        look(watched, number)
    assert list(stored(watched)["data_drift"])[-1]
    newer = watched.train(AS_OF + 4 * DAY, seed=5)
    promotion.apply(watched.warehouse, watched.settings, watched.line, newer, said(Outcome.PROMOTE, 1), actor="gate",
                    at=AT)
    assert look(watched, 3).champion_version == 1  # it takes effect with the day that follows
    live(watched, 4, shift=4.0)
    report = look(watched, 4)
    assert report.champion_version == 2
    assert report.share >= watched.line.drift.share
    assert not report.data_drift


def test_a_short_reference_is_no_error(watched: World) -> None:
    watched.line = watched.line.model_copy(update={"drift": Drift(window_days=12)})
    live(watched, 0)
    for number in range(1, 12):
        watched.partition(AS_OF - number * DAY)
    report = look(watched, 0)
    assert report.columns == ()
    assert report.metrics["reference_too_short"] == 1.0
    assert not report.alarm


def test_calendar_columns_are_not_watched() -> None:
    assert set(learnt.calendar()) >= {"hour_sin", "weekday_cos", "session_tokyo"}


def test_earlier_checks_count_only_while_unbroken(watched: World) -> None:
    report = DriftReport(watched.line.name, AS_OF + 9 * DAY, (), 1.0, True, False, False, {}, 1, None, 10)
    over = {1: True, 2: False, 3: True, 4: True}
    for number, high in over.items():
        at: datetime = AS_OF + number * DAY
        row = DriftReport(watched.line.name, at, (), 1.0, False, number == 4, False, {"over_share": float(high)}, 1,
                          None, 10)
        room._store(watched.warehouse, row, None)
    with watched.warehouse.begin() as connection:
        assert room._earlier(connection, report) == (2, {"prediction_drift"})
        early = DriftReport(watched.line.name, AS_OF + 2 * DAY, (), 1.0, True, False, False, {}, 1, None, 10)
        assert room._earlier(connection, early) == (1, set())
        other = DriftReport(watched.line.name, AS_OF + 9 * DAY, (), 1.0, True, False, False, {}, None, None, 10)
        assert room._earlier(connection, other) == (0, set())
