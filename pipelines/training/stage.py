"""A training in five calls, each a task of its own that may be killed and run again: open, inspect, search, conclude,
abort.

What goes from one call to the next is the :class:`Session`, a handful of names; the work itself lies in the snapshot
store, the study and MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Candidate, RequestState, RetrainRequest
from pipelines.errors import Conflict, LeakFound, TidemarkError, TrainingError
from pipelines.features import catalog, snapshot
from pipelines.store import Warehouse, ledger
from pipelines.training import audit, cost, fit, lineage, produce, search, warm_start
from pipelines.training.record import Registered, Tracker
from pipelines.training.session import Session
from pipelines.validation.splits import plan

__all__ = ["Session", "abort", "claim_duration", "conclude", "give_back", "inspect", "open_training", "reap",
           "run_trials"]


#: Value of the tag of an audit that has found nothing.
AUDITED = "passed"
#: Share of the history that the first look of a halved search learns from.
HISTORY = 0.25


def claim_duration(line: Line) -> timedelta:
    """How long a claim on a request holds; whoever has not concluded by then is taken for dead."""
    return timedelta(hours=line.retrain.claim_hours)


def open_training(warehouse: Warehouse, settings: Settings, line: Line, request: RetrainRequest, *,
                  at: datetime) -> Session:
    """Freeze the data, make the study, open the MLflow run.

    A run that an earlier, killed attempt at the same request has left RUNNING is marked FAILED first. A refusal that a
    retry cannot mend gives the request back.

    Raises:
        InsufficientData: too little history as of the request's time.
        NotReady, StoreUnavailable, TrackingUnavailable: try again.
    """
    with cost.metered(warehouse, line, "open", request_id=request.id) as known:
        session = _open(warehouse, settings, line, request, at=at)
        known |= {"run_id": session.run_id, "recipe": lineage.recipe(line)}
    return session


def _open(warehouse: Warehouse, settings: Settings, line: Line, request: RetrainRequest, *, at: datetime) -> Session:
    try:
        ref, frame = snapshot.training(warehouse, line, request.as_of)
        data = fit.matrix(frame)
        folds = plan(line, frame)  # refuse before anything is opened
        tracker = Tracker(settings)
        warm = warm_start.find(warehouse, tracker, line, request.as_of, folds) if line.search.warm_start else None
        for run_id, _, run_tags in tracker.running(line):
            if request.id is not None and run_tags.get(tags.REQUEST) == str(request.id):
                tracker.fail(run_id, "another attempt at the same request has taken over")
        as_of = request.as_of.isoformat()
        run_id = tracker.start(
            line, f"{line.name} {request.as_of:%Y-%m-%d %H:%M}", _run_tags(line, request, ref.digest),
            {**_flat(line.model_dump(mode="json", exclude={"name", "title", "owner"})), "as_of": as_of,
             **({"warm_start.version": warm.version, "warm_start.trials": warm.trials} if warm else {})},
            ref, dict.fromkeys(data.names, "double"))
        study = f"{line.name}/{run_id}"
        try:
            search.create(settings.require("optuna_url"), study, line.search.families,
                          warm.start if warm else None)
        except BaseException as error:
            tracker.fail(run_id, f"could not be opened: {error}")
            raise
    except TidemarkError as error:
        if not error.retryable and request.id is not None:
            give_back(warehouse, request.id, str(error), at)
        raise
    return Session(line.name, run_id, study, ref.digest, as_of, request.id, str(request.reason), line.search.trials,
                   line.search.seed, asdict(warm) if warm else None)


@cost.step("trials")
def run_trials(warehouse: Warehouse, settings: Settings, line: Line, session: Session, worker: int) -> int:
    """Work on the session's study until it holds its budget of finished trials; how many this worker finished.

    Any number of workers may do so at once, and one that was killed may be run again. ``worker`` only names it: what a
    trial draws depends on the study's seed and the trial's number.
    """
    data, folds = produce.load(warehouse, line, session)
    tested = fit.tested_rows(data, folds.search)

    def evaluate(family: str, params: Mapping[str, Any]) -> Iterator[search.FoldScore]:
        return fit.score_folds(data, folds.search, family, params, session.seed,
                               look=HISTORY if line.search.halving == "history" else None,
                               stop=line.search.early_stopping)

    def keep(predictions: FloatArray) -> str:
        return produce.keep_trial(warehouse, line, folds, tested, predictions)

    return search.run(settings.require("optuna_url"), session.study, family_names=line.search.families,
                      trials=session.trials, seed=session.seed, evaluate=evaluate, keep=keep, ahead=line.search.ahead,
                      halving=line.search.halving != "none",
                      selections=() if line.search.selection == ("none",) else line.search.selection)


@cost.step("audit")
def inspect(warehouse: Warehouse, settings: Settings, line: Line, session: Session) -> str:
    """The leak audit of what this session trains on: a sentence that says what was looked at.

    The report goes to the run's artifacts (``audit/``). It may run beside the trials; without it the gate says nothing.

    Raises:
        LeakFound: a column knows too much; the first finding is in the message, all are in the report.
    """
    report = audit.run(warehouse, settings, line, datetime.fromisoformat(session.as_of))
    tracker = Tracker(settings)
    with tempfile.TemporaryDirectory(prefix="tidemark-audit-") as directory:
        folder = Path(directory, "audit")
        folder.mkdir()
        (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
        (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
        tracker.artifacts(session.run_id, Path(directory))
    tracker.measures(session.run_id, [], {tags.AUDIT: AUDITED if report.passed else "failed"})
    if not report.passed:
        first = report.findings[0].sentence if report.findings else "the audit had nothing to look at"
        raise LeakFound(f"the leak audit of {line.name} has {len(report.findings)} finding(s): {first} All of them are "
                        f"in audit/report.md of run {session.run_id}")
    looked = [result.check for result in report.results if result.state == "passed"]
    return f"no leak found by {', '.join(looked)}"


@cost.step("conclude")
def conclude(warehouse: Warehouse, settings: Settings, line: Line, session: Session, *, at: datetime) -> Candidate:
    """Best configuration → evidence → final fit → report → registered version → ledger → request served.

    Run again after a kill it finds what it has registered already: a session never makes a second version.

    Raises:
        TrainingError: the session's run was ended by somebody else, or no trial is complete.
    """
    tracker = Tracker(settings)
    registered = tracker.registered(line, session.run_id)
    if registered is None:
        status = tracker.status(session.run_id)
        if status != "RUNNING":
            raise TrainingError(f"run {session.run_id} is {status}: this session was ended or taken over; request a "
                                "new training")
        registered = produce.register(warehouse, settings, tracker, line, session)
    candidate = _candidate(line, session, registered, tracker.tags(session.run_id).get(tags.AUDIT) == AUDITED)
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, candidate, at=at)
        if session.request_id is not None:
            _serve(connection, session.request_id, candidate, at)
    tracker.finish(session.run_id)
    return candidate


def abort(warehouse: Warehouse, settings: Settings, session: Session, cause: str, *, at: datetime) -> None:
    """End a training that cannot conclude: its run FAILED with the cause, its request back for another try.

    The request goes back even when MLflow is down; :func:`reap` ends the run later.
    """
    try:
        Tracker(settings).fail(session.run_id, cause)
    finally:
        if session.request_id is not None:
            give_back(warehouse, session.request_id, cause, at)


def reap(warehouse: Warehouse, settings: Settings, lines: Iterable[Line], *, at: datetime) -> list[str]:
    """End MLflow runs that nobody works on any more: what was done, in sentences.

    A run is dead when its request is no longer claimed, or when it has been RUNNING for longer than a claim holds. A
    dead run whose candidate is in the ledger only missed its last step and is FINISHED; the others are FAILED.
    """
    tracker, done = Tracker(settings), []
    for line in lines:
        with warehouse.begin() as connection:
            claimed = {str(item.id) for item in ledger.requests(connection, line.name, {RequestState.CLAIMED})}
        for run_id, started, run_tags in tracker.running(line):
            request, age = run_tags.get(tags.REQUEST, ""), at - started
            if age <= claim_duration(line) and (request in claimed or not request):
                continue
            registered = tracker.registered(line, run_id)
            if registered is not None and _in_ledger(warehouse, line, registered.version, run_id):
                tracker.finish(run_id)
                done.append(f"{line.name}: run {run_id} had registered version {registered.version}; marked FINISHED")
            elif tracker.fail(run_id, f"its session is dead: RUNNING for {age}, nobody holds request {request or '-'}"):
                done.append(f"{line.name}: run {run_id} was RUNNING without a session; marked FAILED")
    return done


def _candidate(line: Line, session: Session, registered: Registered, audited: bool) -> Candidate:
    known = registered.tags
    return Candidate(
        line=line.name, version=registered.version, run_id=session.run_id, family=known[tags.FAMILY],
        as_of=datetime.fromisoformat(session.as_of),
        trained_through=datetime.fromisoformat(known[tags.TRAINED_THROUGH]),
        snapshot_digest=session.snapshot_digest, evidence_digest=known[tags.EVIDENCE], trials=int(known[tags.TRIALS]),
        search_digest=known[tags.SEARCH],
        request_id=session.request_id, audited=audited)


def _run_tags(line: Line, request: RetrainRequest, snapshot_digest: str) -> dict[str, str]:
    commit = lineage.git_commit()
    return {
        tags.LINE: line.name, tags.KIND: "training", tags.REQUEST: str(request.id or ""),
        tags.REASON: str(request.reason), tags.AS_OF: request.as_of.isoformat(), tags.SNAPSHOT: snapshot_digest,
        tags.SEED: str(line.search.seed), tags.FEATURES: catalog.stamp(line), tags.GIT_COMMIT: commit,
        tags.LOCK: lineage.lock_digest(),
        "mlflow.user": request.requested_by, "mlflow.source.git.commit": commit.removesuffix("+dirty")}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names; lists as comma-separated text."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[prefix + key] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return flat


def _serve(connection: Any, request_id: int, candidate: Candidate, at: datetime) -> None:
    try:
        ledger.finish_request(connection, request_id, RequestState.SERVED, at=at,
                              detail=f"version {candidate.version}, run {candidate.run_id}")
    except Conflict:
        return  # somebody closed it as failed in the meantime; the candidate stands all the same


def give_back(warehouse: Warehouse, request_id: int, cause: str, at: datetime) -> None:
    """Give a claimed request back, so that it can be tried again; a request closed in the meantime stays closed."""
    try:
        with warehouse.begin() as connection:
            ledger.release_request(connection, request_id, at=at, detail=cause[:2000])
    except Conflict:
        return  # it is closed already: nothing to give back


def _in_ledger(warehouse: Warehouse, line: Line, version: int, run_id: str) -> bool:
    with warehouse.begin() as connection:
        known = ledger.unjudged(connection, line.name)
        return any(item.version == version and item.run_id == run_id for item in known) or (
            ledger.latest_verdict(connection, line.name, version) is not None)
