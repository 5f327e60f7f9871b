"""The looks that are due: evidence from live bars to the gate's second stage, and its answer to the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Duel, Look, Promotion, Purpose, RecordedLook
from pipelines.gate import sequential
from pipelines.registry import promotion, shadow
from pipelines.store import Warehouse


@dataclass(frozen=True)
class Review:
    """What one review of a line did: the looks it made, and the changes of champion that followed (now, or when the
    same day was reviewed before)."""

    line: str
    as_of: datetime
    made: tuple[tuple[Duel, Look], ...]
    changes: tuple[Promotion, ...]

    @property
    def sentences(self) -> list[str]:
        """For the task's log."""
        told = [f"v{pair.version} against champion v{pair.champion_version}: {sentence}"
                for pair, look in self.made for sentence in look.reasons]
        told += [f"Champion is now v{row.version} ({row.action.value}, was v{row.previous})." for row in self.changes]
        return told or ["No look is due."]


@dataclass(frozen=True)
class Pending:
    """A comparison under way: its looks so far (at most ``of``), when the next one is due, and which standardised
    statistic it will take to decide (``next_futility``: below it the version is given up; NaN: no such bound)."""

    pair: Duel
    looks: tuple[RecordedLook, ...]
    of: int
    next_due: datetime
    next_boundary: float
    next_futility: float


def review(warehouse: Warehouse, settings: Settings, line: Line, as_of: datetime, *, at: datetime) -> Review:
    """Make the looks that are due at ``as_of`` (data time, UTC) and act on them: first the watch over a fresh champion,
    then the challenger against whoever is champion after that. The same time again changes nothing.

    Raises:
        Conflict: somebody changed the champion in this moment; look again.
        TrackingUnavailable: the ledger is written, MLflow is not; do it again, or leave it to `maintain`.
        StoreUnavailable
    """
    made: list[tuple[Duel, Look]] = []
    for purpose in (Purpose.ROLLBACK, Purpose.SHADOW):
        with warehouse.begin() as connection:
            pair = shadow.duel(connection, line, purpose, as_of)
            known = [] if pair is None else shadow.recorded(connection, pair)
        if pair is None:
            continue
        rules = _plan(line, purpose, known)
        looks: list[Look] = []
        for due in sequential.dues(pair.started_at, as_of, rules, after=len(known)):
            seen = shadow.assemble(warehouse, pair, due)
            looks.append(sequential.look(seen["difference"], pair.started_at, due, rules, seen["rows"]))
            if looks[-1].final:
                break
        if looks:
            shadow.act(warehouse, settings, line, pair, looks, as_of=as_of, at=at)
            made += [(pair, look) for look in looks]
    with warehouse.begin() as connection:
        changes = shadow.changes(connection, line, as_of)
    if changes and not made:  # a rerun: MLflow may have been away the first time
        promotion.show(warehouse, settings, line, changes[-1].version)
    return Review(line.name, as_of, tuple(made), tuple(changes))


def pending(warehouse: Warehouse, line: Line, as_of: datetime) -> list[Pending]:
    """The comparisons under way at ``as_of`` (data time, UTC), with their looks so far and the next one."""
    found = []
    for purpose in (Purpose.SHADOW, Purpose.ROLLBACK):
        with warehouse.begin() as connection:
            pair = shadow.duel(connection, line, purpose, as_of)
            known = [] if pair is None else shadow.recorded(connection, pair, as_of)
        if pair is None:
            continue
        rules = _plan(line, purpose, known)
        number = min(len(known) + 1, rules.looks)
        limits = sequential.boundary(rules.looks, rules.alpha, rules.futility)
        found.append(Pending(pair, tuple(known), rules.looks, pair.started_at + number * rules.every,
                             limits.efficacy[number - 1],
                             limits.futility[number - 1] if limits.futility else float("nan")))
    return found


def _plan(line: Line, purpose: Purpose, known: Sequence[RecordedLook]) -> sequential.Plan:
    """The line's plan; how many looks there are was settled with the first one."""
    rules = sequential.plan(line, purpose)
    return replace(rules, looks=known[0].look.of) if known else rules
