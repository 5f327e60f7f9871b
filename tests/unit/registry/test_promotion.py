"""Ledger first, MLflow after: each step, again and again, and with MLflow dead in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Candidate, Outcome, Promotion
from pipelines.contracts.tags import STATE
from pipelines.errors import Conflict, RegistryError, TrackingUnavailable
from pipelines.registry import history, promotion
from pipelines.registry.projection import MARK
from pipelines.registry.reconcile import reconcile
from pipelines.store import events, ledger
from tests.unit.registry.world import AT, DAY, START, FakeRegistry, World, said

PROMOTE, REJECT, INCONCLUSIVE = Outcome.PROMOTE, Outcome.REJECT, Outcome.INCONCLUSIVE


def apply(world: World, candidate: Candidate, outcome: Outcome, champion: int | None = None) -> Promotion | None:
    return promotion.apply(world.warehouse, world.settings, world.line, candidate, said(outcome, champion),
                           actor="gate", at=AT)


def rollback(world: World, to: int | None = None) -> Promotion:
    return promotion.rollback(world.warehouse, world.settings, world.line, to=to, actor="ann", reason="it loses money",
                              effective_at=START + 30 * DAY, at=AT)


def champions(world: World) -> list[tuple[str, int, int | None]]:
    with world.warehouse.begin() as connection:
        return [(row.action.value, row.version, row.previous) for row in ledger.history(connection, world.line.name)]


def fake(world: World) -> FakeRegistry:
    assert world.registry is not None
    return world.registry


def human(world: World) -> None:
    world.line = world.line.model_copy(update={"gate": world.line.gate.model_copy(update={"approval": "human"})})


def test_a_promotion_is_written_to_the_ledger_and_shown_in_mlflow(world: World) -> None:
    candidate = world.candidate(1, START + DAY)
    row = apply(world, candidate, PROMOTE)
    assert row is not None
    assert (row.version, row.previous, row.actor, row.effective_at) == (1, None, "gate", candidate.as_of)
    shown = fake(world).held[1]
    assert fake(world).set == {"champion": 1}
    assert shown.tags == {STATE: "champion", "tidemark.verdict": "promote"}
    assert shown.description.startswith("**Verdict: promote** (against base_rate)\n\n- The test says promote.")
    assert shown.description.endswith(MARK + "# Card")
    assert fake(world).run_tags["run1"] == {"tidemark.verdict": "promote",
                                            "tidemark.verdict_reasons": "The test says promote."}
    with world.warehouse.begin() as connection:
        assert ledger.latest_verdict(connection, world.line.name, 1) == said(PROMOTE)
        assert list(events.list_rows(connection, kind="promotion")["detail"]) == [
            {"version": 1, "previous": None, "actor": "gate", "effect": 0.01, "p_value": 0.001}]


def test_doing_it_again_changes_nothing(world: World) -> None:
    candidate = world.candidate(1)
    first = apply(world, candidate, PROMOTE)
    writes, described = list(fake(world).writes), fake(world).held[1].description
    assert apply(world, candidate, PROMOTE) == first
    assert (fake(world).writes, fake(world).held[1].description) == (writes, described)
    assert champions(world) == [("promote", 1, None)]
    with world.warehouse.begin() as connection:
        assert len(ledger.verdicts(connection)) == len(events.list_rows(connection, kind="promotion")) == 1


@pytest.mark.parametrize(("outcome", "aliases", "state"), [
    (REJECT, {"champion": 1}, "rejected"),
    (INCONCLUSIVE, {"champion": 1, "challenger": 2}, "challenger"),
    (PROMOTE, {"champion": 2}, "champion"),
])
def test_what_follows_from_a_verdict(world: World, outcome: Outcome, aliases: dict[str, int], state: str) -> None:
    apply(world, world.candidate(1), PROMOTE)
    row = apply(world, world.candidate(2, START + DAY), outcome, champion=1)
    assert (row is not None) is (outcome is PROMOTE)
    assert fake(world).set == aliases
    assert fake(world).held[2].tags[STATE] == state
    assert fake(world).held[1].tags[STATE] == ("retired" if outcome is PROMOTE else "champion")


def test_the_next_champion_ends_the_challenge(world: World) -> None:
    apply(world, world.candidate(1), PROMOTE)
    apply(world, world.candidate(2), INCONCLUSIVE, champion=1)
    apply(world, world.candidate(3), PROMOTE, champion=1)
    assert fake(world).set == {"champion": 3}
    assert fake(world).held[2].tags[STATE] == "inconclusive"


def test_a_decision_against_another_champion_is_refused(world: World) -> None:
    apply(world, world.candidate(1), PROMOTE)
    with pytest.raises(Conflict, match="judge again"):
        apply(world, world.candidate(2), PROMOTE, champion=None)
    assert champions(world) == [("promote", 1, None)]


def test_mlflow_dies_after_the_ledger(world: World) -> None:
    candidate = world.candidate(1)
    fake(world).down = True
    with pytest.raises(TrackingUnavailable):
        apply(world, candidate, PROMOTE)
    assert champions(world) == [("promote", 1, None)]
    assert fake(world).set == {}
    fake(world).down = False
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == [
        "direction_1h: alias champion set to version 1, was unset",
        "direction_1h: version 1 is champion, was untagged",
        "direction_1h: verdict promote shown on version 1"]
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == []
    apply(world, candidate, PROMOTE)
    assert champions(world) == [("promote", 1, None)]


def test_there_and_back(world: World) -> None:
    first, second = world.candidate(1), world.candidate(2, START + DAY)
    apply(world, first, PROMOTE)
    apply(world, second, PROMOTE, champion=1)
    row = rollback(world)
    assert (row.action, row.version, row.previous, row.reason) == (Action.ROLLBACK, 1, 2, "it loses money")
    assert fake(world).set == {"champion": 1}
    assert fake(world).held[2].tags[STATE] == "retired"
    apply(world, second, PROMOTE, champion=1)  # the task that promoted version 2 runs once more
    assert champions(world) == [("promote", 1, None), ("promote", 2, 1), ("rollback", 1, 2)]
    with pytest.raises(RegistryError, match="no champion before the present one"):
        rollback(world)
    assert rollback(world, to=1).id == row.id  # it is champion already
    assert rollback(world, to=2).version == 2
    with pytest.raises(RegistryError, match="was never champion"):
        rollback(world, to=9)
    with world.warehouse.begin() as connection:
        assert [detail["version"] for detail in events.list_rows(connection, kind="rollback")["detail"]] == [2, 1]


def test_the_slower_of_two_does_not_leave_an_old_picture(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While version 2 is being shown as champion, somebody rolls back to version 1."""
    apply(world, world.candidate(1), PROMOTE)
    second, set_alias = world.candidate(2), fake(world).set_alias

    def slow(line: Line, alias: str, version: int) -> None:
        monkeypatch.setattr(fake(world), "set_alias", set_alias)
        rollback(world)
        set_alias(line, alias, version)

    monkeypatch.setattr(fake(world), "set_alias", slow)
    apply(world, second, PROMOTE, champion=1)
    assert champions(world)[-1] == ("rollback", 1, 2)
    assert fake(world).set == {"champion": 1}


def test_a_rollback_without_mlflow_stands_and_must_not_be_repeated(world: World) -> None:
    apply(world, world.candidate(1), PROMOTE)
    apply(world, world.candidate(2), PROMOTE, champion=1)
    fake(world).down = True
    with pytest.raises(RegistryError, match="do not repeat the rollback") as caught:
        rollback(world)
    assert not caught.value.retryable
    assert champions(world)[-1] == ("rollback", 1, 2)
    fake(world).down = False
    reconcile(world.warehouse, world.settings, [world.line], at=AT)
    assert fake(world).set == {"champion": 1}


def approve(world: World, version: int, approved: bool = True) -> Promotion | None:
    return promotion.approve(world.warehouse, world.settings, world.line, version, approved=approved, actor="bob",
                             reason="looks fine", at=AT)


def test_people_have_the_last_word(world: World) -> None:
    human(world)
    candidate = world.candidate(1)
    assert apply(world, candidate, PROMOTE) is None
    assert fake(world).held[1].tags[STATE] == "awaiting_approval"
    assert approve(world, 1, approved=False) is None
    assert fake(world).held[1].tags[STATE] == "denied"
    assert apply(world, candidate, PROMOTE) is None
    row = approve(world, 1)
    assert row is not None
    assert row.actor == "bob"
    assert approve(world, 1) == row
    with pytest.raises(RegistryError, match="has been promoted already; use `tidemark rollback`"):
        approve(world, 1, approved=False)
    with world.warehouse.begin() as connection:
        assert list(events.list_rows(connection)["kind"]) == ["promotion", "approved", "denied"]


@pytest.mark.parametrize(("outcome", "words"), [(None, "has not judged it yet"), (REJECT, "says reject")])
def test_nobody_approves_what_the_gate_would_not_promote(world: World, outcome: Outcome | None, words: str) -> None:
    human(world)
    candidate = world.candidate(1)
    if outcome is not None:
        promotion.record(world.warehouse, world.line, candidate, said(outcome), at=AT)
    with pytest.raises(RegistryError, match=words):
        approve(world, 1)


def test_an_automatic_line_can_be_vetoed_beforehand(world: World) -> None:
    candidate = world.candidate(1)
    number = promotion.record(world.warehouse, world.line, candidate, said(PROMOTE), at=AT)
    assert promotion.record(world.warehouse, world.line, candidate, said(PROMOTE), at=AT) == number
    approve(world, 1, approved=False)
    assert apply(world, candidate, PROMOTE) is None


def test_reconcile_marks_what_only_mlflow_knows(world: World) -> None:
    apply(world, world.candidate(1), PROMOTE)
    known = fake(world).held[1]
    fake(world).held[2] = replace(known, version=2, run_id="dead", created_at=AT, tags={})
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT + timedelta(hours=1)) == []
    (sentence,) = reconcile(world.warehouse, world.settings, [world.line], at=AT + timedelta(hours=6))
    assert "version 2 is in MLflow but not in the ledger, marked stranded; its run is dead" in sentence
    assert fake(world).held[2].tags == {STATE: "stranded"}
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT + timedelta(hours=7)) == []
    with world.warehouse.begin() as connection:
        assert list(events.list_rows(connection, kind="repair")["detail"]) == [{"what": sentence}]


def test_reconcile_undoes_what_hands_did_and_tells_what_is_lost(world: World) -> None:
    apply(world, world.candidate(1), PROMOTE)
    fake(world).set = {"champion": 1, "challenger": 1}
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == [
        "direction_1h: alias challenger removed from version 1"]
    fake(world).held[2] = replace(fake(world).held.pop(1), version=2, tags={STATE: "stranded"})
    (sentence,) = reconcile(world.warehouse, world.settings, [world.line], at=AT)
    assert "versions [1] are in the ledger but not in MLflow" in sentence


def test_a_line_without_a_model_needs_no_repair(world: World) -> None:
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == []


def test_history_tells_who_why_and_on_what_evidence(world: World) -> None:
    for version, (outcome, champion) in enumerate(((PROMOTE, None), (REJECT, 1), (PROMOTE, 1)), start=1):
        candidate = world.candidate(version, START + version * DAY)
        promotion.apply(world.warehouse, world.settings, world.line, candidate, said(outcome, champion), actor="gate",
                        at=AT + version * timedelta(hours=1))
    promotion.record(world.warehouse, world.line, world.candidate(4), said(PROMOTE, 3), at=AT + timedelta(hours=4))
    promotion.rollback(world.warehouse, world.settings, world.line, to=None, actor="ann", reason="it loses money",
                       effective_at=START, at=AT + timedelta(hours=5))
    rows = history.rows(world.warehouse, world.line)
    assert [(row["action"], row["version"], row["replaced"], row["who"]) for row in rows] == [
        ("promote", 1, None, "gate"), ("reject", 2, None, "gate"), ("promote", 3, 1, "gate"),
        ("waits", 4, None, "gate"), ("rollback", 1, 3, "ann")]
    assert rows[0]["why"] == "The test says promote."
    assert (rows[0]["effect"], rows[0]["auc"], rows[0]["log_loss"], rows[0]["net_return"]) == (0.01, 0.6, 0.68, None)
    assert rows[1]["effective"] is None
    assert {len(row) for row in rows} == {len(rows[0])}
    assert list(rows[0]) == list(rows[-1])
