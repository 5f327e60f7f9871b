"""Into the shadow and out of it: who runs beside the champion, what a look leads to, and that doing it again does
nothing. Looks are given, not computed."""

from __future__ import annotations

import math
from datetime import datetime

import pandas as pd
import pytest

from pipelines.contracts.records import Action, Duel, Look, Outcome, Promotion, Purpose, Step
from pipelines.contracts.tags import STATE
from pipelines.errors import Conflict, RegistryError, StoreError, TrackingUnavailable
from pipelines.registry import history, promotion, shadow
from pipelines.registry.reconcile import reconcile
from pipelines.registry.standing import standing
from pipelines.store import ledger, tables, upsert
from tests.unit.registry.test_promotion import apply, champions, fake, human
from tests.unit.registry.world import AT, DAY, START, World

PROMOTE, REJECT, INCONCLUSIVE = Outcome.PROMOTE, Outcome.REJECT, Outcome.INCONCLUSIVE
SHADOW, ROLLBACK = Purpose.SHADOW, Purpose.ROLLBACK


def gated(world: World, **changes: object) -> None:
    """Change ``[gate.shadow]`` (``when=...``) or ``[gate.rollback]`` (``watch_days=...``) of the world's line."""
    gate = world.line.gate
    for table in ("shadow", "rollback"):
        mine = {key: value for key, value in changes.items() if key in type(getattr(gate, table)).model_fields}
        gate = gate.model_copy(update={table: getattr(gate, table).model_copy(update=mine)})
    world.line = world.line.model_copy(update={"gate": gate})


def a_look(decision: Step, number: int = 1, due: datetime = START + 7 * DAY) -> Look:
    return Look(decision, number, 4, due, 2.9, 2.6, math.nan, 0.02, 0.01, 0.03, 0.002, 504, 168, 8,
                (f"Look {number} of 4 says {decision.value}.",))


def pair(world: World, purpose: Purpose = SHADOW, as_of: datetime = START + 30 * DAY) -> Duel | None:
    with world.warehouse.begin() as connection:
        return shadow.duel(connection, world.line, purpose, as_of)


def act(world: World, *looks: Look, purpose: Purpose = SHADOW, as_of: datetime = START + 30 * DAY,
        of: Duel | None = None) -> Promotion | None:
    found = of or pair(world, purpose, as_of)
    assert found is not None
    return shadow.act(world.warehouse, world.settings, world.line, found, looks, as_of=as_of, at=AT)


def states(world: World) -> dict[int, str]:
    with world.warehouse.begin() as connection:
        return {version: state.value for version, state in standing(connection, world.line).states.items()}


@pytest.fixture
def challenged(world: World) -> World:
    """Version 1 is champion since START, version 2 its challenger since a day later."""
    apply(world, world.candidate(1), PROMOTE)
    apply(world, world.candidate(2, START + DAY), INCONCLUSIVE, champion=1)
    return world


def test_a_challenger_is_compared_since_both_were_in_place(challenged: World) -> None:
    name = challenged.line.name
    assert pair(challenged) == Duel(name, SHADOW, 2, 1, START + DAY)
    assert pair(challenged, as_of=START) is None  # it was not trained then
    assert pair(challenged, ROLLBACK) is None  # the first champion has no predecessor


def test_looks_are_entered_once_and_stand(challenged: World) -> None:
    for _ in range(2):
        assert act(challenged, a_look(Step.CONTINUE)) is None
    assert act(challenged, a_look(Step.REJECT)) is None  # the same number again, now with another answer
    with challenged.warehouse.begin() as connection:
        (item,) = ledger.looks(connection, challenged.line.name)
    assert (item.look.decision, item.purpose, item.as_of) == (Step.CONTINUE, SHADOW, START + 30 * DAY)
    assert repr(item.look) == repr(a_look(Step.CONTINUE))
    assert states(challenged)[2] == "challenger"
    for statement in ("UPDATE ai_trading.shadow_looks SET effect = 1", "DELETE FROM ai_trading.shadow_looks",
                      "TRUNCATE ai_trading.shadow_looks"):
        with pytest.raises(StoreError, match="append-only"), challenged.warehouse.begin() as connection:
            connection.exec_driver_sql(statement)


def test_a_challenger_that_crosses_becomes_champion(challenged: World) -> None:
    row = act(challenged, a_look(Step.CONTINUE), a_look(Step.PROMOTE, 2, START + 14 * DAY))
    assert row is not None
    assert (row.version, row.previous, row.action, row.actor, row.effective_at, row.reason) == (
        2, 1, Action.PROMOTE, "gate", START + 30 * DAY, "Look 2 of 4 says promote.")
    assert fake(challenged).set == {"champion": 2}
    assert fake(challenged).held[2].tags == {STATE: "champion", "tidemark.verdict": "promote"}
    assert "Look 2 of 4 says promote." in fake(challenged).held[2].description
    assert states(challenged) == {1: "retired", 2: "champion"}
    assert pair(challenged) is None
    # The judge's task runs again: its verdict is known, and the shadow's word stands.
    with challenged.warehouse.begin() as connection:
        candidate = ledger.candidate(connection, challenged.line.name, 2)
    apply(challenged, candidate, INCONCLUSIVE, champion=1)
    assert champions(challenged) == [("promote", 1, None), ("promote", 2, 1)]
    assert fake(challenged).held[2].tags["tidemark.verdict"] == "promote"
    with challenged.warehouse.begin() as connection:
        assert shadow.changes(connection, challenged.line, START + 30 * DAY) == [row]
        assert shadow.changes(connection, challenged.line, START + 31 * DAY) == []


def test_a_challenger_that_fails_is_retired_for_good(challenged: World) -> None:
    before = list(fake(challenged).set)
    assert act(challenged, a_look(Step.REJECT)) is None
    assert before == ["champion", "challenger"]
    assert fake(challenged).set == {"champion": 1}
    assert states(challenged) == {1: "champion", 2: "retired_challenger"}
    assert pair(challenged) is None
    assert pair(challenged, as_of=START + 29 * DAY) is not None  # then it was still running: a rerun finds it so
    apply(challenged, challenged.candidate(3, START + 31 * DAY), INCONCLUSIVE, champion=1)
    assert states(challenged) == {1: "champion", 2: "retired_challenger", 3: "challenger"}


def test_a_newer_candidate_waits_until_the_shadow_has_ended(challenged: World) -> None:
    """Else a weekly training would end every shadow of four weeks after its first look."""
    for version, day in ((3, 2), (4, 9)):
        apply(challenged, challenged.candidate(version, START + day * DAY), INCONCLUSIVE, champion=1)
    assert states(challenged) == {1: "champion", 2: "challenger", 3: "superseded", 4: "waiting"}
    assert fake(challenged).set == {"champion": 1, "challenger": 2}
    ended = a_look(Step.REJECT)
    act(challenged, ended)
    assert states(challenged) == {1: "champion", 2: "retired_challenger", 3: "superseded", 4: "challenger"}
    assert fake(challenged).set == {"champion": 1, "challenger": 4}
    # Its shadow begins when the place is free, not when it was trained; and what was before is found as it was.
    assert (pair(challenged).version, pair(challenged).started_at) == (4, START + 30 * DAY)
    earlier = pair(challenged, as_of=START + 12 * DAY)
    assert (earlier.version, earlier.started_at) == (2, START + DAY)
    apply(challenged, challenged.candidate(5, START + 50 * DAY), INCONCLUSIVE, champion=1)
    assert states(challenged)[5] == "waiting"


def test_who_comes_when_the_place_is_free_enters_at_once(challenged: World) -> None:
    act(challenged, a_look(Step.REJECT))
    apply(challenged, challenged.candidate(3, START + 40 * DAY), INCONCLUSIVE, champion=1)
    assert pair(challenged, as_of=START + 50 * DAY).started_at == START + 40 * DAY


def test_a_rejected_candidate_supersedes_nobody(challenged: World) -> None:
    apply(challenged, challenged.candidate(3, START + 2 * DAY), REJECT, champion=1)
    assert states(challenged)[2] == "challenger"


@pytest.mark.parametrize(("when", "outcome", "state"), [
    ("inconclusive", INCONCLUSIVE, "challenger"), ("inconclusive", PROMOTE, "champion"),
    ("always", INCONCLUSIVE, "challenger"), ("always", PROMOTE, "challenger"), ("always", REJECT, "rejected"),
    ("never", INCONCLUSIVE, "inconclusive"), ("never", PROMOTE, "champion"),
])
def test_who_enters_the_shadow(world: World, when: str, outcome: Outcome, state: str) -> None:
    gated(world, when=when)
    apply(world, world.candidate(1), PROMOTE)
    assert states(world) == {1: "champion"}  # the first champion has nobody to be compared with
    candidate = world.candidate(2, START + DAY)
    for _ in range(2):
        apply(world, candidate, outcome, champion=1)
    assert states(world)[2] == state
    assert fake(world).held[2].tags[STATE] == state
    assert fake(world).set.get("challenger") == (2 if state == "challenger" else None)


def test_everybody_goes_through_the_shadow(world: World) -> None:
    gated(world, when="always")
    apply(world, world.candidate(1), PROMOTE)
    apply(world, world.candidate(2, START + DAY), PROMOTE, champion=1)
    apply(world, world.candidate(3, START + 2 * DAY), PROMOTE, champion=1)
    assert states(world) == {1: "champion", 2: "challenger", 3: "waiting"}
    act(world, a_look(Step.PROMOTE))
    assert champions(world)[-1] == ("promote", 2, 1)
    assert fake(world).held[2].tags["tidemark.verdict"] == "promote"
    promotion.rollback(world.warehouse, world.settings, world.line, to=None, actor="ann", reason="no",
                       effective_at=START + 40 * DAY, at=AT)
    assert states(world) == {1: "champion", 2: "retired", 3: "challenger"}
    assert pair(world, as_of=START + 50 * DAY).version == 3


def test_people_are_asked_after_the_shadow(world: World) -> None:
    human(world)
    gated(world, when="always")
    apply(world, world.candidate(1), PROMOTE)
    promotion.approve(world.warehouse, world.settings, world.line, 1, approved=True, actor="bob", reason="ok", at=AT)
    second = world.candidate(2, START + DAY)
    apply(world, second, PROMOTE, champion=1)

    def approve() -> Promotion | None:
        return promotion.approve(world.warehouse, world.settings, world.line, 2, approved=True, actor="bob",
                                 reason="ok", at=AT)

    with pytest.raises(RegistryError, match="version 2 of direction_1h runs in shadow"):
        approve()
    assert act(world, a_look(Step.PROMOTE)) is None
    assert states(world)[2] == "awaiting_approval"
    row = approve()
    assert row is not None
    assert (row.actor, row.effective_at, row.reason) == ("bob", START + 30 * DAY, "Look 1 of 4 says promote.")
    assert champions(world)[-1] == ("promote", 2, 1)
    with world.warehouse.begin() as connection:
        assert len(ledger.verdicts(connection)) == 2  # what the shadow says is no verdict of its own


def test_a_champion_that_changed_since_is_not_acted_against(challenged: World) -> None:
    old = pair(challenged)
    apply(challenged, challenged.candidate(3, START + 2 * DAY), PROMOTE, champion=1)
    assert pair(challenged) is None
    assert pair(challenged, as_of=START + DAY) is None  # version 1 was champion then, but is not now
    with pytest.raises(Conflict, match="judge again"):
        act(challenged, a_look(Step.PROMOTE), of=old)
    with challenged.warehouse.begin() as connection:
        assert ledger.looks(connection, challenged.line.name) == []  # one transaction: nothing of it is left


def test_mlflow_dies_after_the_look(challenged: World) -> None:
    fake(challenged).down = True
    with pytest.raises(TrackingUnavailable):
        act(challenged, a_look(Step.PROMOTE))
    assert champions(challenged)[-1] == ("promote", 2, 1)
    fake(challenged).down = False
    reconcile(challenged.warehouse, challenged.settings, [challenged.line], at=AT)
    assert fake(challenged).set == {"champion": 2}
    assert fake(challenged).held[2].tags == {STATE: "champion", "tidemark.verdict": "promote"}
    assert reconcile(challenged.warehouse, challenged.settings, [challenged.line], at=AT) == []


@pytest.fixture
def fresh(world: World) -> World:
    """Version 2 was promoted over version 1, ten days later."""
    apply(world, world.candidate(1), PROMOTE)
    apply(world, world.candidate(2, START + 10 * DAY), PROMOTE, champion=1)
    return world


def test_a_fresh_champion_that_is_worse_is_rolled_back_once(fresh: World) -> None:
    assert pair(fresh, ROLLBACK) == Duel(fresh.line.name, ROLLBACK, 1, 2, START + 10 * DAY)
    row = act(fresh, a_look(Step.PROMOTE), purpose=ROLLBACK)
    assert row is not None
    assert (row.version, row.previous, row.action, row.actor, row.effective_at, row.reason) == (
        1, 2, Action.ROLLBACK, "gate", START + 30 * DAY, "Look 1 of 4 says promote.")
    assert fake(fresh).set == {"champion": 1}
    assert states(fresh) == {1: "champion", 2: "retired"}
    # Neither is version 1 watched now, nor does a rerun of the judge bring version 2 back.
    assert pair(fresh, ROLLBACK, START + 40 * DAY) is None
    with fresh.warehouse.begin() as connection:
        second = ledger.candidate(connection, fresh.line.name, 2)
    apply(fresh, second, PROMOTE, champion=1)
    assert champions(fresh) == [("promote", 1, None), ("promote", 2, 1), ("rollback", 1, 2)]
    with fresh.warehouse.begin() as connection:
        assert shadow.changes(connection, fresh.line, START + 30 * DAY) == [row]


def test_a_watch_that_ends_well_ends(fresh: World) -> None:
    assert act(fresh, a_look(Step.REJECT, 4), purpose=ROLLBACK) is None
    assert pair(fresh, ROLLBACK) is None
    assert states(fresh) == {1: "retired", 2: "champion"}


def test_no_watch_where_the_line_wants_none(fresh: World) -> None:
    gated(fresh, watch_days=0)
    assert pair(fresh, ROLLBACK) is None


def test_history_shows_the_looks(challenged: World) -> None:
    act(challenged, a_look(Step.CONTINUE))
    act(challenged, a_look(Step.PROMOTE, 2))
    rows = history.rows(challenged.warehouse, challenged.line)
    assert [(row["action"], row["version"], row["why"]) for row in rows] == [
        ("promote", 1, "The test says promote."), ("promote", 2, "Look 2 of 4 says promote."),
        ("inconclusive", 2, "The test says inconclusive."), ("shadow 1/4", 2, "Look 1 of 4 says continue."),
        ("shadow 2/4", 2, "Look 2 of 4 says promote.")]
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert (rows[-1]["effect"], rows[-1]["low"], rows[-1]["p"], rows[-1]["effective"]) == (
        0.02, 0.01, 0.002, START + 30 * DAY)


def test_what_both_lost_on_rows_that_both_scored(challenged: World) -> None:
    """Two symbols, three hours; by hand: y = 1, champion 0.5, challenger 0.8 saves ln(0.8 / 0.5)."""
    hours = [START + DAY, START + DAY + DAY / 24, START + DAY + DAY / 12]
    rows = [(1, "A", 0, 0.5), (2, "A", 0, 0.8), (1, "B", 0, 0.5), (2, "B", 0, 0.5),
            (1, "A", 1, 0.5), (1, "A", 2, 0.5), (2, "A", 2, 0.25)]
    rows += [(1, "C", -1, 0.5), (2, "C", -1, 0.9)]  # before both were in place
    moments = {**dict(enumerate(hours)), -1: START + DAY - DAY / 24}
    made = pd.DataFrame([{
        "line": challenged.line.name, "version": version, "symbol": symbol, "event_time": moments[hour],
        "role": "champion" if version == 1 else "challenger", "available_at": moments[hour] + DAY / 24,
        "label_end": moments[hour] + DAY / 12, "probability": probability, "feature_digest": "d"}
        for version, symbol, hour, probability in rows])
    came = made[["line", "symbol", "event_time", "label_end"]].drop_duplicates().assign(
        y=1, forward_return=0.0, matured_at=lambda frame: frame["label_end"])
    with challenged.warehouse.begin() as connection:
        upsert.upsert(connection, tables.predictions, made, update=False)
        upsert.upsert(connection, tables.outcomes, came, update=False)
    duel = pair(challenged)
    assert duel is not None
    found = shadow.assemble(challenged.warehouse, duel, START + 2 * DAY)
    assert list(found.index) == [pd.Timestamp(hours[0]), pd.Timestamp(hours[2])]
    assert list(found["rows"]) == [2, 1]
    assert list(found["difference"]) == pytest.approx([math.log(1.6) / 2, math.log(0.5)])
    early = shadow.assemble(challenged.warehouse, duel, hours[2] + DAY / 24)
    assert list(early.index) == [pd.Timestamp(hours[0])]
    assert shadow.assemble(challenged.warehouse, duel, START).empty
