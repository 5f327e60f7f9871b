"""Rows as notices, one table of literal rows for each source; and rows of other versions, which say more or less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.notices import Notice, Severity
from pipelines.contracts.retraining import Cost
from pipelines.notify import findings, happenings
from pipelines.notify.wording import House
from tests.unit.registry.world import make_line

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
L = "direction_1h"
AUTO = House({L: make_line()}, "http://air.example")
HUMAN = House({L: make_line(gate={"approval": "human"})}, "http://air.example")
NEVER = House({L: make_line(gate={"shadow": {"when": "never"}})})
QUIET = {"data_drift": False, "prediction_drift": False, "performance_drift": False}
BEFORE = (*QUIET, "label_drift")


def report(before: dict[str, bool] | None = None, **now: Any) -> dict[str, Any]:
    return {"id": 1, "line": L, "as_of": AS_OF, "champion_version": 3, "share": 0.34, "columns": [], "metrics": {},
            "rows": 168, **QUIET, **{f"was_{name}": (before or {}).get(name) for name in BEFORE}, **now}


def request(**more: Any) -> dict[str, Any]:
    return {"id": 7, "line": L, "reason": "data_drift", "as_of": AS_OF, "requested_by": "policy", "state": "pending",
            "evidence": {}, "detail": None, "claimed_at": None, "finished_at": None, **more}


def verdict(outcome: str, champion: int | None = 3, **more: Any) -> dict[str, Any]:
    return {"id": 5, "line": L, "version": 4, "as_of": AS_OF, "outcome": outcome, "champion_version": champion,
            "reasons": ["Because."], "answered": None, **more}


def look(decision: str, purpose: str = "shadow", **more: Any) -> dict[str, Any]:
    return {"id": 9, "line": L, "purpose": purpose, "version": 4, "champion_version": 3, "as_of": AS_OF,
            "decision": decision, "reasons": ["It crossed."], "answered": None, **more}


def event(kind: str, line: str | None = None, /, **detail: Any) -> dict[str, Any]:
    return {"id": 11, "at": AS_OF, "kind": kind, "line": line, "detail": detail}


def said(notices: list[Notice]) -> list[tuple[str, str, str]]:
    return [(notice.kind, notice.severity.value, notice.title) for notice in notices]


@pytest.mark.parametrize(("before", "now", "expected"), [
    (None, {}, []),
    (None, {"data_drift": True}, [("drift", "warning", "direction_1h: data drift alarm")]),
    ({"data_drift": True}, {"data_drift": True}, []),
    ({"data_drift": True}, {}, [("drift", "info", "direction_1h: data drift alarm is over")]),
    ({"prediction_drift": True}, {"performance_drift": True}, [
        ("performance", "critical", "direction_1h: performance alarm"),
        ("drift", "info", "direction_1h: prediction drift alarm is over")]),
    (None, {"metrics": {"label_drift": 1.0}}, [("drift", "info", "direction_1h: label drift")]),
    ({"label_drift": True}, {"metrics": {"label_drift": 0.0}}, [
        ("drift", "info", "direction_1h: label drift is over")]),
])
def test_an_alarm_is_told_when_it_begins_and_when_it_ends(before: Any, now: Any, expected: Any) -> None:
    assert said(findings.of_report(report(before, **now), AUTO)) == expected


def test_an_alarm_says_how_far_and_which_columns() -> None:
    columns = [{"column": f"c{number}", "method": "ks", "score": number, "threshold": 1.0, "drifted": number > 1}
               for number in range(9)]
    (drift,) = findings.of_report(report(data_drift=True, columns=columns), AUTO)
    assert drift.body == (
        "As of 2024-03-01 00:00 UTC, champion v3.", "34% of the columns have drifted.", "  c8: ks 8.000, limit 1.000",
        "  c7: ks 7.000, limit 1.000", "  c6: ks 6.000, limit 1.000", "  c5: ks 5.000, limit 1.000",
        "  c4: ks 4.000, limit 1.000", "  and 2 more")
    assert drift.link == "http://air.example/dags/monitor_direction_1h"
    metrics = {"loss_current": 0.7123, "loss_reference": 0.6891, "loss_p": 0.002, "matured": 504.0, "auc": 0.49,
               "accuracy": None, "performance_days_ago": 3.5}
    (loss,) = findings.of_report(report(performance_drift=True, metrics=metrics), AUTO)
    assert loss.body[1:] == (
        "Since 2024-02-26.",
        "Log loss 0.7123 in the last days, its evidence promised 0.6891 (504 matured predictions).",
        "AUC 0.490, accuracy -.")


def test_what_a_richer_report_knows_is_told_too() -> None:
    columns = [{"column": "rsi", "method": "ks", "score": 2.0, "threshold": 1.0, "drifted": True, "effect": -1.234,
                "since": "2024-02-20", "importance": 0.2, "of another version": {}}]
    metrics = {"since": "2024-02-20T00:00:00+00:00", "impact": 0.21, "streak": 3.0, "unusual": []}
    (drift,) = findings.of_report(report(data_drift=True, columns=columns, metrics=metrics), AUTO)
    assert drift.body[1:] == (
        "Since 2024-02-20.", "34% of the columns have drifted, 21% of what the model looks at.",
        "  rsi: ks 2.000, limit 1.000, mean moved by -1.23 standard deviations")


@pytest.mark.parametrize(("row", "expected"), [
    (request(), [("info", "direction_1h: retraining requested (data_drift)", "request:7:asked")]),
    (request(state="claimed"), [("info", "direction_1h: retraining requested (data_drift)", "request:7:asked")]),
    (request(state="served"), [("info", "direction_1h: retraining requested (data_drift)", "request:7:asked"),
                               ("info", "direction_1h: retrained (data_drift)", "request:7:served")]),
    (request(state="failed"), [("info", "direction_1h: retraining requested (data_drift)", "request:7:asked"),
                               ("warning", "direction_1h: retraining failed (data_drift)", "request:7:failed")]),
    (request(state="failed", detail="expired: nobody has served it"), [
        ("info", "direction_1h: retraining requested (data_drift)", "request:7:asked"),
        ("warning", "direction_1h: retraining expired (data_drift)", "request:7:failed")]),
])
def test_a_request_is_told_when_made_and_when_closed(row: Any, expected: Any) -> None:
    found = findings.of_request(row, AUTO)
    assert [(notice.severity.value, notice.title, notice.key) for notice in found] == expected


def test_a_training_says_what_it_gave_and_what_it_cost() -> None:
    row = request(state="served", version=4, family="lightgbm", trials=24, claimed_at=AS_OF,
                  finished_at=AS_OF + timedelta(minutes=11), cost=Cost(1800.0, 900.0, 24))
    assert findings.of_request(row, AUTO)[1].body == (
        "Request 7 as of 2024-03-01 00:00 UTC is served. Trained v4 (lightgbm). The gate decides what becomes of it.",
        "Cost: 11 min, 0.50 CPU hours, 24 trials.")
    failed = request(state="failed", detail="conclude: TrainingError: no", evidence={
        "triggers": ["data_drift", "schedule"], "drifted": ["rsi", "ret"], "words": "please"})
    asked, gone = findings.of_request(failed, AUTO)
    assert asked.body[1:] == ("Also: schedule.", "“please”", "Drifted most: rsi, ret.")
    assert "Cause: conclude: TrainingError: no" in gone.body


@pytest.mark.parametrize(("row", "house", "expected"), [
    (verdict("reject"), AUTO, [("verdict", "info", "direction_1h: v4 is not better, champion v3 kept")]),
    (verdict("reject", None), AUTO, [("verdict", "info", "direction_1h: v4 is not better, still no champion")]),
    (verdict("inconclusive"), AUTO, [("verdict", "info", "direction_1h: v4 goes into shadow beside champion v3")]),
    (verdict("inconclusive"), NEVER, [
        ("verdict", "info", "direction_1h: the evidence on v4 is inconclusive, the champion stays")]),
    (verdict("promote"), AUTO, []),  # the promotion tells it
    (verdict("promote"), HUMAN, [("approval", "warning", "direction_1h: v4 waits for your approval")]),
    (verdict("promote", answered=False), HUMAN, []),
    (verdict("promote"), House(), []),  # a line that is gone
])
def test_a_verdict_says_what_follows(row: Any, house: House, expected: Any) -> None:
    assert said(findings.of_verdict(row, house)) == expected


@pytest.mark.parametrize(("row", "house", "expected"), [
    (look("continue"), HUMAN, []),
    (look("promote"), AUTO, []),
    (look("promote", "rollback"), HUMAN, []),
    (look("reject"), AUTO, [("verdict", "info", "direction_1h: challenger v4 is given up, champion v3 kept")]),
    (look("promote"), HUMAN, [("approval", "warning", "direction_1h: v4 waits for your approval")]),
    (look("promote", answered=True), HUMAN, []),
])
def test_the_look_that_ends_a_shadow_is_told(row: Any, house: House, expected: Any) -> None:
    assert said(findings.of_look(row, house)) == expected


def test_who_waits_for_approval_is_told_how_to_give_it() -> None:
    (asked,) = findings.of_verdict(verdict("promote"), HUMAN)
    assert any("Required actions" in line for line in asked.body)
    (after,) = findings.of_look(look("promote"), HUMAN)
    assert any("nothing in Airflow asks" in line for line in after.body)
    for notice in (asked, after):
        assert '  tidemark approve direction_1h 4 --reason "..."' in notice.body
        assert '  tidemark deny direction_1h 4 --reason "..."' in notice.body
    (done,) = findings.of_approval({"id": 1, "line": L, "version": 4, "approved": False, "actor": "ann",
                                    "reason": "odd", "decided_at": AS_OF}, HUMAN)
    assert (done.title, done.body) == ("direction_1h: v4 was denied", ("By ann: odd",))


@pytest.mark.parametrize(("action", "actor", "previous", "severity", "title"), [
    ("promote", "gate", None, "info", "direction_1h: v4 is champion, the first one"),
    ("promote", "gate", 3, "info", "direction_1h: v4 is champion, after v3"),
    ("rollback", "cli:ann", 3, "warning", "direction_1h: rolled back to v4, after v3"),
    ("rollback", "gate", 3, "critical", "direction_1h: rolled back to v4, after v3"),
])
def test_another_champion_is_told(action: str, actor: str, previous: int | None, severity: str, title: str) -> None:
    (notice,) = findings.of_promotion({
        "id": 2, "line": L, "version": 4, "previous": previous, "action": action, "actor": actor, "reason": "Because.",
        "effective_at": AS_OF, "recorded_at": AS_OF}, AUTO)
    assert (notice.kind, notice.severity.value, notice.title) == ("champion", severity, title)
    assert ("tidemark rollback" in " ".join(notice.body)) is (action == "rollback")


@pytest.mark.parametrize(("row", "expected"), [
    (event("stale", kind="bars", series="BTCUSDT 1h", age_hours=9.5, deadline_hours=6),
     ("stale", "warning", "bars of BTCUSDT 1h went silent")),
    (event("late", dag="ingest_market", run="r1", partition="2024-03-01", deadline="2024-03-01T01:00:00Z"),
     ("late", "warning", "ingest_market is late")),
    (event("claim_expired", L, request=7, claimed_by="train/r1", expiries=2),
     ("retrain", "warning", "direction_1h: the training died, its request waits again")),
    (event("request_waiting", L, request=7, requested_at="2024-03-01T00:00:00+00:00"),
     ("retrain", "critical", "direction_1h: nobody serves a retrain request")),
    (event("retrain_over_budget", L, until="2024-04-01T00:00:00+00:00", text="8 of 8 runs this month."),
     ("retrain", "warning", "direction_1h: the budget for retraining is spent")),
    (event("retrain_not_better", L, version=4, in_a_row=1, text="v4 is not better"), None),
    (event("retrain_not_better", L, version=4, in_a_row=3, text="v4 is not better"),
     ("verdict", "info", "direction_1h: not better for the 3. time in a row")),
    (event("request_expired", L, request=7, reason="nobody"), None),  # the request's own row tells it
    (event("channel_down", channel="smtp", error="no"), ("channel", "warning",
                                                         "notifications by smtp do not get through")),
    (event("channel_up", channel="smtp"), ("channel", "info", "notifications by smtp get through again")),
    (event("repair", L, what="an alias"), None),
    (event("of another version", L), None),
])
def test_system_events_that_people_hear_of(row: Any, expected: Any) -> None:
    assert said(happenings.of_event(row, AUTO)) == ([expected] if expected else [])


@pytest.mark.parametrize(("run", "tries", "retryable", "told"), [
    ("train_direction_1h/r1", 1, False, True), ("train_direction_1h/r1", 8, True, False),
    ("train_direction_1h/r1", 9, True, True), ("train_direction_1h/r1", 2, None, False),
    ("train_direction_1h/r1", 3, None, True), ("notify/r1", 1, False, False)])
def test_a_failure_is_told_when_it_is_final(run: str, tries: int, retryable: bool | None, told: bool) -> None:
    found = happenings.of_event(event("task_failed", run=run, task="trials", map_index=1, error="E: why",
                                      retryable=retryable, **{"try": tries}), AUTO)
    assert said(found) == ([("task_failed", "warning", "train_direction_1h: trials[1] failed")] if told else [])
    if told:
        assert found[0].line == L
        assert found[0].key == f"task:train_direction_1h/r1:trials[1]:{tries}"
        assert found[0].link == "http://air.example/dags/train_direction_1h/runs/r1"


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
KNOWN = st.sampled_from(["kind", "series", "age_hours", "deadline_hours", "dag", "run", "partition", "deadline", "task",
                         "request", "requested_at", "expires_at", "expiries", "channel", "error", "claimed_by", "text",
                         "until", "in_a_row"])


@given(st.sampled_from(sorted(happenings.EVENTS)), st.dictionaries(KNOWN, JSON, max_size=6))
def test_an_event_of_another_version_breaks_nothing(kind: str, detail: dict[str, Any]) -> None:
    for notice in happenings.of_event(event(kind, L, **detail), AUTO):
        assert notice.title
        assert "\n" not in notice.title + "".join(notice.body)


def test_every_notice_has_a_time_and_one_line_of_title() -> None:
    from pipelines.errors import ContractError

    with pytest.raises(ContractError, match="no time zone"):
        Notice("x", None, Severity.INFO, "t", (), "k", datetime(2024, 1, 1))
    made = Notice("x", None, Severity.INFO, "a\nb\x00c" * 100, ("l" * 5000,) * 900, "k", AS_OF, link="javascript:x")
    assert len(made.title) == 150
    assert "\n" not in made.title
    assert len(made.body) == 400
    assert made.body[-1] == "… 501 lines"
    assert max(map(len, made.body)) == 600
    assert made.link == ""
