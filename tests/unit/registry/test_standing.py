"""Who stands where, by tables of literal histories."""

from __future__ import annotations

import pytest

from pipelines.contracts.records import Action, Outcome, Promotion
from pipelines.errors import RegistryError
from pipelines.registry.standing import challenger, rollback_target, standing
from pipelines.store import ledger
from tests.unit.registry.world import AT, DAY, START, World, said


def history(*steps: str) -> list[Promotion]:
    """``p1`` promotes version 1, ``r1`` rolls back to it."""
    rows: list[Promotion] = []
    for number, step in enumerate(steps, start=1):
        action = Action.PROMOTE if step[0] == "p" else Action.ROLLBACK
        rows.append(Promotion("direction_1h", int(step[1:]), rows[-1].version if rows else None, action, "ann", "why",
                              START, AT, number))
    return rows


@pytest.mark.parametrize(("steps", "to", "target"), [
    (["p1", "p2"], None, 1),
    (["p1", "p2", "p3"], None, 2),
    (["p1", "p2", "p3", "r2"], None, 1),  # twice back is two back, not forth
    (["p1", "p2", "r1", "p4"], None, 1),
    (["p1", "p2", "p3", "r1"], 3, 3),  # by name one may go anywhere a champion has been
    (["p1", "p2", "p3", "r1", "r3"], None, 1),
    (["p1", "p2"], 2, 2),
])
def test_where_a_rollback_leads(steps: list[str], to: int | None, target: int) -> None:
    assert rollback_target(history(*steps), to, "direction_1h") == target


@pytest.mark.parametrize(("steps", "to", "words"), [
    ([], None, "never had a champion; promote one first"),
    ([], 1, r"version 1 of direction_1h was never champion \(those that were: none\)"),
    (["p1"], None, r"no champion before the present one \(champions so far: 1\)"),
    (["p1", "p2", "r1"], None, r"champions so far: 1, 2\); name a former one with --to"),
    (["p1", "p2"], 3, r"version 3 of direction_1h was never champion \(those that were: 1, 2\)"),
])
def test_where_no_rollback_leads(steps: list[str], to: int | None, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        rollback_target(history(*steps), to, "direction_1h")


def test_the_state_of_each_version(world: World) -> None:
    """1 retired, 2 champion, 3 and 4 inconclusive (3 in shadow, 4 waits), 5 rejected, 6 unjudged, 7 promising."""
    for version in range(1, 8):
        world.candidate(version, START + version * DAY)
    with world.warehouse.begin() as connection:
        assert standing(connection, world.line).champion is None
        for version, previous in ((1, None), (2, 1)):
            ledger.append_promotion(connection, world.line.name, version, action=Action.PROMOTE,
                                    expected_previous=previous, actor="ann", reason="", effective_at=START, at=AT)
        for version, outcome in ((3, Outcome.INCONCLUSIVE), (4, Outcome.INCONCLUSIVE), (5, Outcome.REJECT),
                                 (7, Outcome.PROMOTE)):
            ledger.add_verdict(connection, world.line.name, version, said(outcome, 2), as_of=START, at=AT)
        found = standing(connection, world.line)
        assert (found.champion, found.challenger) == (2, 3)
        assert {version: state.value for version, state in found.states.items()} == {
            1: "retired", 2: "champion", 3: "challenger", 4: "waiting", 5: "rejected", 6: "candidate",
            7: "candidate"}
        human = world.line.model_copy(update={"gate": world.line.gate.model_copy(update={"approval": "human"})})
        assert standing(connection, human).states[7] == "awaiting_approval"
        ledger.decide_approval(connection, world.line.name, 7, False, "bob", "no", at=AT)
        assert standing(connection, human).states[7] == "denied"
        # As of a day, a challenger trained later is not there yet; and there is none without a champion.
        assert challenger(connection, world.line, 2, as_of=START + 3 * DAY) == 3
        assert challenger(connection, world.line, 2, as_of=START + 2 * DAY) is None
        assert challenger(connection, world.line, None) is None
        assert challenger(connection, world.line, 7) is None
