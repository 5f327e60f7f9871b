"""What the promote DAG does with one candidate: verdict, and the change of champion when that is the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tidemark_airflow.context import Work, tell

if TYPE_CHECKING:
    from pipelines.contracts.line import Line
    from pipelines.contracts.records import Candidate, Verdict


def promote_params() -> dict[str, Param]:
    """The trigger form of a judgement by hand."""
    return {"version": Param(None, type=["null", "integer"], minimum=1, title="Version", description=(
        "Candidate to judge. Empty: the one that rang, else the oldest that has no verdict."))}


def version_of(w: Work, name: str) -> int:
    """Which candidate this run is about: the partition key ``v3``, else the param, else the oldest unjudged.

    Raises:
        AirflowSkipException: every candidate has its verdict.
    """
    from pipelines.store import ledger

    if w.partition and w.partition.removeprefix("v").isdigit():
        return int(w.partition.removeprefix("v"))
    if w.params.get("version"):
        return int(w.params["version"])
    with w.warehouse.begin() as connection:
        waiting = ledger.unjudged(connection, name)
    if not waiting:
        raise AirflowSkipException(f"every candidate of {name} has its verdict")
    return min(candidate.version for candidate in waiting)


def judge(w: Work, name: str) -> dict[str, Any]:
    """Evidence → verdict → ledger. A verdict that promotes nothing yet is acted on here (challenger, tags).

    Returns:
        ``version`` to promote and the verdict's sentences, or an empty dict when there is nothing to promote.

    Raises:
        AirflowSkipException: the version was champion already; only a rollback can bring it back.
    """
    from pipelines.contracts.records import Outcome
    from pipelines.gate.report import sentences
    from pipelines.registry import promotion
    from pipelines.retrain import run as retrain
    from pipelines.store import ledger

    line, version = w.line(name), version_of(w, name)
    with w.warehouse.begin() as connection:
        candidate = ledger.candidate(connection, name, version)
        former = {row.version for row in ledger.history(connection, name)}
    if version in former:
        raise AirflowSkipException(f"{name} v{version} was promoted before; `tidemark rollback` can bring it back")
    verdict = _verdict(w, line, candidate)
    told = tell(f"{name} v{version}: {verdict.outcome.value}", sentences(verdict))
    if verdict.outcome is not Outcome.PROMOTE or promotion.waits_in_shadow(w.warehouse, line, candidate, verdict):
        promotion.apply(w.warehouse, w.settings, line, candidate, verdict, actor=w.run, at=w.at)
        if told := retrain.settle(w.warehouse, line, at=w.at):
            tell("retraining", told)
        return {}
    return {"version": version, "sentences": told}


def promote(w: Work, name: str, version: int) -> dict[str, Any]:
    """Make the judged version the champion: ledger first, under its lock, then the MLflow alias.

    When the champion has changed since the verdict, the version is judged again, against the new one.

    Raises:
        AirflowSkipException: the ledger kept the champion it has.
    """
    from pipelines.errors import Conflict
    from pipelines.registry import promotion
    from pipelines.store import ledger

    line = w.line(name)
    with w.warehouse.begin() as connection:
        candidate = ledger.candidate(connection, name, version)
        verdict = ledger.latest_verdict(connection, name, version)
    try:
        row = promotion.apply(w.warehouse, w.settings, line, candidate, verdict, actor=w.run, at=w.at)
    except Conflict as conflict:
        tell("judged again", str(conflict))
        verdict = _verdict(w, line, candidate)
        row = promotion.apply(w.warehouse, w.settings, line, candidate, verdict, actor=w.run, at=w.at)
    if row is None:
        raise AirflowSkipException(f"{name} v{version} was not promoted; `tidemark history {name}` says why")
    return tell(f"champion of {name}", row)


def _verdict(w: Work, line: Line, candidate: Candidate) -> Verdict:
    from pipelines.gate import decide
    from pipelines.registry import evidence, promotion

    verdict = decide(evidence.assemble(w.warehouse, w.settings, line, candidate), line.gate)
    promotion.record(w.warehouse, line, candidate, verdict, at=w.at)
    return verdict
