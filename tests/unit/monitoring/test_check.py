"""A champion watched day by day: quiet, then the world turns."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import update

from pipelines.contracts.line import Drift
from pipelines.contracts.records import DriftReport, Outcome
from pipelines.contracts.window import Window
from pipelines.errors import TrackingUnavailable
from pipelines.monitoring import check as room
from pipelines.monitoring import learnt, lived, show, words
from pipelines.registry import models, promotion
from pipelines.serving.batch import predict
from pipelines.store import blobs, derived, ledger, tables, upsert
from tests.unit.registry.world import AT, DAY, START, World, said

AS_OF = START + 23 * DAY


@pytest.fixture
def watched(world: World) -> World:
    """A champion trained on a market with an edge."""
    promotion.apply(world.warehouse, world.settings, world.line, world.train(AS_OF), said(Outcome.PROMOTE),
                    actor="gate", at=AT)
    return world


MAKE = show.make


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages cost seconds: only the one that is looked at is drawn."""
    made = show.Shown({"metrics": []}, "<html>", {})
    monkeypatch.setattr(show, "make", lambda *_: made)


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
    assert "classifier_windows" not in row["metrics"]
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


def test_an_alarm_puts_a_page_on_the_champions_run(watched: World, monkeypatch: pytest.MonkeyPatch) -> None:
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
    watched.registry.files.clear()
    monkeypatch.setattr(show, "make", MAKE)
    report = look(watched, 3)
    assert report.metrics["classifier_auc"] > report.metrics["classifier_limit"] >= report.metrics["classifier_highest"]
    assert tuple(stored(watched).iloc[-1]["metrics"]["telling"]) == report.telling != ()
    (new,) = watched.registry.pages.keys() - pages.keys()
    assert new == ("run1", "drift/2024-01-28T0000.html")
    page = watched.registry.pages[new]
    assert "<html" in page[:500]
    assert len(page.encode()) <= show.MOST_BYTES
    assert words.classifier(report) in page
    assert page.index("DATA DRIFT") < page.index("The same columns in Evidently's report")
    names = {name.rsplit("/")[-1] for run, name in watched.registry.files if name.startswith("drift/2024-01-28T0000/")}
    assert {"columns.png", "losses.png", "probabilities.png"} < names
    assert sum(name.startswith("column_") for name in names) == 5
    assert all(content.startswith(b"\x89PNG") for content in watched.registry.files.values())
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
    assert not report.alarm
    assert report.metrics["label_drift"] == 0
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
    over = {1: True, 2: False, 3: True, 4: True}
    for number, high in over.items():
        at: datetime = AS_OF + number * DAY
        row = DriftReport(watched.line.name, at, (), 1.0, False, number == 4, False, {}, 1, None, 10, over=high)
        room._store(watched.warehouse, row, None)
    with watched.warehouse.begin() as connection:
        champion = ledger.candidate(connection, watched.line.name, 1)
        seen = {number: room._earlier(connection, watched.line, champion, AS_OF + number * DAY) for number in (2, 3, 9)}
        assert {number: (found.streak, set(found.ringing)) for number, found in seen.items()} == {
            2: (1, set()), 3: (0, set()), 9: (2, {"prediction_drift"})}
        other = room._earlier(connection, watched.line, replace(champion, version=2), AS_OF + 9 * DAY)
        assert (other.streak, other.ringing, other.began) == (0, frozenset(), {})


def test_what_is_learnt_is_kept_until_its_rules_change(watched: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        live(watched, number)
    first = look(watched, 2)
    assert first.impact == 0.0
    learn = learnt.learn

    def never(*_: object) -> learnt.Learnt:
        raise AssertionError("it was learnt already")

    monkeypatch.setattr(learnt, "learn", never)
    assert look(watched, 2) == first
    with watched.warehouse.begin() as connection:
        champion = ledger.candidate(connection, watched.line.name, 1)
    content = blobs.get(watched.warehouse, learnt.KIND, learnt.key_of(watched.line, champion))
    assert content is not None
    assert learnt.Learnt.from_bytes(content).to_bytes() == content
    blobs.put(watched.warehouse, learnt.KIND, learnt.key_of(watched.line, champion), b"written by another version")
    monkeypatch.setattr(learnt, "learn", learn)
    assert look(watched, 2) == first
    monkeypatch.setattr(learnt, "learn", never)
    watched.line = watched.line.model_copy(update={"drift": Drift(window_days=3, share=0.5)})
    with pytest.raises(AssertionError, match="learnt already"):
        look(watched, 2)


def test_a_model_that_cannot_be_asked_today_is_asked_tomorrow(watched: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise TrackingUnavailable("MLflow does not answer")

    for number in range(3):
        live(watched, number)
    with monkeypatch.context() as patch:
        patch.setattr(models, "load", down)
        blind = look(watched, 2)
    assert blind.impact is None
    seeing = look(watched, 2)
    assert seeing.impact == 0.0
    assert [column.drifted for column in seeing.columns] == [column.drifted for column in blind.columns]


def test_what_was_lived_is_what_the_rows_say(watched: World) -> None:
    """The database's sums against pandas on the raw rows."""
    live(watched, 0)
    live(watched, 1)
    as_of = AS_OF + 1.5 * DAY
    edges = np.array([0.4, 0.5, 0.6])
    with watched.warehouse.begin() as connection:
        found = lived.read(connection, watched.line, 1, AS_OF, edges, as_of)
    said = derived.read(watched.warehouse, tables.predictions)
    came = derived.read(watched.warehouse, tables.outcomes)
    said = said[said["available_at"] < as_of]
    rows = said.merge(came[came["label_end"] < as_of][["symbol", "event_time", "y"]], how="left")
    p, y = rows["probability"], rows["y"]
    rows = rows.assign(level=p, confidence=(p - 0.5).abs(), loss=-np.log(np.where(y == 1, p, 1 - p)), rate=y)
    rows.loc[y.isna(), "loss"] = np.nan
    expected = rows.groupby("event_time")[["level", "confidence", "loss", "rate"]].mean().reset_index()
    pd.testing.assert_frame_equal(found.hours, expected, check_index_type=False)
    assert found.hours["loss"].isna().sum() == 1  # of the last hour nothing is known yet
    block = ((rows["event_time"] + pd.Timedelta("1h") - pd.Timestamp(AS_OF)) // pd.Timedelta("1D")).astype("int64")
    counted = pd.DataFrame({"block": block, "bin": np.searchsorted(edges, p, side="right")}).value_counts(sort=False)
    assert {(row.block, row.bin): row.rows for row in found.bins.itertuples()} == counted.to_dict()
    assert found.recent["y"].notna().sum() == 35 * 3


def test_outcomes_at_another_rate_are_told_and_ask_for_nothing(watched: World) -> None:
    for number in range(5):
        live(watched, number)
    with watched.warehouse.begin() as connection:
        connection.execute(update(tables.outcomes).values(y=1).where(tables.outcomes.c.event_time >= AS_OF + DAY))
    report = look(watched, 4)
    assert report.metrics["label_drift"] == 1.0
    assert report.metrics["label_rate"] > 0.95
    assert report.metrics["label_rate_reference"] == pytest.approx(0.5, abs=0.05)


def test_the_estimate_stands_beside_what_came(watched: World) -> None:
    for number in range(3):
        live(watched, number)
    found = look(watched, 2).metrics
    assert found["estimate_off_log_loss"] == pytest.approx(
        found["log_loss"] - (found["estimated_log_loss"]), abs=0.01)
    assert abs(found["estimate_off_log_loss"]) < 5 * found["estimate_error"]
    assert found["pending"] == 3
    assert found["matured"] + found["pending"] == 3 * 72
    for number in range(3, 6):
        live(watched, number, edge=-1.0)
    turned = look(watched, 5).metrics
    assert turned["estimate_off_log_loss"] > 5 * turned["estimate_error"]
    assert turned["estimated_log_loss"] == pytest.approx(found["estimated_log_loss"], abs=0.02)
