"""The policy's shell: read the state, decide, write to the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pipelines.contracts.line import Line
from pipelines.contracts.records import DriftReport, Reason
from pipelines.retrain import memory, policy, state
from pipelines.retrain.memory import PolicyState
from pipelines.retrain.policy import Decision, Phase
from pipelines.retrain.watchdog import ESCALATED, EXPIRED, MAX_EXPIRIES, UNSERVED, watchdog
from pipelines.store import Warehouse, events, ledger

__all__ = ["ASKED", "ESCALATED", "EXPIRED", "IN_VAIN", "MAX_EXPIRIES", "OVER_BUDGET", "UNSERVED", "ask", "consider",
           "preview", "settle", "watchdog"]

#: Kinds of the events that are written here.
ASKED, OVER_BUDGET, IN_VAIN = "retrain_requested", "retrain_over_budget", "retrain_not_better"


def consider(warehouse: Warehouse, line: Line, report: DriftReport | None, *, as_of: datetime,
             at: datetime) -> Decision:
    """Ask the policy as of ``as_of`` and put its request, if it has one, into the ledger. Doing it again adds nothing.

    Args:
        report: what monitoring found as of ``as_of``, if it looked.
        at: wall clock of the caller, for the record.
    """
    with warehouse.begin() as connection:
        known = state.read(connection, line, as_of)
        return _write(connection, known, policy.decide(known, line.retrain, report, as_of), at)


def preview(warehouse: Warehouse, line: Line, report: DriftReport | None, *, as_of: datetime) -> Decision:
    """What `consider` would answer; nothing is written."""
    with warehouse.begin() as connection:
        return policy.decide(state.read(connection, line, as_of), line.retrain, report, as_of)


def ask(connection: Connection, line: Line, *, as_of: datetime, by: str, words: str, at: datetime, force: bool = False,
        reason: Reason = Reason.MANUAL) -> Decision:
    """Put what a person asks for into the ledger, if the policy lets it pass, or into the open request.

    Args:
        as_of: data time (UTC) to train as of.
        by: who asks.
        words: why.
        force: pass cool-down, wait for data and budget.
        reason: the reason code to ask under.
    """
    known = state.read(connection, line, as_of)
    return _write(connection, known, policy.ask(known, line.retrain, as_of, by=by, words=words, force=force,
                                               reason=reason), at)


def settle(warehouse: Warehouse, line: Line, *, at: datetime) -> str | None:
    """Tell, once, that the newest training has brought nothing better: the champion stays, the cool-down is doubled.

    Returns:
        The sentence, if it was news.
    """
    with warehouse.begin() as connection:
        newest = ledger.last_candidate(connection, line.name, as_of=at)
        if newest is None or state.outcomes(connection, line.name, [newest])[newest.version] is not False:
            return None
        if any(detail.get("version") == newest.version
               for detail in events.list_rows(connection, kind=IN_VAIN, line=line.name)["detail"]):
            return None
        known = state.read(connection, line, newest.as_of)
        in_vain = memory.not_better(known, line.retrain, newest.as_of)
        until = newest.as_of + memory.cooldown(line.retrain, in_vain)
        verdict = ledger.last_word(connection, line.name, newest.version)
        spent = ledger.cost_of_run(connection, line.name, newest.run_id)
        present = ledger.champion(connection, line.name)
        kept = f"version {present.version} stays champion" if present else "there is still no champion"
        text = (f"{line.name}: version {newest.version} has not shown itself better, {kept}; cooling down until "
                f"{until:%Y-%m-%d %H:%M} UTC")
        events.record(connection, at=at, kind=IN_VAIN, line=line.name, detail={
            "version": newest.version, "request": newest.request_id,
            "outcome": verdict.outcome.value if verdict else None,
            "champion": present.version if present else None, "in_a_row": in_vain, "text": text,
            "cooldown_until": until.isoformat(), "cpu_seconds": round(spent.cpu_seconds, 1), "trials": newest.trials})
        return text


def _write(connection: Connection, known: PolicyState, decision: Decision, at: datetime) -> Decision:
    if known.open_request is not None and known.open_request.id is not None:
        for wish in decision.joins:
            ledger.join_request(connection, known.open_request.id, wish, at=at)
        return decision
    if decision.phase is Phase.OVER_BUDGET and decision.until is not None:
        until = decision.until.isoformat()
        told = events.list_rows(connection, kind=OVER_BUDGET, line=known.line)["detail"]
        if not any(detail.get("until") == until for detail in told):
            events.record(connection, at=at, kind=OVER_BUDGET, line=known.line, detail={
                "until": until, "text": decision.reason_text})
    if decision.request is None:
        return decision
    wish = decision.request
    number, created = ledger.request_retrain(connection, wish, at=at)
    if not created:  # somebody else asked since the state was read
        ledger.join_request(connection, number, wish, at=at)
        return Decision(None, f"{wish.reason.value}: joined to open request {number}.", Phase.IN_FLIGHT,
                        triggers=decision.triggers, answered=decision.answered, joins=(wish,))
    events.record(connection, at=at, kind=ASKED, line=known.line, detail={
        "request": number, "reason": wish.reason.value, "as_of": wish.as_of.isoformat()})
    return decision
