"""Changing the champion: the ledger first, in one transaction with compare-and-swap; then MLflow follows.

Every function can be called again after a crash at any point: the ledger finds its row there, and the projection
writes what is still missing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Candidate, Outcome, Promotion, Verdict
from pipelines.errors import RegistryError, TrackingUnavailable
from pipelines.registry import projection
from pipelines.registry.client import ModelRegistry
from pipelines.registry.standing import rollback_target, standing
from pipelines.store import Warehouse, events, ledger

#: How often the projection is made again while the ledger moves on; `maintain` mends what is left.
_LOOKS = 5


def record(warehouse: Warehouse, line: Line, candidate: Candidate, verdict: Verdict, *, at: datetime) -> int:
    """Enter a verdict into the ledger; its number. The same verdict again changes nothing."""
    with warehouse.begin() as connection:
        return ledger.add_verdict(connection, line.name, candidate.version, verdict, as_of=candidate.as_of, at=at)


def apply(warehouse: Warehouse, settings: Settings, line: Line, candidate: Candidate, verdict: Verdict, *, actor: str,
          at: datetime) -> Promotion | None:
    """Act on a verdict: make the candidate champion if the gate says so (and people agree, where they are asked), its
    challenger if the evidence was inconclusive; show verdict and state in MLflow.

    The champion takes effect at the candidate's ``as_of``: partitions that start then or later are scored by it.

    Returns:
        The row of the ledger that made it champion, now or earlier; None when it is not to be champion (yet).

    Raises:
        Conflict: somebody else became champion since the evidence was assembled; judge again.
        TrackingUnavailable: the ledger is written, MLflow is not; do it again, or leave it to `maintain`.
    """
    with warehouse.begin() as connection:
        ledger.add_verdict(connection, line.name, candidate.version, verdict, as_of=candidate.as_of, at=at)
        row = None
        if verdict.outcome is Outcome.PROMOTE and _agreed(connection, line, candidate.version):
            row = _promote(connection, candidate, verdict, actor=actor, at=at)
    registry = ModelRegistry(settings)
    _show(warehouse, registry, line)
    projection.publish(registry, line, candidate, verdict)
    return row


def approve(warehouse: Warehouse, settings: Settings, line: Line, version: int, *, approved: bool, actor: str,
            reason: str, at: datetime) -> Promotion | None:
    """Record what a person decided about a version that the gate would promote; an approval promotes it.

    Raises:
        RegistryError: the gate does not say ``promote``, or the version is or was champion already.
        Conflict: somebody else became champion since it was judged; judge again.
    """
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, line.name, version)
        verdict = ledger.latest_verdict(connection, line.name, version)
        if verdict is None or verdict.outcome is not Outcome.PROMOTE:
            said = "has not judged it yet" if verdict is None else f"says {verdict.outcome.value}"
            raise RegistryError(f"version {version} of {line.name} cannot be approved or denied: the gate {said}; only "
                                "what the gate would promote is put before people")
        if not approved and _was_promoted(connection, line.name, version):
            raise RegistryError(f"version {version} of {line.name} has been promoted already; use `tidemark rollback`")
        if ledger.approval(connection, line.name, version) is not approved:
            ledger.decide_approval(connection, line.name, version, approved, actor, reason, at=at)
            events.record(connection, at=at, kind="approved" if approved else "denied", line=line.name,
                          detail={"version": version, "actor": actor, "reason": reason})
    return apply(warehouse, settings, line, candidate, verdict, actor=actor, at=at)


def rollback(warehouse: Warehouse, settings: Settings, line: Line, *, to: int | None, actor: str, reason: str,
             effective_at: datetime, at: datetime) -> Promotion:
    """Put a former champion back: ``to``, or the one before the present champion.

    Args:
        effective_at: data time (UTC) from which it scores; never earlier than that of the present champion.

    Raises:
        Conflict: somebody changed the champion in this moment; look again.
        RegistryError: there is none to go back to, or ``to`` was never champion; the message names those that were.
            Or the ledger is written and stands, but MLflow is not there: its alias follows with `maintain`.
    """
    with warehouse.begin() as connection:
        history = ledger.history(connection, line.name)
        target = rollback_target(history, to, line.name)
        present = history[-1].version
        row = ledger.append_promotion(
            connection, line.name, target, action=Action.ROLLBACK, expected_previous=present, actor=actor,
            reason=reason, effective_at=effective_at, at=at)
        if row.id not in {earlier.id for earlier in history}:
            events.record(connection, at=at, kind="rollback", line=line.name, detail={
                "version": target, "previous": present, "actor": actor, "reason": reason})
    try:
        _show(warehouse, ModelRegistry(settings), line)
    except TrackingUnavailable as error:  # not retryable: a second rollback would go one champion further back
        raise RegistryError(
            f"{line.name} is rolled back to version {row.version} in the ledger, and that stands; MLflow's alias "
            f"follows with the next `maintain`, do not repeat the rollback. {error}") from error
    return row


def _show(warehouse: Warehouse, registry: ModelRegistry, line: Line) -> None:
    """Project the ledger, and look whether it still says the same: of two who change it at once, the slower one must
    not leave its own, older picture behind."""
    for _ in range(_LOOKS):
        with warehouse.begin() as connection:
            found = standing(connection, line)
        projection.project(registry, line, found)
        with warehouse.begin() as connection:
            if standing(connection, line) == found:
                return


def _promote(connection: Connection, candidate: Candidate, verdict: Verdict, *, actor: str, at: datetime) -> Promotion:
    """Append to the ledger, once: a version that was promoted and rolled back since is not promoted by a rerun."""
    line, version = candidate.line, candidate.version
    for row in ledger.history(connection, line):
        if row.version == version and row.action is Action.PROMOTE:
            return row
    row = ledger.append_promotion(
        connection, line, version, action=Action.PROMOTE, expected_previous=verdict.champion_version, actor=actor,
        reason=" ".join(verdict.reasons), effective_at=candidate.as_of, at=at)
    events.record(connection, at=at, kind="promotion", line=line, detail={
        "version": version, "previous": row.previous, "actor": actor, "effect": verdict.effect,
        "p_value": verdict.p_value})
    return row


def _was_promoted(connection: Connection, line: str, version: int) -> bool:
    return any(row.version == version for row in ledger.history(connection, line))


def _agreed(connection: Connection, line: Line, version: int) -> bool:
    answer = ledger.approval(connection, line.name, version)
    return answer is True or (answer is None and line.gate.approval == "auto")
