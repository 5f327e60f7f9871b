"""Days of live bars, reviewed one by one: a better challenger gets in, an equal one does not, a worse champion goes.

The truth is planted in predictions and outcomes; what each day decides is left to the real code.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.records import Outcome
from pipelines.monitoring import looks
from pipelines.registry import history
from pipelines.store import derived, tables, upsert
from tests.unit.registry.test_promotion import apply, champions, fake
from tests.unit.registry.test_shadow import gated, states
from tests.unit.registry.world import AT, DAY, START, SYMBOLS, World

HOUR = timedelta(hours=1)


def live(world: World, edges: dict[int, float], start: datetime, days: int, seed: int = 0) -> None:
    """Enter predictions and outcomes of ``days`` from ``start`` on. ``edges``: version → how much of the truth it sees;
    what it says beside that is noise of the same size for all."""
    rng = np.random.default_rng(seed)
    times = pd.date_range(start, periods=24 * days, freq="h", unit="us").repeat(len(SYMBOLS))
    signal = rng.standard_normal(len(times))
    came = pd.DataFrame({"line": world.line.name, "symbol": np.tile(SYMBOLS, 24 * days), "event_time": times})
    came["y"] = (rng.random(len(came)) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    came["forward_return"] = 0.0
    came["label_end"] = came["matured_at"] = came["event_time"] + 2 * HOUR
    with world.warehouse.begin() as connection:
        upsert.upsert(connection, tables.outcomes, came, update=False)
        for version, edge in edges.items():
            logit = edge * signal + 0.3 * rng.standard_normal(len(came))
            made = came[["line", "symbol", "event_time", "label_end"]].assign(
                version=version, role="champion", available_at=came["event_time"] + HOUR,
                probability=1 / (1 + np.exp(-logit)), feature_digest="d")
            upsert.upsert(connection, tables.predictions, made, update=False)


def review(world: World, day: int) -> looks.Review:
    return looks.review(world.warehouse, world.settings, world.line, START + day * DAY, at=AT)


def story(world: World, days: int = 40) -> list[tuple[int, str, str]]:
    """(day, decision, champion) of each look, day by day."""
    found = []
    for day in range(days + 1):
        done = review(world, day)
        found += [(day, f"{pair.purpose.value}:{look.decision.value}", f"v{champions(world)[-1][1]}")
                  for pair, look in done.made]
        again = review(world, day)  # the same day again changes nothing and says the same
        assert (again.made, again.changes) == ((), done.changes)
    return found


@pytest.fixture
def challenged(world: World) -> World:
    apply(world, world.candidate(1), Outcome.PROMOTE)
    apply(world, world.candidate(2, START + DAY), Outcome.INCONCLUSIVE, champion=1)
    return world


def test_a_better_challenger_gets_in(challenged: World) -> None:
    live(challenged, {1: 0.3, 2: 0.5}, START, 40)
    assert story(challenged, 15) == [(8, "shadow:continue", "v1"), (15, "shadow:promote", "v2")]
    assert champions(challenged) == [("promote", 1, None), ("promote", 2, 1)]
    assert fake(challenged).set == {"champion": 2}
    rows = history.rows(challenged.warehouse, challenged.line)
    effective = next(row["effective"] for row in rows if (row["action"], row["version"]) == ("promote", 2))
    looked = [row["effective"] for row in rows if row["action"].startswith("shadow")]
    assert effective == looked[-1]
    assert "the challenger is better than the champion by +0." in next(
        row["why"] for row in rows if (row["action"], row["version"]) == ("promote", 2))


def test_the_promoted_challenger_is_watched_and_stays(challenged: World) -> None:
    live(challenged, {1: 0.2, 2: 0.6}, START, 70)
    told = story(challenged, 60)
    assert [what for _, what, _ in told if what.startswith("rollback")] == [
        "rollback:continue", "rollback:continue", "rollback:continue", "rollback:reject"]
    assert told[-1][2] == "v2"


def test_an_equal_challenger_does_not(challenged: World) -> None:
    live(challenged, {1: 0.4, 2: 0.4}, START, 40)
    told = story(challenged)
    assert len(told) <= 4
    assert told[-1][1:] == ("shadow:reject", "v1")
    assert states(challenged) == {1: "champion", 2: "retired_challenger"}
    assert looks.pending(challenged.warehouse, challenged.line, START + 40 * DAY) == []


def test_a_worse_champion_goes_and_does_not_come_back(world: World) -> None:
    apply(world, world.candidate(1), Outcome.PROMOTE)
    second = world.candidate(2, START + 3 * DAY)
    apply(world, second, Outcome.PROMOTE, champion=1)
    live(world, {1: 0.7, 2: 0.1}, START, 60)
    told = story(world, 50)
    assert told[-1][1:] == ("rollback:promote", "v1")
    assert told[-1][0] <= 3 + 28
    apply(world, second, Outcome.PROMOTE, champion=1)
    assert story(world, 50) == []
    assert champions(world) == [("promote", 1, None), ("promote", 2, 1), ("rollback", 1, 2)]
    row = history.rows(world.warehouse, world.line)[-1]
    assert "the predecessor is better than the champion by +0." in row["why"]


def test_after_a_rollback_the_challenger_is_compared_with_the_one_put_back(world: World) -> None:
    """On the same day: the watch first, then the challenger against the champion of then, on what both have scored."""
    apply(world, world.candidate(1), Outcome.PROMOTE)
    apply(world, world.candidate(2, START + DAY), Outcome.PROMOTE, champion=1)
    apply(world, world.candidate(3, START + DAY), Outcome.INCONCLUSIVE, champion=2)
    live(world, {1: 0.5, 2: -0.5, 3: 0.5}, START, 40)
    world.line = world.line.model_copy(update={"gate": world.line.gate.model_copy(update={
        "rollback": world.line.gate.rollback.model_copy(update={"watch_days": 7, "looks": 1})})})
    done = review(world, 8)
    assert [(pair.purpose.value, pair.version, pair.champion_version, look.decision.value)
            for pair, look in done.made] == [("rollback", 1, 2, "promote"), ("shadow", 3, 1, "continue")]
    assert champions(world)[-1] == ("rollback", 1, 2)
    assert done.sentences[-1] == "Champion is now v1 (rollback, was v2)."


def test_days_that_were_missed_are_made_up_for(challenged: World) -> None:
    """A look sees what was known when it fell due, whenever it is made."""
    live(challenged, {1: 0.4, 2: 0.4}, START, 40, seed=3)
    gate = challenged.line.gate
    challenged.line = challenged.line.model_copy(update={"gate": gate.model_copy(update={
        "shadow": gate.shadow.model_copy(update={"futility": False})})})
    one = [look for _, look in review(challenged, 8).made]
    rest = [look for _, look in review(challenged, 40).made]
    assert [look.number for look in one + rest] == [1, 2, 3, 4]
    assert [look.due for look in one + rest] == [START + (1 + 7 * number) * DAY for number in (1, 2, 3, 4)]
    found = derived.read(challenged.warehouse, tables.shadow_looks)
    assert list(found["timestamps"]) == [7 * 24 * number - 1 for number in (1, 2, 3, 4)]


def test_an_old_day_decides_nothing_now(challenged: World) -> None:
    live(challenged, {1: 0.2, 2: 0.6}, START, 40)
    apply(challenged, challenged.candidate(3, START + 9 * DAY), Outcome.PROMOTE, champion=1)
    done = review(challenged, 8)  # version 1 was champion then
    assert (done.made, done.changes, done.sentences) == ((), (), ["No look is due."])


def test_what_is_under_way(challenged: World) -> None:
    live(challenged, {1: 0.4, 2: 0.4}, START, 40)
    (before,) = looks.pending(challenged.warehouse, challenged.line, START + 2 * DAY)
    assert (before.pair.version, before.looks, before.of, before.next_due) == (2, (), 4, START + 8 * DAY)
    assert before.next_boundary > 3.5
    review(challenged, 8)
    (after,) = looks.pending(challenged.warehouse, challenged.line, START + 9 * DAY)
    assert [item.look.number for item in after.looks] == [1]
    assert after.next_due == START + 15 * DAY
    assert after.next_futility < after.next_boundary < before.next_boundary
    gated(challenged, looks=26)  # how many looks there are was settled with the first
    assert looks.pending(challenged.warehouse, challenged.line, START + 9 * DAY)[0].of == 4
