"""What the monitor DAG does for a line: outcomes, drift, and the retrain policy, as of the end of each day."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowSkipException

from tidemark_airflow import assets
from tidemark_airflow.context import Work, tell


def watch_line(w: Work, name: str) -> bool:
    """Mature outcomes, check for drift, consider a retraining; whether the ledger now holds a pending request.

    A request that somebody claimed already needs no bell; one that an earlier, lost bell announced gets another.
    """
    from pipelines.contracts.records import RequestState
    from pipelines.monitoring import check, outcomes, words
    from pipelines.retrain import run as retrain
    from pipelines.store import ledger

    line = w.line(name)
    for day in w.days:
        matured = outcomes.mature(w.warehouse, line, day.end)
        report = check.check(w.warehouse, w.settings, line, day.end)
        decision = retrain.consider(w.warehouse, line, report, as_of=day.end, at=w.at)
        tell(f"{name} as of {day.end:%Y-%m-%d %H:%M} UTC, {matured} outcomes matured", [
            words.verdict(report), words.meaning(report), f"Policy: {decision.reason_text}",
            *words.performance(report)])
    with w.warehouse.begin() as connection:
        return bool(ledger.requests(connection, line=name, states={RequestState.PENDING}))


def ring(w: Work, name: str, is_open: bool) -> None:
    """Ring `retrain/<line>` for the days of the run.

    Raises:
        AirflowSkipException: the ledger holds no pending request, so the bell stays silent.
    """
    if not is_open:
        raise AirflowSkipException(f"no open request of {name}")
    w.announce(assets.retrain(name))
