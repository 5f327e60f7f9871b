"""What the maintain DAG looks after: whatever a crash in between, a lost bell or the calendar has left open."""

from __future__ import annotations

import logging
from datetime import date, timedelta

from tidemark_airflow.context import Work, tell

log = logging.getLogger(__name__)

#: Partitions are made this long before they are needed (a write would make its own, but inside its transaction).
AHEAD = timedelta(days=62)
#: Feature columns and what was learnt of champions are dropped when they are older: those still wanted are made again,
#: the others were of older code, of other features or champions, or of bars that have changed.
KEPT = timedelta(days=60)


def reconcile(w: Work) -> list[str]:
    """MLflow follows the ledger: aliases, states and verdicts; dead runs are ended. Returns the repairs."""
    from pipelines.registry.reconcile import reconcile as align
    from pipelines.training import stage

    lines = list(w.lines().values())
    return tell("repairs", [*align(w.warehouse, w.settings, lines, at=w.at),
                            *stage.reap(w.warehouse, w.settings, lines, at=w.at)])


def watchdog(w: Work) -> list[str]:
    """Expired claims go back, requests that nobody serves are reported and then closed, trainings in vain are told, the
    months to come have their partitions, line files are recorded, old files that can be made again are dropped. Returns
    findings."""
    from pipelines.monitoring import learnt
    from pipelines.retrain import run as retrain
    from pipelines.store import blobs, columns
    from pipelines.store import lines as configurations

    lines = list(w.lines().values())
    found = retrain.watchdog(w.warehouse, lines, at=w.at)
    found += [told for line in lines if (told := retrain.settle(w.warehouse, line, at=w.at)) is not None]
    with w.warehouse.begin() as connection:
        for name in w.lines():
            configurations.record_version(connection, name, w.line_text(name), at=w.at)
    made = _ensure_months(w)
    dropped = sum(blobs.prune(w.warehouse, kind, w.at - KEPT) for kind in (columns.KIND, learnt.KIND))
    return tell("findings", [*found, *([f"{made} monthly partitions were made ahead"] if made else []),
                             *([f"{dropped} old files that can be made again were dropped"] if dropped else [])])


def freshness(w: Work) -> list[str]:
    """Series whose newest fact is older than its deadline at the end of what was loaded: an event and a warning, once
    per stale stretch. Returns those that are new."""
    from pipelines.ingest import freshness as fresh

    found = fresh.alarm(w.warehouse, w.settings.quality, at=w.at)
    for sentence in found:
        log.warning("%s", sentence)
    return tell("stale", found)


def bells(w: Work) -> list[str]:
    """Task ids of the bells that have to ring again: for a pending request, an unjudged candidate, forgotten days."""
    from pipelines.contracts.records import RequestState
    from pipelines.store import ledger
    from tidemark_airflow.ordering import forgotten_days

    names = list(w.lines())
    with w.warehouse.begin() as connection:
        asked = [f"ring_retrain_{name}" for name in names
                 if ledger.requests(connection, line=name, states={RequestState.PENDING})]
        unjudged = [f"ring_candidate_{name}" for name in names if ledger.unjudged(connection, name)]
    return tell("bells", [*asked, *unjudged, *(["ring_days"] if forgotten_days(w) else [])])


def waiting_versions(w: Work, name: str) -> list[str]:
    """Partition keys of the candidates that have no verdict."""
    from pipelines.store import ledger

    with w.warehouse.begin() as connection:
        return [f"v{candidate.version}" for candidate in ledger.unjudged(connection, name)]


def _ensure_months(w: Work) -> int:
    from pipelines.store.tables import MONTHLY, SCHEMA

    first, last = w.at.date().replace(day=1), (w.at + AHEAD).date()
    months = sorted({date(first.year + (first.month - 1 + ahead) // 12, (first.month - 1 + ahead) % 12 + 1, 1)
                     for ahead in range(4)})
    with w.warehouse.begin() as connection:
        return sum(int(connection.exec_driver_sql(
            f"SELECT {SCHEMA}.ensure_months(%s, CAST(%s AS date[]))",
            (table, [month for month in months if month <= last])).scalar_one()) for table in MONTHLY)
