"""Retrain requests: at most one open per line, claimed by one worker at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pipelines.contracts.records import Reason, RequestState, RetrainRequest
from pipelines.errors import Conflict, StoreError
from pipelines.store import frames
from pipelines.store.tables import retrain_requests as table

OPEN = (RequestState.PENDING.value, RequestState.CLAIMED.value)
#: Entries of ``evidence["joined"]``: people that ask beside each other; the policy needs one per reason.
MOST_JOINED = 50


def request_retrain(connection: Connection, request: RetrainRequest, *, at: datetime) -> tuple[int, bool]:
    """Ask for a training; the number of the request and whether it is new.

    While a request of the line is open (pending or claimed), further ones coalesce into it: its number, False.
    """
    values = insert(table).values(
        line=request.line, reason=Reason(request.reason).value, as_of=request.as_of, state=RequestState.PENDING.value,
        requested_by=request.requested_by, evidence=frames.plain(request.evidence), requested_at=at)
    fresh = values.on_conflict_do_nothing(index_elements=[table.c.line], index_where=text(
        "state IN ('pending', 'claimed')")).returning(table.c.id)
    is_open = select(table.c.id).where(table.c.line == request.line, table.c.state.in_(OPEN))
    for _ in range(10):  # the open one can be finished between the two statements
        created = connection.execute(fresh).scalar_one_or_none()
        if created is not None:
            return int(created), True
        known = connection.execute(is_open).scalar_one_or_none()
        if known is not None:
            return int(known), False
    raise Conflict(f"requests of {request.line} open and close faster than they can be read; try again")


def join_request(connection: Connection, identifier: int, request: RetrainRequest, *, at: datetime) -> bool:
    """Enter another wish for the same training into the evidence of an open request; whether it was new.

    ``evidence["joined"]`` has one entry per reason and person: ``first`` and ``last`` time (data time) they asked,
    ``times``, ``at`` (wall clock of the last), and what the last one said. A wish that is not later than the last one
    like it, and the request's own, are known already: asking again adds nothing.
    """
    row = connection.execute(select(table).where(table.c.id == identifier).with_for_update()).one_or_none()
    if row is None or row.state not in OPEN:
        return False
    reason, as_of, joined = Reason(request.reason).value, request.as_of, list(row.evidence.get("joined", ()))
    own = reason in (row.reason, *row.evidence.get("triggers", ())) and row.requested_by == request.requested_by
    if own and as_of <= row.as_of:
        return False
    mine = next((entry for entry in joined
                 if entry["reason"] == reason and entry["requested_by"] == request.requested_by), None)
    if mine is None:
        if len(joined) >= MOST_JOINED:
            return False
        joined.append({"reason": reason, "requested_by": request.requested_by, "first": as_of.isoformat(), "times": 0})
        mine = joined[-1]
    elif datetime.fromisoformat(mine["last"]) >= as_of:
        return False
    mine |= {"last": as_of.isoformat(), "times": mine["times"] + 1, "at": at.isoformat(),
             "evidence": frames.plain(request.evidence)}
    connection.execute(update(table).where(table.c.id == identifier).values(evidence={**row.evidence,
                                                                                       "joined": joined}))
    return True


def open_rows(connection: Connection, line: str | None = None) -> list[Row[Any]]:
    """Open requests as rows of ``ai_trading.retrain_requests``, locked until the transaction ends; those that somebody
    else is claiming or settling in this moment are left out."""
    query = select(table).where(table.c.state.in_(OPEN)).order_by(table.c.id).with_for_update(skip_locked=True)
    return list(connection.execute(query if line is None else query.where(table.c.line == line)))


def claim_request(connection: Connection, line: str, *, claimed_by: str, at: datetime, expires_at: datetime,
                  resume: bool = False) -> RetrainRequest | None:
    """Take the open request of a line for oneself until ``expires_at``; None if there is none to take.

    A claim that has expired by ``at`` may be taken over. ``resume``: so may an unexpired one of the same
    ``claimed_by`` - for a task that is run again after it was killed; its name must then be its own.
    """
    takeable = or_(
        table.c.state == RequestState.PENDING.value,
        and_(table.c.state == RequestState.CLAIMED.value,
             or_(table.c.expires_at <= at, table.c.claimed_by == claimed_by) if resume else table.c.expires_at <= at))
    oldest = (select(table.c.id).where(table.c.line == line, takeable).order_by(table.c.id).limit(1)
              .with_for_update(skip_locked=True).scalar_subquery())
    row = connection.execute(
        update(table).where(table.c.id == oldest)
        .values(state=RequestState.CLAIMED.value, claimed_by=claimed_by, claimed_at=at, expires_at=expires_at)
        .returning(table)).one_or_none()
    return None if row is None else _request(row)


def release_request(connection: Connection, identifier: int, *, at: datetime, detail: str | None = None) -> None:
    """Give a claimed request back, for another try. A pending one stays as it is.

    Raises:
        Conflict: it is finished already.
        StoreError: there is none with this number.
    """
    state = _locked(connection, identifier)
    if state not in OPEN:
        raise Conflict(f"request {identifier} is {state} already; ask for a new training instead of releasing it")
    connection.execute(
        update(table).where(table.c.id == identifier)
        .values(state=RequestState.PENDING.value, claimed_by=None, claimed_at=None, expires_at=None, detail=detail))


def finish_request(connection: Connection, identifier: int, state: RequestState, *, at: datetime,
                   detail: str | None = None) -> None:
    """Close a request as served or failed. Doing it again with the same outcome changes nothing.

    Raises:
        Conflict: it was closed with the other outcome.
        StoreError: there is none with this number, or ``state`` is not a final one.
    """
    if state.value in OPEN:
        raise StoreError(f"a request cannot be finished as {state}; use served, failed, or release_request")
    present = _locked(connection, identifier)
    if present == state.value:
        return
    if present not in OPEN:
        raise Conflict(f"request {identifier} is {present} already and cannot become {state}; read it again")
    connection.execute(update(table).where(table.c.id == identifier)
                       .values(state=state.value, finished_at=at, detail=detail))


def requests(connection: Connection, line: str | None = None,
             states: Iterable[RequestState] | None = None) -> list[RetrainRequest]:
    """Requests in the order they came, of one line and in these states, or all."""
    query = select(table).order_by(table.c.id)
    if line is not None:
        query = query.where(table.c.line == line)
    if states is not None:
        query = query.where(table.c.state == func.any([RequestState(state).value for state in states]))
    return [_request(row) for row in connection.execute(query)]


def _locked(connection: Connection, identifier: int) -> str:
    state = connection.execute(
        select(table.c.state).where(table.c.id == identifier).with_for_update()).scalar_one_or_none()
    if state is None:
        raise StoreError(f"no retrain request {identifier}; those that exist are in ai_trading.retrain_requests")
    return str(state)


def _request(row: Row[Any]) -> RetrainRequest:
    return RetrainRequest(line=row.line, reason=Reason(row.reason), as_of=row.as_of, requested_by=row.requested_by,
                          evidence=row.evidence, id=row.id, state=RequestState(row.state))
