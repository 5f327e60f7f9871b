"""Nothing stays open for ever: claims that nobody finishes, requests that nobody takes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from pipelines.contracts.line import Line
from pipelines.contracts.records import RequestState
from pipelines.contracts.retraining import Retrain
from pipelines.store import Warehouse, events, ledger

#: A request whose claim ran out this often is given up: whatever serves it dies each time.
MAX_EXPIRIES = 3
#: Kinds of the events that are written here.
EXPIRED, ESCALATED, UNSERVED = "claim_expired", "request_waiting", "request_expired"


def watchdog(warehouse: Warehouse, lines: Iterable[Line], *, at: datetime) -> list[str]:
    """Look after the open requests, also of lines that are declared no more: release expired claims (and give up after
    three), report requests that nobody takes, and after that close them as failed with their cause.

    A request is escalated once, ``claim_hours`` after it was made, and expires ``expire_hours`` after that, unless
    somebody is at work on it. So after a stop of days it still has its time before it is given up.

    Args:
        at: wall clock of the caller; claims and patience are measured in it.

    Returns:
        What was found, one sentence each; empty on a healthy system.
    """
    rules = {line.name: line.retrain for line in lines}
    with warehouse.begin() as connection:
        found = [_look_after(connection, rules.get(request.line, Retrain()), request, at)
                 for request in ledger.open_rows(connection)]
    return [sentence for sentence in found if sentence is not None]


def _look_after(connection: Connection, rules: Retrain, request: Row[Any], at: datetime) -> str | None:
    if request.state == RequestState.CLAIMED.value:
        return _claimed(connection, request, at) if request.expires_at <= at else None
    number, asked = request.id, request.requested_at
    escalated = _seen(connection, request.line, ESCALATED, number)
    if not escalated:
        if at - asked < timedelta(hours=rules.claim_hours):
            return None
        events.record(connection, at=at, kind=ESCALATED, line=request.line,
                      detail={"request": number, "requested_at": asked.isoformat(),
                              "expires_at": (at + timedelta(hours=rules.expire_hours)).isoformat()})
        return (f"request {number} of {request.line} has been waiting since {asked:%Y-%m-%d %H:%M} UTC; is the train "
                f"DAG paused, or its pool full? It expires in {rules.expire_hours} hours")
    if at - escalated[0] < timedelta(hours=rules.expire_hours):
        return None
    last = f"; its last try: {request.detail}" if request.detail else ""
    cause = f"nobody has served it since {asked:%Y-%m-%d %H:%M} UTC{last}"
    ledger.finish_request(connection, number, RequestState.FAILED, at=at, detail=f"expired: {cause}")
    events.record(connection, at=at, kind=UNSERVED, line=request.line, detail={"request": number, "reason": cause})
    return f"request {number} of {request.line} has expired: {cause}"


def _claimed(connection: Connection, request: Row[Any], at: datetime) -> str:
    number, detail = request.id, f"the claim of {request.claimed_by} ran out"
    expiries = len(_seen(connection, request.line, EXPIRED, number)) + 1
    events.record(connection, at=at, kind=EXPIRED, line=request.line,
                  detail={"request": number, "claimed_by": request.claimed_by, "expiries": expiries})
    if expiries >= MAX_EXPIRIES:
        ledger.finish_request(connection, number, RequestState.FAILED, at=at,
                              detail=f"{detail} for the {expiries}. time; see the runs of the train DAG for why")
        return f"request {number} of {request.line} was given up: {detail} for the {expiries}. time"
    ledger.release_request(connection, number, at=at, detail=detail)
    return f"request {number} of {request.line} is pending again: {detail}"


def _seen(connection: Connection, line: str, kind: str, number: int) -> list[datetime]:
    """When there were events of this kind about a request, the newest first."""
    known = events.list_rows(connection, kind=kind, line=line)
    return [at.to_pydatetime() for at, detail in zip(known["at"], known["detail"], strict=True)
            if detail.get("request") == number]
