"""The shell writes what the policy says, once; the watchdog looks after what is left open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Candidate, Outcome, Reason, RequestState, RetrainRequest
from pipelines.contracts.retraining import Cost
from pipelines.retrain import Decision, Phase, explain, history, run
from pipelines.store import Warehouse, events, facts, ledger
from pipelines.training import lineage
from tests.unit.registry.world import make_line, said
from tests.unit.retrain.test_policy import NOW, report
from tests.unit.retrain.test_storm import monitored

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def line() -> Line:
    return make_line(retrain={"cooldown_days": 4, "min_new_days": 7})


def trained(warehouse: Warehouse, as_of: datetime, version: int = 1) -> None:
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, Candidate(
            "direction_1h", version, f"run{version}", "lightgbm", as_of, as_of, "s", "e", 16), at=AT)


def asked(warehouse: Warehouse) -> list[RetrainRequest]:
    with warehouse.begin() as connection:
        return ledger.requests(connection, "direction_1h")


def test_a_request_is_written_once(warehouse: Warehouse, line: Line) -> None:
    trained(warehouse, NOW - timedelta(days=20))
    first = run.consider(warehouse, line, report("data_drift"), as_of=NOW, at=AT)
    again = run.consider(warehouse, line, report("data_drift"), as_of=NOW, at=AT + HOUR)
    later = run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=1), at=AT + HOUR)
    assert first.request is not None
    assert (again.request, later.request) == (None, None)
    assert "joined to open request 1" in later.reason_text
    (request,) = asked(warehouse)
    assert (request.reason, request.as_of, request.requested_by) == (Reason.DATA_DRIFT, NOW, "policy")
    assert request.evidence["drifted"] == ["ret", "rsi"]
    with warehouse.begin() as connection:
        assert list(events.list_rows(connection, kind=run.ASKED)["detail"]) == [
            {"request": 1, "reason": "data_drift", "as_of": NOW.isoformat()}]


def test_a_served_request_starts_the_cooldown(warehouse: Warehouse, line: Line) -> None:
    trained(warehouse, NOW - timedelta(days=20))
    run.consider(warehouse, line, report("data_drift"), as_of=NOW, at=AT)
    with warehouse.begin() as connection:
        ledger.finish_request(connection, 1, RequestState.SERVED, at=AT)
    trained(warehouse, NOW, version=2)
    soon = run.consider(warehouse, line, report("data_drift"), as_of=NOW + timedelta(days=3), at=AT)
    assert "cooling down until 2024-06-05 00:00 UTC" in soon.reason_text
    late = run.consider(warehouse, line, report("data_drift"), as_of=NOW + timedelta(days=7), at=AT)
    assert late.request is not None
    assert [request.state for request in asked(warehouse)] == [RequestState.SERVED, RequestState.PENDING]


def test_no_alarm_no_request(warehouse: Warehouse, line: Line) -> None:
    assert run.consider(warehouse, line, report(), as_of=NOW, at=AT).request is None
    assert asked(warehouse) == []


def pending(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        ledger.request_retrain(connection, RetrainRequest("direction_1h", Reason.MANUAL, NOW, "ann"), at=AT)


def claim(warehouse: Warehouse, at: datetime) -> None:
    with warehouse.begin() as connection:
        assert ledger.claim_request(connection, "direction_1h", claimed_by="worker", at=at, expires_at=at + HOUR)


def test_an_expired_claim_goes_back_and_is_given_up_the_third_time(warehouse: Warehouse, line: Line) -> None:
    pending(warehouse)
    for number in (1, 2, 3):
        at = AT + number * 4 * HOUR
        claim(warehouse, at)
        assert run.watchdog(warehouse, [line], at=at + HOUR / 2) == []
        (sentence,) = run.watchdog(warehouse, [line], at=at + HOUR)
        assert ("given up" in sentence) is (number == 3)
        assert asked(warehouse)[0].state is (RequestState.FAILED if number == 3 else RequestState.PENDING)
    assert run.watchdog(warehouse, [line], at=AT + 1000 * HOUR) == []
    with warehouse.begin() as connection:
        seen = events.list_rows(connection, kind=run.EXPIRED)["detail"]
    assert [detail["expiries"] for detail in seen] == [3, 2, 1]


def test_a_request_that_nobody_takes_is_escalated_once_and_then_expires(warehouse: Warehouse, line: Line) -> None:
    pending(warehouse)
    patience, longest = timedelta(hours=line.retrain.claim_hours), timedelta(hours=line.retrain.expire_hours)
    assert run.watchdog(warehouse, [line], at=AT + patience - HOUR) == []
    late = AT + 10 * patience  # nobody looked for a while: the request still has its time
    (sentence,) = run.watchdog(warehouse, [line], at=late)
    assert "waiting since 2026-01-01 12:00 UTC" in sentence
    assert run.watchdog(warehouse, [line], at=late + longest - HOUR) == []
    assert asked(warehouse)[0].state is RequestState.PENDING
    claim(warehouse, late + longest - HOUR)  # somebody is at work: it does not expire
    assert run.watchdog(warehouse, [line], at=late + longest - HOUR / 2) == []
    with warehouse.begin() as connection:
        ledger.release_request(connection, 1, at=late, detail="MLflow is down")
    (sentence,) = run.watchdog(warehouse, [line], at=late + longest)
    assert "has expired: nobody has served it since 2026-01-01 12:00 UTC; its last try: MLflow is down" in sentence
    assert run.watchdog(warehouse, [line], at=late + 2 * longest) == []
    assert asked(warehouse)[0].state is RequestState.FAILED
    with warehouse.begin() as connection:
        kinds = [len(events.list_rows(connection, kind=kind)) for kind in (run.ESCALATED, run.UNSERVED)]
    assert kinds == [1, 1]


def test_a_request_of_a_line_that_is_gone_expires_too(warehouse: Warehouse) -> None:
    pending(warehouse)
    for days in (1, 4):
        assert len(run.watchdog(warehouse, [], at=AT + timedelta(days=days))) == 1
    assert asked(warehouse)[0].state is RequestState.FAILED


def test_the_watchdog_leaves_alone_what_somebody_is_claiming(warehouse: Warehouse, line: Line) -> None:
    pending(warehouse)
    with warehouse.begin() as claiming:
        assert ledger.claim_request(claiming, "direction_1h", claimed_by="w", at=AT, expires_at=AT + HOUR)
        assert run.watchdog(warehouse, [line], at=AT + 1000 * HOUR) == []


def test_an_expired_request_costs_no_run_and_starts_the_cooldown(warehouse: Warehouse) -> None:
    line = make_line(retrain={"cooldown_days": 2, "budget_runs": 1})
    run.consider(warehouse, line, report("performance"), as_of=NOW, at=AT)
    with warehouse.begin() as connection:
        ledger.finish_request(connection, 1, RequestState.FAILED, at=AT)
    soon = run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=1), at=AT)
    assert soon.phase is Phase.COOLING
    later = run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=2), at=AT)
    assert later.request is not None


def test_a_spent_budget_is_told_once_with_the_time_it_frees(warehouse: Warehouse) -> None:
    line = make_line(retrain={"cooldown_days": 0, "min_new_days": 0, "budget_cpu_hours": 0.5})
    run.consider(warehouse, line, report("performance"), as_of=NOW, at=AT)
    with warehouse.begin() as connection:
        for seconds in (900.0, 1000.0):
            ledger.add_step(connection, "direction_1h", "trials", Cost(seconds, 2000.0, 3), request_id=1, run_id="run1")
        ledger.finish_request(connection, 1, RequestState.FAILED, at=AT)
        assert ledger.cost_of_run(connection, "direction_1h", "run1") == Cost(1900.0, 4000.0, 6)
    for day in (1, 2, 29):
        refused = run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=day), at=AT)
        assert (refused.phase, refused.until) == (Phase.OVER_BUDGET, NOW + timedelta(days=30))
        assert "0.53 of 0.5 CPU hours in 30 days" in refused.reason_text
    with warehouse.begin() as connection:
        assert len(events.list_rows(connection, kind=run.OVER_BUDGET)) == 1
    assert run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=30), at=AT).request


def ask(warehouse: Warehouse, line: Line, as_of: datetime = NOW, **given: Any) -> Decision:
    with warehouse.begin() as connection:
        return run.ask(connection, line, as_of=as_of, by="ann", words="fees changed", at=AT, **given)


def test_a_person_is_told_no_forces_and_joins(warehouse: Warehouse, line: Line) -> None:
    trained(warehouse, NOW - timedelta(days=1))
    assert ask(warehouse, line).phase is Phase.COOLING
    assert asked(warehouse) == []
    assert ask(warehouse, line, force=True).request is not None
    (request,) = asked(warehouse)
    assert request.evidence["forced"]["by"] == "ann"
    assert "cooling down until" in request.evidence["forced"]["past"]
    joined = ask(warehouse, line, NOW + timedelta(days=1), force=True)
    assert (joined.phase, joined.request) == (Phase.IN_FLIGHT, None)
    assert [entry["requested_by"] for entry in asked(warehouse)[0].evidence["joined"]] == ["ann"]


def test_a_training_in_vain_is_told_once_and_doubles_the_cooldown(warehouse: Warehouse, line: Line) -> None:
    assert run.settle(warehouse, line, at=AT) is None
    trained(warehouse, NOW)
    assert run.settle(warehouse, line, at=AT) is None  # no verdict yet
    with warehouse.begin() as connection:
        ledger.add_verdict(connection, "direction_1h", 1, said(Outcome.REJECT), as_of=NOW, at=AT)
    told = run.settle(warehouse, line, at=AT)
    assert told is not None
    assert "there is still no champion; cooling down until 2024-06-09 00:00 UTC" in told
    assert run.settle(warehouse, line, at=AT + HOUR) is None
    with warehouse.begin() as connection:
        (detail,) = events.list_rows(connection, kind=run.IN_VAIN, line="direction_1h")["detail"]
    assert (detail["version"], detail["outcome"], detail["in_a_row"]) == (1, "reject", 1)
    held = run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=7), at=AT)
    assert (held.phase, held.until) == (Phase.COOLING, NOW + timedelta(days=8))


def test_what_was_asked_what_came_of_it_and_what_it_cost(warehouse: Warehouse, line: Line) -> None:
    run.consider(warehouse, line, report("data_drift"), as_of=NOW, at=AT)
    run.consider(warehouse, line, report("performance"), as_of=NOW + timedelta(days=1), at=AT)
    with warehouse.begin() as connection:
        ledger.add_step(connection, "direction_1h", "conclude", Cost(5.0, 6.0, 0), request_id=1, run_id="run1")
        ledger.add_candidate(connection, Candidate("direction_1h", 1, "run1", "lightgbm", NOW, NOW, "s", "e", 16, 1),
                             at=AT)
        ledger.finish_request(connection, 1, RequestState.SERVED, at=AT, detail="version 1")
        ledger.add_verdict(connection, "direction_1h", 1, said(Outcome.PROMOTE), as_of=NOW, at=AT)
        ledger.append_promotion(connection, "direction_1h", 1, action=Action.PROMOTE, expected_previous=None, actor="a",
                                reason="r", effective_at=NOW, at=AT)
        (row,) = history.rows(connection, "direction_1h")
    wanted = {"request": 1, "reason": "data_drift", "triggers": ["data_drift", "performance"], "state": "served",
              "version": 1, "verdict": "promote", "promoted": True, "cpu_seconds": 5.0, "wall_seconds": 6.0,
              "trials": 0, "forced": None, "as_of": NOW, "finished_at": AT}
    assert wanted.items() <= row.items()


def test_the_recipe_of_the_champion_against_today(warehouse: Warehouse) -> None:
    line = make_line(retrain={"on": ["code_change"]})
    ago = NOW - timedelta(days=20)

    def decision(as_of: datetime) -> Decision:
        return run.consider(warehouse, line, None, as_of=as_of, at=AT)

    def made(version: int, recipe: dict[str, str], as_of: datetime) -> None:
        trained(warehouse, as_of, version)
        with warehouse.begin() as connection:
            ledger.add_step(connection, "direction_1h", "open", Cost(), request_id=None, run_id=f"run{version}",
                            recipe=recipe)

    today = lineage.recipe(line)
    trained(warehouse, ago)
    with warehouse.begin() as connection:
        ledger.append_promotion(connection, "direction_1h", 1, action=Action.PROMOTE, expected_previous=None, actor="a",
                                reason="r", effective_at=ago, at=AT)
    assert decision(NOW).phase is Phase.QUIET  # nobody knows what version 1 was made by
    made(2, today | {"code": "older"}, ago + timedelta(days=1))
    with warehouse.begin() as connection:
        ledger.append_promotion(connection, "direction_1h", 2, action=Action.PROMOTE, expected_previous=1, actor="a",
                                reason="r", effective_at=ago, at=AT)
    found = decision(NOW)
    assert found.request is not None
    assert (found.request.reason, found.request.evidence["changed"]) == (Reason.CODE_CHANGE, ["code"])
    with warehouse.begin() as connection:
        ledger.finish_request(connection, 1, RequestState.SERVED, at=AT)
    made(3, today, NOW)  # with today's recipe, and not better: that has been tried
    assert decision(NOW + timedelta(days=100)).phase is Phase.QUIET


def test_a_recipe_changes_with_what_shapes_a_model_and_with_nothing_else(line: Line) -> None:
    recipe = lineage.recipe(line)
    assert lineage.recipe(make_line(title="Renamed", gate={"min_rows": 70}, retrain={})) == recipe
    other = lineage.recipe(make_line(features={"groups": ["returns"]}))
    assert {part for part in recipe if recipe[part] != other[part]} == {"configuration", "features", "code"}
    more = lineage.recipe(make_line(search={"families": ["lightgbm"], "trials": 3}))
    assert {part for part in recipe if recipe[part] != more[part]} == {"configuration"}


def test_new_data_is_counted_in_the_warehouse(warehouse: Warehouse) -> None:
    line = make_line(symbols=["BTC"], retrain={"on": ["new_data"], "new_rows": 50})
    trained(warehouse, NOW - timedelta(days=10))
    opened = pd.date_range(NOW - timedelta(days=11), periods=4 * 24, freq="h", unit="us")
    one = pd.DataFrame({
        "interval": "1h", "event_time": opened, "available_at": opened + pd.Timedelta(hours=1), "open": 1.0,
        "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "source": "test"})
    bars = pd.concat([one.assign(symbol=symbol) for symbol in ("BTC", "X")])
    facts.write(warehouse, Kind.BARS, bars)
    revised = bars.assign(close=1.5, high=1.5, available_at=bars["available_at"] + pd.Timedelta(minutes=1))
    facts.write(warehouse, Kind.BARS, revised)  # a correction is not new data
    early = run.consider(warehouse, line, None, as_of=NOW - timedelta(days=10) + 49 * HOUR, at=AT)
    assert early.phase is Phase.QUIET
    with warehouse.begin() as connection:
        found = explain.now(connection, line, NOW)
    assert (found["new_rows"], found["new_days"], found["state"], found["triggers"]) == (72, 3, "asks", ["new_data"])
    decision = run.consider(warehouse, line, None, as_of=NOW, at=AT)
    assert decision.request is not None
    assert decision.request.reason is Reason.NEW_DATA


def test_it_explains_where_the_line_stands(warehouse: Warehouse, line: Line) -> None:
    def stands(as_of: datetime = NOW) -> dict[str, Any]:
        with warehouse.begin() as connection:
            return explain.now(connection, line, as_of)

    assert (stands()["state"], stands()["would"], stands()["checked"]) == ("quiet", "asks", None)
    trained(warehouse, NOW - timedelta(days=1))
    cooling = stands()
    assert (cooling["state"], cooling["until"]) == ("cooling", NOW + timedelta(days=3))
    assert (cooling["cooldown_days"], cooling["budget"]["runs"], cooling["budget"]["of_runs"]) == (4, 0, 10)
    monitored(warehouse, report("performance"))
    ringing = stands(NOW + HOUR)
    assert ringing["checked"] == NOW
    assert ringing["alarms"] == {"performance": pytest.approx(0.02)}
    assert ringing["says"] == "performance: cooling down until 2024-06-04 00:00 UTC."
    ask(warehouse, line, NOW + HOUR, force=True)
    flying = stands(NOW + 2 * HOUR)
    assert (flying["state"], flying["open_request"]["request"]) == ("in_flight", 1)
