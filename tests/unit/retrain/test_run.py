"""The shell writes what the policy says, once; the watchdog looks after what is left open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, Reason, RequestState, RetrainRequest
from pipelines.retrain import run
from pipelines.store import Warehouse, events, ledger
from tests.unit.registry.world import make_line
from tests.unit.retrain.test_policy import NOW, report

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


def test_a_request_that_nobody_takes_is_reported_once(warehouse: Warehouse, line: Line) -> None:
    pending(warehouse)
    patience = timedelta(hours=line.retrain.claim_hours)
    assert run.watchdog(warehouse, [line], at=AT + patience - HOUR) == []
    (sentence,) = run.watchdog(warehouse, [line], at=AT + patience)
    assert "waiting since 2026-01-01 12:00 UTC" in sentence
    assert run.watchdog(warehouse, [line], at=AT + 2 * patience) == []
    with warehouse.begin() as connection:
        assert len(events.list_rows(connection, kind=run.ESCALATED, line="direction_1h")) == 1
    assert asked(warehouse)[0].state is RequestState.PENDING
