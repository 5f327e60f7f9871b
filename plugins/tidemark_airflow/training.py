"""What the train DAG does around the training itself: claim a request, and give it back when the work failed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tidemark_airflow.context import TASK_FAILED, Work, tell

LONGEST_TRAINING = timedelta(days=7)


def train_params() -> dict[str, Param]:
    """The trigger form of a training by hand."""
    text = {"type": ["null", "string"]}
    return {
        "reason": Param("manual", type="string", title="Reason", description=(
            "Why. A code (bootstrap, schedule, data_drift, prediction_drift, performance, new_data, code_change, "
            "manual), or your own words (kept in the ledger beside `manual`). A request that is open already is served "
            "as it is, and yours is written down beside it.")),
        "as_of": Param(None, **text, title="As of", description=(
            "Train with what was known at this time (UTC, ISO 8601). Empty: when the newest bar (or labelled text) "
            "became available.")),
        "requested_by": Param("airflow", type="string", title="Requested by", description="Who asks; kept in the "
                              "ledger."),
        "force": Param(False, type="boolean", title="Take over", description=(
            "Take over a request that another run has claimed. Only when that run is dead."))}


def claim(w: Work, name: str) -> dict[str, Any]:
    """Claim the line's open request; a run by hand puts one into the ledger first (an open one is joined).

    Returns:
        The claimed request as JSON.

    Raises:
        AirflowSkipException: there is nothing to train; the bell was late, doubled, or somebody else is at work.
    """
    from pipelines.contracts.records import RequestState
    from pipelines.store import ledger
    from pipelines.store import lines as configurations
    from pipelines.training import stage

    line = w.line(name)
    with w.warehouse.begin() as connection:
        configurations.record_version(connection, name, w.line_text(name), at=w.at)
        if w.by_hand:
            _ask(w, line, connection)
            if w.params.get("force"):
                for item in ledger.requests(connection, line=name, states={RequestState.CLAIMED}):
                    ledger.release_request(connection, item.id, at=w.at, detail=f"taken over by {w.run}")
        claimed = ledger.claim_request(connection, name, claimed_by=w.run, at=w.at, resume=True,
                                       expires_at=w.at + stage.claim_duration(line))
    if claimed is None:
        raise AirflowSkipException(f"{name} has no request to serve: none is pending, or another run has claimed it "
                                   "(`force` in the trigger form takes it over)")
    return tell(f"{name} will be trained", claimed)


def _ask(w: Work, line: Any, connection: Any) -> None:
    """A person asks by starting the run: nothing but an open request holds that up, and the ledger says what was
    passed."""
    from pipelines import clock
    from pipelines.contracts.records import Reason
    from pipelines.retrain import run as retrain

    words = str(w.params.get("reason") or "manual")
    known = words in set(Reason)
    as_of = w.params.get("as_of")
    decision = retrain.ask(
        connection, line, as_of=clock.parse(as_of) if as_of else newest(w, "bars" if line.on_bars else "labels"),
        by=str(w.params.get("requested_by") or w.run), words="" if known else words, at=w.at, force=True,
        reason=Reason(words) if known else Reason.MANUAL)
    tell("request", decision.reason_text)


def newest(w: Work, facts: str = "bars") -> datetime:
    """When the newest fact of a table became available (UTC), or now if that is earlier.

    Raises:
        NotReady: the warehouse holds none yet.
    """
    from pipelines.errors import NotReady

    with w.warehouse.begin() as connection:
        found = connection.exec_driver_sql(
            f"SELECT max(available_at) FROM ai_trading.{facts} WHERE available_at <= %s", (w.at,)).scalar_one()
    if found is None:
        raise NotReady(f"the warehouse holds no {facts}; run the bootstrap DAG first")
    return found


def as_request(claimed: Mapping[str, Any]) -> Any:
    """The request back from XCom."""
    from pipelines import clock
    from pipelines.contracts.records import Reason, RequestState, RetrainRequest

    return RetrainRequest(**{**claimed, "reason": Reason(claimed["reason"]), "as_of": clock.parse(claimed["as_of"]),
                             "state": RequestState(claimed["state"])})


def close(w: Work, claimed: Mapping[str, Any], session: Mapping[str, Any] | None,
          candidate: Mapping[str, Any] | None) -> None:
    """End a training that did not conclude: its MLflow run FAILED with the cause, its request back in the ledger, or
    closed as failed when another try cannot help (it would stand in the way of every later request)."""
    from pipelines.contracts.records import RequestState
    from pipelines.errors import Conflict
    from pipelines.store import ledger
    from pipelines.training import stage

    if candidate:
        tell("trained", {"version": candidate["version"], "family": candidate["family"]})
        return
    cause, hopeless = why_it_failed(w)
    tell("the training did not conclude", cause)
    try:
        if session:
            stage.abort(w.warehouse, w.settings, stage.Session.from_dict(session), cause, at=w.at)
    finally:  # the ledger is told even when MLflow is down
        with suppress(Conflict), w.warehouse.begin() as connection:  # a served request stays served
            if hopeless:
                ledger.finish_request(connection, claimed["id"], RequestState.FAILED, at=w.at, detail=cause)
            else:
                ledger.release_request(connection, claimed["id"], at=w.at, detail=cause)


def why_it_failed(w: Work) -> tuple[str, bool]:
    """The cause that this run's failing task has left in the warehouse, and whether another try is hopeless."""
    from pipelines.store import events

    with w.warehouse.begin() as connection:
        failures = events.list_rows(connection, kind=TASK_FAILED, start=w.at - LONGEST_TRAINING)["detail"]
    mine = [detail for detail in reversed(list(failures)) if detail["run"] == w.run]
    if not mine:
        return f"a task was killed; see {w.run} in Airflow", False
    final = next((detail for detail in mine if detail["retryable"] is False), mine[0])
    return f"{final['task']}: {final['error']}", final["retryable"] is False
