"""The policy against its own manual."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.records import ColumnDrift, DriftReport, Reason, RequestState, RetrainRequest
from pipelines.contracts.retraining import Retrain
from pipelines.retrain import Check, Phase, PolicyState, Run, Training, decide
from pipelines.retrain.memory import cooldown, not_better
from pipelines.retrain.policy import ask

NOW = datetime(2024, 6, 1, tzinfo=UTC)
RULES = Retrain(on=("performance", "data_drift", "prediction_drift", "schedule"), every_days=30, cooldown_days=4,
                min_new_days=7)
MANUAL = Path(__file__).resolve().parents[3] / "docs" / "retraining.md"


def table(heading: str) -> list[list[str]]:
    """The rows of the table in a section of the manual."""
    section = MANUAL.read_text(encoding="utf-8").split(f"# {heading}\n")[1].split("\n##")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row.startswith("|")]
    return rows[2:]


def transitions() -> list[list[str]]:
    return table("Transitions")


def report(*findings: str, as_of: datetime = NOW, champion: int | None = 1, share: float = 2 / 3,
           rise: float = 0.02) -> DriftReport:
    columns = (ColumnDrift("rsi", "wasserstein", 0.9, 0.3, True), ColumnDrift("vol", "wasserstein", 0.1, 0.3, False),
               ColumnDrift("ret", "wasserstein", 2.0, 0.3, True))
    return DriftReport(
        line="direction_1h", as_of=as_of, columns=columns, share=share, data_drift="data_drift" in findings,
        prediction_drift="prediction_drift" in findings, performance_drift="performance" in findings,
        metrics={"loss_reference": 0.69, "loss_current": 0.69 + rise, "loss_p": float("nan")},
        champion_version=champion, reference_digest="d", rows=600)


def days_ago(cell: str) -> datetime | None:
    return None if cell == "-" else NOW - timedelta(days=int(cell))


def test_the_manual_has_its_table() -> None:
    assert len(transitions()) >= 20


@pytest.mark.parametrize("row", transitions(), ids=" | ".join)
def test_transitions(row: list[str]) -> None:
    open_state, training, request, findings, phase, answer = row
    waiting = None if open_state == "-" else RetrainRequest(
        "direction_1h", Reason.MANUAL, NOW, "ann", id=9, state=RequestState(open_state))
    state = PolicyState("direction_1h", days_ago(training), days_ago(request), waiting)
    decision = decide(state, RULES, report(*findings.split(", ")), NOW)
    assert decision.phase == phase
    if answer.startswith("request "):
        assert decision.request is not None
        assert decision.request.reason == answer.removeprefix("request ")
        assert (decision.request.as_of, decision.request.line) == (NOW, "direction_1h")
    else:
        assert decision.request is None
        assert answer in decision.reason_text.lower()


def lets_go(cell: str) -> datetime | None:
    return None if cell == "-" else NOW + timedelta(days=int(cell))


@pytest.mark.parametrize("row", table("An alarm that was answered, and trainings in vain"), ids=" | ".join)
def test_hysteresis_and_back_off(row: list[str]) -> None:
    trainings, alarms, today, phase, days = row
    marks = {"+": True, "-": False, "?": None}
    made = [Training(NOW - timedelta(days=int(ago)), number + 2, marks[mark]) for number, (ago, mark) in enumerate(
        item.split() for item in trainings.split(", "))]
    kind, first, last, loud = alarms.split()
    checks = [Check(NOW - timedelta(days=ago), 1, {Reason(kind): float(loud)} if int(last) <= ago <= int(first) else {})
              for ago in range(90, 0, -1)]
    if marks["+"] in [item.better for item in made]:  # its champion is watched since
        promoted = max(item.as_of for item in made if item.better)
        checks = [Check(item.as_of, 1 + (item.as_of > promoted), item.levels) for item in checks]
    state = PolicyState("direction_1h", made[-1].as_of, made[-1].as_of, trainings=made, checks=checks)
    kind, loud = today.split()
    now = report(kind, champion=checks[-1].champion, share=float(loud), rise=float(loud))
    decision = decide(state, Retrain(cooldown_days=4, min_new_days=7), now, NOW)
    assert (decision.phase, decision.until) == (phase, lets_go(days))
    assert (decision.request is not None) is (phase == "asks")


@pytest.mark.parametrize(("triggers", "rest"), [((Reason.SCHEDULE,), 4), ((Reason.NEW_DATA, Reason.CODE_CHANGE), 4),
                                                ((Reason.SCHEDULE, Reason.PERFORMANCE), 16), ((), 16)])
def test_what_no_alarm_asked_for_is_not_in_vain(triggers: tuple[Reason, ...], rest: int) -> None:
    """Weekly refusals of a healthy champion's rivals do not slow down the answer to an alarm."""
    made = [Training(NOW - timedelta(days=ago), 30 - ago, False, triggers) for ago in (10, 3)]
    checks = [Check(NOW - timedelta(days=ago), 1, {Reason.PERFORMANCE: 0.02}) for ago in range(40, 0, -1)]
    state = PolicyState("direction_1h", made[-1].as_of, made[-1].as_of, trainings=made, checks=checks)
    assert cooldown(Retrain(cooldown_days=4), not_better(state, Retrain(cooldown_days=4), NOW)) == timedelta(days=rest)


@pytest.mark.parametrize("row", table("Budget"), ids=" | ".join)
def test_budget(row: list[str]) -> None:
    runs, phase, days = row
    made = [Run(NOW - timedelta(days=int(ago)), 3600 * float((hours or "0h").removesuffix("h")))
            for ago, _, hours in (item.partition(" ") for item in runs.split(", "))]
    decision = decide(PolicyState("direction_1h", runs=made), Retrain(budget_runs=3, budget_cpu_hours=4),
                      report("performance"), NOW)
    assert (decision.phase, decision.until) == (phase, lets_go(days))
    assert "budget is spent" in decision.reason_text or phase == "asks"


def test_the_request_carries_its_evidence() -> None:
    state = PolicyState("direction_1h", NOW - timedelta(days=10), NOW - timedelta(days=10))
    decision = decide(state, RULES, report("data_drift", "performance"), NOW)
    assert decision.request is not None
    evidence = decision.request.evidence
    assert evidence["levels"].pop("performance") == pytest.approx(0.02)
    assert evidence == {
        "triggers": ["performance", "data_drift"], "last_training": "2024-05-22T00:00:00+00:00", "share": 2 / 3,
        "champion_version": 1, "rows": 600, "drifted": ["ret", "rsi"], "levels": {"data_drift": 2 / 3},
        "metrics": {"loss_reference": 0.69, "loss_current": 0.71}}


@pytest.mark.parametrize(("rules", "known", "reason", "evidence"), [
    ({"on": ["new_data"], "new_rows": 500}, {"new": (500, 3)}, "new_data", {"new_rows": 500, "new_days": 3}),
    ({"on": ["new_data"], "new_rows": 501}, {"new": (500, 3)}, None, {}),
    ({"on": ["new_data"], "new_days": 3}, {"new": (500, 3)}, "new_data", {"new_rows": 500, "new_days": 3}),
    ({"on": ["code_change"]}, {"changed": ("code",)}, "code_change", {"changed": ["code"]}),
    ({"on": ["code_change"]}, {"changed": ()}, None, {}),
    ({"on": []}, {"changed": ("code",)}, None, {}),
])
def test_new_data_and_changed_code(rules: dict, known: dict, reason: str | None, evidence: dict) -> None:
    state = PolicyState("direction_1h", NOW - timedelta(days=10), NOW - timedelta(days=10), **known)
    decision = decide(state, Retrain(**rules), None, NOW)
    assert (decision.request and decision.request.reason) == reason
    if decision.request is not None:
        assert evidence.items() <= decision.request.evidence.items()


def test_too_few_new_rows() -> None:
    ago = NOW - timedelta(days=10)
    rules = Retrain(min_new_rows=100)
    decision = decide(PolicyState("direction_1h", ago, ago, new=(99, 10)), rules, report("performance"), NOW)
    assert (decision.phase, decision.request) == (Phase.WAITING_FOR_DATA, None)
    assert "waiting for 100 new rows of data, there are 99" in decision.reason_text
    assert decide(PolicyState("direction_1h", ago, ago, new=(100, 10)), rules, report("performance"), NOW).request


HELD = [PolicyState("direction_1h", NOW, NOW),
        PolicyState("direction_1h", NOW - timedelta(days=1), NOW - timedelta(days=1)),
        PolicyState("direction_1h", NOW - timedelta(days=20), NOW - timedelta(days=5), new=(1, 1)),
        PolicyState("direction_1h", runs=[Run(NOW)] * 10)]


@pytest.mark.parametrize(("state", "phase"), zip(HELD, (
    Phase.ASKED_ALREADY, Phase.COOLING, Phase.WAITING_FOR_DATA, Phase.OVER_BUDGET), strict=True))
def test_a_person_is_refused_and_passes_by_force(state: PolicyState, phase: Phase) -> None:
    rules = Retrain(min_new_rows=100)
    refused = ask(state, rules, NOW, by="ann", words="fees changed")
    assert (refused.phase, refused.request) == (phase, None)
    forced = ask(state, rules, NOW, by="ann", words="fees changed", force=True)
    assert forced.request is not None
    assert (forced.request.reason, forced.request.requested_by) == (Reason.MANUAL, "ann")
    past = forced.request.evidence["forced"].pop("past")
    assert past in refused.reason_text
    assert forced.request.evidence == {"words": "fees changed", "forced": {"by": "ann", "reason": "fees changed"}}


def test_force_does_not_pass_a_training_in_flight() -> None:
    waiting = RetrainRequest("direction_1h", Reason.SCHEDULE, NOW, "policy", id=3)
    decision = ask(PolicyState("direction_1h", open_request=waiting), Retrain(), NOW, by="ann", words="now", force=True)
    assert (decision.phase, decision.request) == (Phase.IN_FLIGHT, None)
    assert [(wish.requested_by, wish.evidence) for wish in decision.joins] == [("ann", {"words": "now"})]


@pytest.mark.parametrize(("rules", "given_report", "words"), [
    (Retrain(on=("performance",)), report("data_drift"), "does not retrain on it"),
    (Retrain(), report(champion=None), "no champion to watch"),
    (Retrain(), report(), "67% of the columns have drifted"),
    (Retrain(), None, "No check"),
])
def test_doing_nothing_has_a_reason_too(rules: Retrain, given_report: DriftReport | None, words: str) -> None:
    decision = decide(PolicyState("direction_1h"), rules, given_report, NOW)
    assert decision.request is None
    assert words in decision.reason_text


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40))
def test_going_back_in_time_asks_for_nothing_again(days: list[int]) -> None:
    """A backfill of old days, in any order, after a training as of the newest one."""
    newest = NOW + timedelta(days=max(days))
    for day in days:
        now = NOW + timedelta(days=day)
        state = PolicyState("direction_1h", newest, newest)
        assert decide(state, Retrain(cooldown_days=0, min_new_days=0), report("data_drift"), now).request is None
