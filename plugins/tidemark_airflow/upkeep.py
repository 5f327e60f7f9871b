"""What the maintain DAG looks after: whatever a crash in between, a lost bell or the calendar has left open."""

from __future__ import annotations

from tidemark_airflow.context import Work, tell


def bells(w: Work, names: list[str]) -> list[str]:
    """Task ids of the bells that have to ring again: a pending request or an unjudged candidate nobody works on."""
    from pipelines.contracts.records import RequestState
    from pipelines.store import ledger

    with w.warehouse.begin() as connection:
        asked = [f"ring_retrain_{name}" for name in names
                 if ledger.requests(connection, line=name, states={RequestState.PENDING})]
        unjudged = [f"ring_candidate_{name}" for name in names if ledger.unjudged(connection, name)]
    return tell("bells", asked + unjudged)


def waiting_versions(w: Work, name: str) -> list[str]:
    """Partition keys of the candidates that have no verdict."""
    from pipelines.store import ledger

    with w.warehouse.begin() as connection:
        return [f"v{candidate.version}" for candidate in ledger.unjudged(connection, name)]
