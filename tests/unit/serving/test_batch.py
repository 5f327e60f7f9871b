"""Predictions: by the right version, before the outcome, once and for all."""

from __future__ import annotations

from copy import copy
from datetime import timedelta

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.records import Outcome
from pipelines.contracts.window import Window
from pipelines.registry import promotion
from pipelines.serving.batch import feature_digests, predict
from pipelines.store import derived, tables
from tests.unit.registry.world import AT, DAY, START, World, feature_columns, make_rows, said

AS_OF = START + 23 * DAY


def judge(world: World, outcome: Outcome, champion: int | None = None, **training: object) -> int:
    candidate = world.train(**training)  # type: ignore[arg-type]
    promotion.apply(world.warehouse, world.settings, world.line, candidate, said(outcome, champion), actor="gate",
                    at=AT)
    return candidate.version


def day(number: int) -> Window:
    return Window(AS_OF + number * DAY, AS_OF + (number + 1) * DAY)


def written(world: World) -> pd.DataFrame:
    return derived.read(world.warehouse, tables.predictions)


def test_without_a_champion_there_are_no_rows_and_a_reason(world: World) -> None:
    world.partition(AS_OF)
    report = predict(world.warehouse, world.settings, world.line, day(0))
    assert (report.rows, report.new, dict(report.by_role)) == (0, 0, {})
    assert report.note == "no champion was in effect at 2024-01-24 00:00 UTC: nothing to predict with"
    judge(world, Outcome.PROMOTE, as_of=AS_OF + DAY)  # takes effect a day later
    assert predict(world.warehouse, world.settings, world.line, day(0)).rows == 0


def test_champion_and_challenger_score_the_same_rows(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    judge(world, Outcome.INCONCLUSIVE, 1, as_of=AS_OF + DAY, seed=1)
    for number in (0, 1):
        world.partition(AS_OF + number * DAY)
    first = predict(world.warehouse, world.settings, world.line, day(0))
    assert (first.line, first.window, dict(first.by_role), dict(first.versions), first.note) == (
        "direction_1h", "2024-01-24", {"champion": 72}, {"champion": 1}, "")  # the challenger was trained later
    second = predict(world.warehouse, world.settings, world.line, day(1))
    assert (second.rows, second.new, dict(second.versions)) == (144, 144, {"champion": 1, "challenger": 2})
    found = written(world)
    assert found.groupby(["version", "role"]).size().to_dict() == {(1, "champion"): 144, (2, "challenger"): 72}
    assert (found["available_at"] < found["label_end"]).all()
    assert (found["label_end"] == found["event_time"] + timedelta(hours=2)).all()


def test_the_probability_is_the_models(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    rows = world.partition(AS_OF)
    predict(world.warehouse, world.settings, world.line, day(0))
    found = written(world).sort_values(["event_time", "symbol"], ignore_index=True)
    values = rows[list(world.models[1].feature_names)].to_numpy()
    np.testing.assert_array_equal(found["probability"], world.models[1].predict(values))
    assert list(found["feature_digest"]) == feature_digests(rows, world.models[1].feature_names)


def test_a_rerun_changes_nothing_bit_for_bit(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    world.partition(AS_OF)
    predict(world.warehouse, world.settings, world.line, day(0))
    before = written(world)
    report = predict(world.warehouse, world.settings, world.line, day(0))
    assert (report.rows, report.new) == (72, 0)
    pd.testing.assert_frame_equal(written(world), before, check_exact=True)


def test_a_prediction_once_made_stands(world: World) -> None:
    """Even if the partition is built anew with other values (a bug was mended, say)."""
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    world.partition(AS_OF)
    predict(world.warehouse, world.settings, world.line, day(0))
    before = written(world)
    world.partition(AS_OF, seed=9)
    assert predict(world.warehouse, world.settings, world.line, day(0)).new == 0
    pd.testing.assert_frame_equal(written(world), before)


def test_after_a_promotion_old_days_keep_their_champion(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    for number in range(3):
        world.partition(AS_OF + number * DAY)
    judge(world, Outcome.PROMOTE, 1, as_of=AS_OF + 2 * DAY, seed=1)
    for number in (2, 0, 1):
        predict(world.warehouse, world.settings, world.line, day(number))
    found = written(world)
    by_day = found.groupby([found["available_at"].dt.floor("D"), "role"])["version"].unique()
    assert [(role, list(versions)) for (_, role), versions in by_day.items()] == [
        ("champion", [1]), ("champion", [1]), ("champion", [2]), ("predecessor", [1])]


def test_a_predecessor_is_scored_as_long_as_it_is_watched(world: World) -> None:
    """Champion 2 takes effect on day 2 and is watched for four days, unless the line says otherwise."""
    gate = world.line.gate
    world.line = world.line.model_copy(update={"gate": gate.model_copy(update={
        "rollback": gate.rollback.model_copy(update={"watch_days": 4})})})
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    judge(world, Outcome.PROMOTE, 1, as_of=AS_OF + 2 * DAY, seed=1)
    for number in (1, 2, 5, 6):
        world.partition(AS_OF + number * DAY)
    roles = {number: dict(predict(world.warehouse, world.settings, world.line, day(number)).versions)
             for number in (1, 2, 5, 6)}
    assert roles == {1: {"champion": 1}, 2: {"champion": 2, "predecessor": 1}, 5: {"champion": 2, "predecessor": 1},
                     6: {"champion": 2}}
    off = gate.model_copy(update={"rollback": gate.rollback.model_copy(update={"watch_days": 0})})
    world.line = world.line.model_copy(update={"gate": off})
    assert dict(predict(world.warehouse, world.settings, world.line, day(2)).versions) == {"champion": 2}


def test_a_predecessor_that_fits_no_longer_does_not_stop_the_champion(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    judge(world, Outcome.PROMOTE, 1, as_of=AS_OF, seed=1)
    world.models[1] = copy(world.models[1])
    world.models[1].feature_names = ("gone",)
    world.partition(AS_OF)
    report = predict(world.warehouse, world.settings, world.line, day(0))
    assert (dict(report.by_role), dict(report.versions)) == ({"champion": 72}, {"champion": 2})
    assert report.note.startswith("version 1 is not watched against the champion: version 1 of direction_1h was "
                                  "trained on gone")


def test_a_row_that_came_after_its_outcome_is_not_scored(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    rows = make_rows(world.line, AS_OF, 1)[["symbol", "event_time", "available_at", *feature_columns(world.line)]]
    rows.loc[:2, "available_at"] = rows["event_time"][:3] + timedelta(hours=2)  # exactly when the outcome is known
    rows.loc[3:5, "available_at"] = rows["event_time"][3:6] + timedelta(hours=2) - timedelta(microseconds=1)
    world.put(rows, "partition", AS_OF, AS_OF + DAY)
    assert predict(world.warehouse, world.settings, world.line, day(0)).rows == len(rows) - 3
    assert written(world)["event_time"].min() == rows["event_time"][3]


def test_a_day_without_rows_is_said_to_be_one(world: World) -> None:
    judge(world, Outcome.PROMOTE, as_of=AS_OF)
    world.put(world.partition(AS_OF + DAY).iloc[:0][
        ["symbol", "event_time", "available_at", *feature_columns(world.line)]], "partition", AS_OF, AS_OF + DAY)
    report = predict(world.warehouse, world.settings, world.line, day(0))
    assert (report.rows, report.note) == (0, "no row became available in this window in time")


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_feature_digests_see_every_bit_and_every_name(values: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(values, columns=["a", "b"], dtype=float)
    digests = feature_digests(frame, ("a", "b"))
    assert digests == feature_digests(frame[["b", "a"]], ("a", "b"))
    assert digests != feature_digests(frame.rename(columns={"b": "c"}), ("a", "c"))
    moved = frame.assign(b=np.nextafter(frame["b"], np.inf))
    changed = [one != other for one, other in zip(digests, feature_digests(moved, ("a", "b")), strict=True)]
    assert changed == list(moved["b"].to_numpy().view(np.int64) != frame["b"].to_numpy().view(np.int64))
