"""The policy's shell: read the state, decide, write to the ledger; and look after claims that nobody finishes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection

from pipelines.contracts.line import Line
from pipelines.contracts.records import DriftReport, RequestState
from pipelines.retrain.policy import Decision, PolicyState, decide
from pipelines.store import Warehouse, derived, events, ledger, tables

OPEN = (RequestState.PENDING, RequestState.CLAIMED)
#: A request whose claim ran out this often is given up: whatever serves it dies each time.
MAX_EXPIRIES = 3
EXPIRED, STUCK, ASKED = "claim_expired", "request_waiting", "retrain_requested"


def consider(warehouse: Warehouse, line: Line, report: DriftReport | None, *, as_of: datetime,
             at: datetime) -> Decision:
    """Ask the policy as of ``as_of`` and put its request, if it has one, into the ledger. Doing it again adds nothing.

    Args:
        report: what monitoring found as of ``as_of``, if it looked.
        at: wall clock of the caller, for the record.
    """
    with warehouse.begin() as connection:
        decision = decide(state(connection, line.name), line.retrain, report, as_of)
        if decision.request is None:
            return decision
        number, created = ledger.request_retrain(connection, decision.request, at=at)
        if not created:  # somebody else asked since the state was read
            return Decision(None, f"{decision.request.reason.value}: joined to open request {number}.")
        events.record(connection, at=at, kind=ASKED, line=line.name,
                      detail={"request": number, "reason": decision.request.reason.value, "as_of": as_of.isoformat()})
        return decision


def preview(warehouse: Warehouse, line: Line, report: DriftReport | None, *, as_of: datetime) -> Decision:
    """What `consider` would answer; nothing is written."""
    with warehouse.begin() as connection:
        return decide(state(connection, line.name), line.retrain, report, as_of)


def state(connection: Connection, line: str) -> PolicyState:
    """What the ledger knows about a line."""
    asked = ledger.requests(connection, line)
    waiting = [request for request in asked if request.state in OPEN]
    return PolicyState(line=line, last_training=ledger.last_training(connection, line),
                       last_request=max((request.as_of for request in asked), default=None),
                       open_request=waiting[-1] if waiting else None)


def watchdog(warehouse: Warehouse, lines: Iterable[Line], *, at: datetime) -> list[str]:
    """Look after the open requests: release expired claims (and give up after three), report requests that nobody
    takes. What was reported once is not reported again.

    Args:
        at: wall clock of the caller; claims and patience are measured in it.

    Returns:
        What was found, one sentence each; empty on a healthy system.
    """
    found: list[str] = []
    with warehouse.begin() as connection:
        for line in lines:
            for request in derived.read(connection, tables.retrain_requests, where={
                    "line": line.name, "state": [open_.value for open_ in OPEN]}).itertuples():
                sentence = _look_after(connection, line, request, at)
                if sentence:
                    found.append(sentence)
    return found


def _look_after(connection: Connection, line: Line, request: object, at: datetime) -> str | None:
    number, waits = int(request.id), timedelta(hours=line.retrain.claim_hours)  # type: ignore[attr-defined]
    if request.state == RequestState.CLAIMED.value:  # type: ignore[attr-defined]
        expires_at, holder = request.expires_at, request.claimed_by  # type: ignore[attr-defined]
        if pd.isna(expires_at) or expires_at > at:
            return None
        expiries = _seen(connection, line.name, EXPIRED, number) + 1
        events.record(connection, at=at, kind=EXPIRED, line=line.name,
                      detail={"request": number, "claimed_by": holder, "expiries": expiries})
        detail = f"the claim of {holder} ran out"
        if expiries >= MAX_EXPIRIES:
            ledger.finish_request(connection, number, RequestState.FAILED, at=at,
                                  detail=f"{detail} for the {expiries}. time; see the runs of the train DAG for why")
            return f"request {number} of {line.name} was given up: {detail} for the {expiries}. time"
        ledger.release_request(connection, number, at=at, detail=detail)
        return f"request {number} of {line.name} is pending again: {detail}"
    asked = request.requested_at  # type: ignore[attr-defined]
    if at - asked < waits or _seen(connection, line.name, STUCK, number):
        return None
    events.record(connection, at=at, kind=STUCK, line=line.name,
                  detail={"request": number, "requested_at": asked.isoformat()})
    return (f"request {number} of {line.name} has been waiting since {asked:%Y-%m-%d %H:%M} UTC; is the train DAG "
            "paused, or its pool full?")


def _seen(connection: Connection, line: str, kind: str, number: int) -> int:
    """How many events of this kind there are about a request."""
    known = events.list_rows(connection, kind=kind, line=line)
    return sum(detail.get("request") == number for detail in known["detail"])
