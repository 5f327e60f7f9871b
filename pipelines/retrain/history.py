"""What each request for a training led to, and what it cost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from pipelines.retrain import state
from pipelines.store import ledger, tables


def rows(connection: Connection, line: str) -> list[dict[str, Any]]:
    """The requests of a line, the oldest first.

    Each row: ``request`` (number), ``as_of`` (data time), ``requested_at`` and ``finished_at`` (wall clock), UTC;
    ``reason`` and all ``triggers``, those that joined later too; ``by``, and ``forced`` (what was passed, by whom);
    ``state`` and its ``detail``; the ``version`` it led to, the gate's ``verdict`` on it, ``promoted``; and its cost
    over all tries: ``cpu_seconds``, ``wall_seconds``, ``trials``; None where nothing was measured.
    """
    table = tables.retrain_requests
    asked = connection.execute(select(table).where(table.c.line == line).order_by(table.c.id)).mappings()
    known = {request.id: request for request in ledger.requests(connection, line)}
    made = {candidate.request_id: candidate for candidate in ledger.candidates(connection, line)}
    better = state.outcomes(connection, line, list(made.values()))
    said = {version: ledger.latest_verdict(connection, line, version) for version in better}
    verdicts = {version: verdict.outcome.value for version, verdict in said.items() if verdict is not None}
    costs = ledger.costs_of_requests(connection, line)
    found = []
    for row in asked:
        number, candidate = row["id"], made.get(row["id"])
        cost = costs.get(number)
        found.append({
            "request": number, "line": line, "as_of": row["as_of"],
            "requested_at": row["requested_at"], "finished_at": row["finished_at"],
            "reason": row["reason"], "triggers": [reason.value for reason in state.triggers(known.get(number))],
            "by": row["requested_by"], "forced": row["evidence"].get("forced"), "state": row["state"],
            "detail": row["detail"],
            "version": candidate.version if candidate else None,
            "verdict": verdicts.get(candidate.version) if candidate else None,
            "promoted": better[candidate.version] is True if candidate else None,
            "cpu_seconds": cost.cpu_seconds if cost else None, "wall_seconds": cost.wall_seconds if cost else None,
            "trials": cost.trials if cost else None})
    return found
