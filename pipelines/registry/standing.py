"""Who stands where in a line, according to the ledger alone: champion, challenger, and the state of each version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Outcome, Promotion, Purpose, RecordedLook, Verdict
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
    SUPERSEDED = "superseded"
    RETIRED_CHALLENGER = "retired_challenger"
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
    shadow = challenger(connection, line, champion)
    former = {row.version for row in ledger.history(connection, line.name)}
    versions = _versions(connection, line.name)
    offline = {version: ledger.latest_verdict(connection, line.name, version) for version in versions}
    entered = [version for version, verdict in offline.items() if verdict is not None
               and verdict.champion_version is not None and enters_shadow(verdict, line)]
    states = {}
    for version in versions:
        if version == champion:
            states[version] = State.CHAMPION
        elif version in former:
            states[version] = State.RETIRED
        elif version == shadow:
            states[version] = State.CHALLENGER
        elif (end := shadow_end(connection, line.name, version)) is None and version in entered[:-1]:
            states[version] = State.SUPERSEDED
        else:
            states[version] = _state(connection, line, version, offline[version], end)
    return Standing(champion, shadow, states)


def enters_shadow(verdict: Verdict | None, line: Line) -> bool:
    """Whether a candidate with this offline verdict runs in shadow before anything else happens to it.

    The first champion of a line has nobody to be compared with on live bars, so it never has to.
    """
    when = line.gate.shadow.when
    if verdict is None or when == "never":
        return False
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return True
    return verdict.outcome is Outcome.PROMOTE and when == "always" and verdict.champion_version is not None


def shadow_end(connection: Connection, line: str, version: int, *,
               as_of: datetime | None = None) -> RecordedLook | None:
    """The look that ended the shadow of a version, by ``as_of`` (data time, UTC); None while nothing has."""
    for item in ledger.looks(connection, line, version=version, purpose=Purpose.SHADOW, as_of=as_of):
        if item.look.final:
            return item
    return None


def challenger(connection: Connection, line: Line, champion: int | None, *,
               as_of: datetime | None = None) -> int | None:
    """The newest version after the champion that has entered the shadow, unless its shadow has ended.

    One challenger at a time: a newer candidate that enters the shadow supersedes the older one for good.

    Args:
        champion: the champion at that time; None gives no challenger, for there is nothing to shadow.
        as_of: data time (UTC); only versions trained as of it or before, and only looks and promotions until then.
    """
    if champion is None:
        return None
    for version in reversed(_versions(connection, line.name, as_of)):
        if version <= champion:
            return None
        if enters_shadow(ledger.latest_verdict(connection, line.name, version), line):
            ended = shadow_end(connection, line.name, version, as_of=as_of) is not None or any(
                row.version == version and (as_of is None or row.effective_at <= as_of)
                for row in ledger.history(connection, line.name))
            return None if ended else version
    return None


def predecessor(present: Promotion, line: Line, at: datetime) -> int | None:
    """The version that goes on scoring at ``at`` (data time, UTC) beside a champion that was promoted over it.

    None after a rollback: what was rolled back is not watched again.
    """
    watched = timedelta(days=line.gate.rollback.watch_days)
    if present.action is Action.PROMOTE and present.effective_at <= at < present.effective_at + watched:
        return present.previous
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


def _state(connection: Connection, line: Line, version: int, offline: Verdict | None,
           end: RecordedLook | None) -> State:
    """Of a version that was never champion and is not in shadow."""
    verdict = offline if end is None else ledger.last_word(connection, line.name, version)
    if verdict is None:
        return State.CANDIDATE
    if verdict.outcome is Outcome.REJECT:
        return State.REJECTED if end is None else State.RETIRED_CHALLENGER
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return State.INCONCLUSIVE
    if ledger.approval(connection, line.name, version) is False:
        return State.DENIED
    waits = end is None and enters_shadow(verdict, line)
    return State.AWAITING_APPROVAL if line.gate.approval == "human" and not waits else State.CANDIDATE


def _versions(connection: Connection, line: str, as_of: datetime | None = None) -> list[int]:
    found = derived.read(connection, tables.candidates, columns=["version", "as_of"], where={"line": line})
    if as_of is not None:
        found = found[found["as_of"] <= as_of]
    return sorted(int(version) for version in found["version"])
