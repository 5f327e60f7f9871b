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
    WAITING = "waiting"
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
    running = in_shadow(connection, line, champion)
    shadow = running.version if running else None
    former = {row.version for row in ledger.history(connection, line.name)}
    versions = list(_trained(connection, line.name))
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
        elif (end := shadow_end(connection, line.name, version)) is None and entered[-1:] == [version] and running:
            states[version] = State.WAITING
        elif end is None and version in entered[:-1]:
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


@dataclass(frozen=True)
class InShadow:
    """A challenger, and since when (data time, UTC) its shadow runs."""

    version: int
    since: datetime


def challenger(connection: Connection, line: Line, champion: int | None, *,
               as_of: datetime | None = None) -> int | None:
    """The version of ``in_shadow``."""
    running = in_shadow(connection, line, champion, as_of=as_of)
    return running.version if running else None


def in_shadow(connection: Connection, line: Line, champion: int | None, *,
              as_of: datetime | None = None) -> InShadow | None:
    """The challenger of a champion, one at a time: a shadow that has begun runs to its end, and then the newest version
    that entered meanwhile takes its place; older ones are superseded for good.

    A newer candidate does not end a shadow: where trainings come more often than a shadow takes, none would ever be
    long enough to decide.

    Args:
        champion: the champion at that time; None gives no challenger, for there is nothing to shadow.
        as_of: data time (UTC); only versions trained as of it or before, and only looks and promotions until then.
    """
    if champion is None:
        return None
    trained = {version: at for version, at in _trained(connection, line.name, as_of).items() if version > champion}
    entered = [version for version in trained
               if enters_shadow(ledger.latest_verdict(connection, line.name, version), line)]
    free: datetime | None = None
    while entered:
        # The newest of those that came while the place was taken; else the next one.
        came = [version for version in entered if free is not None and trained[version] <= free]
        version = came[-1] if came else entered[0]
        since = trained[version] if free is None else max(free, trained[version])
        free = _left(connection, line.name, version, as_of)
        if free is None:
            return InShadow(version, since)
        entered = [other for other in entered if other > version]
    return None


def _left(connection: Connection, line: str, version: int, as_of: datetime | None) -> datetime | None:
    """When (data time, UTC) a version's shadow ended, by a look or because it became champion; None: it has not."""
    look = shadow_end(connection, line, version, as_of=as_of)
    ends = [row.effective_at for row in ledger.history(connection, line)
            if row.version == version and (as_of is None or row.effective_at <= as_of)]
    return min([*ends, *([look.as_of] if look else [])], default=None)


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


def _trained(connection: Connection, line: str, as_of: datetime | None = None) -> dict[int, datetime]:
    """Version → as of when it was trained (UTC), in the order of versions."""
    found = derived.read(connection, tables.candidates, columns=["version", "as_of"], where={"line": line},
                         order=["version"])
    return {int(version): at.to_pydatetime() for version, at in zip(found["version"], found["as_of"], strict=True)
            if as_of is None or at <= as_of}
