"""Who stands where in a line, according to the ledger alone: champion, challenger, and the state of each version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Outcome, Promotion
from pipelines.errors import RegistryError
from pipelines.store import derived, ledger, tables


class State(StrEnum):
    """What a version is; the value of the tag ``tidemark.state``."""

    CANDIDATE = "candidate"
    AWAITING_APPROVAL = "awaiting_approval"
    DENIED = "denied"
    CHAMPION = "champion"
    CHALLENGER = "challenger"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"
    RETIRED = "retired"
    STRANDED = "stranded"


@dataclass(frozen=True)
class Standing:
    """``states``: version → state, for every version in the ledger."""

    champion: int | None
    challenger: int | None
    states: dict[int, State]


def standing(connection: Connection, line: Line) -> Standing:
    """What MLflow's aliases and tags have to say about a line."""
    present = ledger.champion(connection, line.name)
    champion = present.version if present else None
    shadow = challenger(connection, line.name, champion)
    former = {row.version for row in ledger.history(connection, line.name)}
    states = {}
    for version in _versions(connection, line.name):
        verdict = ledger.latest_verdict(connection, line.name, version)
        if version == champion:
            states[version] = State.CHAMPION
        elif version in former:
            states[version] = State.RETIRED
        elif verdict is None:
            states[version] = State.CANDIDATE
        elif verdict.outcome is Outcome.REJECT:
            states[version] = State.REJECTED
        elif verdict.outcome is Outcome.INCONCLUSIVE:
            states[version] = State.CHALLENGER if version == shadow else State.INCONCLUSIVE
        elif ledger.approval(connection, line.name, version) is False:
            states[version] = State.DENIED
        else:
            states[version] = State.AWAITING_APPROVAL if line.gate.approval == "human" else State.CANDIDATE
    return Standing(champion, shadow, states)


def challenger(connection: Connection, line: str, champion: int | None, *,
               as_of: datetime | None = None) -> int | None:
    """The newest version after the champion that the gate found inconclusive: it runs in shadow.

    Args:
        champion: the champion at that time; None gives no challenger, for there is nothing to shadow.
        as_of: data time (UTC); only versions trained as of it or before.
    """
    if champion is None:
        return None
    for version in reversed(_versions(connection, line, as_of)):
        if version <= champion:
            return None
        verdict = ledger.latest_verdict(connection, line, version)
        if verdict is not None and verdict.outcome is Outcome.INCONCLUSIVE:
            return version
    return None


def rollback_target(history: Sequence[Promotion], to: int | None, line: str) -> int:
    """The version a rollback leads to: ``to``, or the champion before the present one.

    The history is read as a stack: a promotion puts a version on top, a rollback takes off what lies above its
    target. Rolling back twice therefore goes two champions back instead of forth and back.

    Raises:
        RegistryError: there is nothing to roll back to, or ``to`` was never champion; the message names the former
            champions.
    """
    stack: list[int] = []
    for row in history:
        if row.action is Action.ROLLBACK and row.version in stack:
            del stack[stack.index(row.version) + 1:]
        else:
            stack.append(row.version)
    former = sorted({row.version for row in history})
    named = ", ".join(map(str, former)) or "none"
    if to is not None:
        if to not in former:
            raise RegistryError(f"version {to} of {line} was never champion (those that were: {named}); a rollback "
                                "only leads back to one of them, a new version goes through the gate")
        return to
    if len(stack) < 2:
        raise RegistryError(f"{line} has no champion before the present one (champions so far: {named}); name a former "
                            "one with --to" if former else f"{line} never had a champion; promote one first")
    return stack[-2]


def _versions(connection: Connection, line: str, as_of: datetime | None = None) -> list[int]:
    found = derived.read(connection, tables.candidates, columns=["version", "as_of"], where={"line": line})
    if as_of is not None:
        found = found[found["as_of"] <= as_of]
    return sorted(int(version) for version in found["version"])
