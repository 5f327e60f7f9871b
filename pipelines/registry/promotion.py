"""Changing the champion: the ledger first, in one transaction with compare-and-swap; then MLflow follows.

Every function can be called again after a crash at any point: the ledger finds its row there, and the projection
writes what is still missing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Candidate, Outcome, Promotion, Purpose, RecordedLook, Step, Verdict
from pipelines.errors import RegistryError, TrackingUnavailable
from pipelines.registry import projection
from pipelines.registry.client import ModelRegistry
from pipelines.registry.standing import enters_shadow, rollback_target, shadow_end, standing
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
    challenger if the evidence was inconclusive, or if the line sends everybody through the shadow; show verdict and
    state in MLflow. Where the shadow has had its say already, that stands, and this verdict is only recorded.

    The champion takes effect at the candidate's ``as_of``, or when the shadow decided: partitions that start then or
    later are scored by it.

    Returns:
        The row of the ledger that made it champion, now or earlier; None when it is not to be champion (yet).

    Raises:
        Conflict: somebody else became champion since the evidence was assembled; judge again.
        TrackingUnavailable: the ledger is written, MLflow is not; do it again, or leave it to `maintain`.
    """
    with warehouse.begin() as connection:
        ledger.add_verdict(connection, line.name, candidate.version, verdict, as_of=candidate.as_of, at=at)
        row = _settle(connection, line, candidate, actor=actor, at=at)
    show(warehouse, settings, line, candidate.version)
    return row


def waits_in_shadow(warehouse: Warehouse, line: Line, candidate: Candidate, verdict: Verdict) -> bool:
    """Whether the shadow comes before a promotion of this candidate (and before people are asked)."""
    with warehouse.begin() as connection:
        return enters_shadow(verdict, line) and shadow_end(connection, line.name, candidate.version) is None


def follow(connection: Connection, line: Line, item: RecordedLook, *, actor: str, at: datetime) -> Promotion | None:
    """Do, in the transaction that records it, what a final look asks for: promote the challenger (if people agree,
    where they are asked), or roll back to the predecessor. The reasons go along; doing it again changes nothing.

    Raises:
        Conflict: somebody changed the champion in this moment.
    """
    if item.look.decision is not Step.PROMOTE:
        return None
    if item.purpose is Purpose.SHADOW:
        return _settle(connection, line, ledger.candidate(connection, line.name, item.version), actor=actor, at=at)
    return _roll_back(connection, line, to=item.version, present=item.champion_version, actor=actor,
                      reason=" ".join(item.look.reasons), effective_at=item.as_of, at=at)


def approve(warehouse: Warehouse, settings: Settings, line: Line, version: int, *, approved: bool, actor: str,
            reason: str, at: datetime) -> Promotion | None:
    """Record what a person decided about a version that the gate would promote; an approval promotes it.

    Raises:
        RegistryError: the gate does not say ``promote``, or the version is or was champion already.
        Conflict: somebody else became champion since it was judged; judge again.
    """
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, line.name, version)
        verdict = ledger.last_word(connection, line.name, version)
        if verdict is None or verdict.outcome is not Outcome.PROMOTE:
            said = "has not judged it yet" if verdict is None else f"says {verdict.outcome.value}"
            raise RegistryError(f"version {version} of {line.name} cannot be approved or denied: the gate {said}; only "
                                "what the gate would promote is put before people")
        if approved and enters_shadow(verdict, line) and shadow_end(connection, line.name, version) is None:
            raise RegistryError(f"version {version} of {line.name} runs in shadow (gate.shadow.when = \"always\"); it "
                                f"can be approved when that is over, see `tidemark shadow {line.name}`")
        if not approved and _was_promoted(connection, line.name, version):
            raise RegistryError(f"version {version} of {line.name} has been promoted already; use `tidemark rollback`")
        if ledger.approval(connection, line.name, version) is not approved:
            ledger.decide_approval(connection, line.name, version, approved, actor, reason, at=at)
            events.record(connection, at=at, kind="approved" if approved else "denied", line=line.name,
                          detail={"version": version, "actor": actor, "reason": reason})
        row = _settle(connection, line, candidate, actor=actor, at=at)
    show(warehouse, settings, line, version)
    return row


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
        row = _roll_back(connection, line, to=to, present=None, actor=actor, reason=reason, effective_at=effective_at,
                         at=at)
    try:
        show(warehouse, settings, line)
    except TrackingUnavailable as error:  # not retryable: a second rollback would go one champion further back
        raise RegistryError(
            f"{line.name} is rolled back to version {row.version} in the ledger, and that stands; MLflow's alias "
            f"follows with the next `maintain`, do not repeat the rollback. {error}") from error
    return row


def show(warehouse: Warehouse, settings: Settings, line: Line, version: int | None = None) -> None:
    """Make MLflow say what the ledger says about a line, and publish the last word on ``version``.

    The ledger is looked at again afterwards: of two who change it at once, the slower one must not leave its own, older
    picture behind.

    Raises:
        TrackingUnavailable: the ledger stands, MLflow does not show it; do it again, or leave it to `maintain`.
    """
    registry = ModelRegistry(settings)
    for _ in range(_LOOKS):
        with warehouse.begin() as connection:
            found = standing(connection, line)
        projection.project(registry, line, found)
        with warehouse.begin() as connection:
            if standing(connection, line) == found:
                break
    if version is None:
        return
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, line.name, version)
        verdict = ledger.last_word(connection, line.name, version)
    if verdict is not None:
        projection.publish(registry, line, candidate, verdict)


def _settle(connection: Connection, line: Line, candidate: Candidate, *, actor: str, at: datetime) -> Promotion | None:
    """Promote a version if everybody who is to be asked says so: the gate, the shadow, people."""
    version = candidate.version
    verdict, end = ledger.last_word(connection, line.name, version), shadow_end(connection, line.name, version)
    if verdict is None or verdict.outcome is not Outcome.PROMOTE or not _agreed(connection, line, version):
        return None
    if end is None and enters_shadow(verdict, line):
        return None
    return _promote(connection, candidate, verdict, effective_at=end.as_of if end else candidate.as_of, actor=actor,
                    at=at)


def _roll_back(connection: Connection, line: Line, *, to: int | None, present: int | None, actor: str, reason: str,
               effective_at: datetime, at: datetime) -> Promotion:
    """``present``: the champion that the decision was made against; None: the one that is there."""
    history = ledger.history(connection, line.name)
    target = rollback_target(history, to, line.name)
    previous = history[-1].version if present is None else present
    row = ledger.append_promotion(
        connection, line.name, target, action=Action.ROLLBACK, expected_previous=previous, actor=actor, reason=reason,
        effective_at=effective_at, at=at)
    if row.id not in {earlier.id for earlier in history}:
        events.record(connection, at=at, kind="rollback", line=line.name, detail={
            "version": target, "previous": previous, "actor": actor, "reason": reason})
    return row


def _promote(connection: Connection, candidate: Candidate, verdict: Verdict, *, effective_at: datetime, actor: str,
             at: datetime) -> Promotion:
    """Append to the ledger, once: a version that was promoted and rolled back since is not promoted by a rerun."""
    line, version = candidate.line, candidate.version
    for row in ledger.history(connection, line):
        if row.version == version and row.action is Action.PROMOTE:
            return row
    row = ledger.append_promotion(
        connection, line, version, action=Action.PROMOTE, expected_previous=verdict.champion_version, actor=actor,
        reason=" ".join(verdict.reasons), effective_at=effective_at, at=at)
    events.record(connection, at=at, kind="promotion", line=line, detail={
        "version": version, "previous": row.previous, "actor": actor, "effect": verdict.effect,
        "p_value": verdict.p_value})
    return row


def _was_promoted(connection: Connection, line: str, version: int) -> bool:
    return any(row.version == version for row in ledger.history(connection, line))


def _agreed(connection: Connection, line: Line, version: int) -> bool:
    answer = ledger.approval(connection, line.name, version)
    return answer is True or (answer is None and line.gate.approval == "auto")
