"""Mending what a crash between the ledger and MLflow left behind. On a healthy system this changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.registry import projection
from pipelines.registry.client import ModelRegistry
from pipelines.registry.standing import Standing, State, standing
from pipelines.store import Warehouse, events, ledger

REPAIR = "repair"


def reconcile(warehouse: Warehouse, settings: Settings, lines: Iterable[Line], *, at: datetime) -> list[str]:
    """Set aliases and states to what the ledger says, publish verdicts that MLflow does not show, and mark versions
    that the ledger does not know.

    Args:
        at: wall clock of the caller. A version is stranded when the ledger does not know it after the line's
            ``retrain.claim_hours``: its training died between registration and the ledger.

    Returns:
        Every repair as one sentence; each is a system event too.

    Raises:
        TrackingUnavailable: MLflow cannot be reached; what was mended stays mended.
    """
    registry = ModelRegistry(settings)
    repairs: list[str] = []
    for line in lines:
        with warehouse.begin() as connection:
            found = standing(connection, line)
        done = [*_strand(registry, line, found, at), *projection.project(registry, line, found),
                *_publish(warehouse, registry, line, found)]
        if done:
            with warehouse.begin() as connection:
                for sentence in done:
                    events.record(connection, at=at, kind=REPAIR, line=line.name, detail={"what": sentence})
        repairs += done
    return repairs


def _strand(registry: ModelRegistry, line: Line, found: Standing, at: datetime) -> list[str]:
    patience = timedelta(hours=line.retrain.claim_hours)
    marked = []
    for version, item in registry.versions(line).items():
        if version in found.states or item.tags.get(tags.STATE) == State.STRANDED or at - item.created_at < patience:
            continue
        registry.tag_version(line, version, tags.STATE, State.STRANDED.value)
        marked.append(f"{line.name}: version {version} is in MLflow but not in the ledger, marked stranded; its run is "
                      f"{item.run_id}")
    lost = sorted(version for version in (found.champion, found.challenger) if version is not None
                  and version not in registry.versions(line))
    if lost:
        marked.append(f"{line.name}: versions {lost} are in the ledger but not in MLflow; restore its database, or "
                      "roll back to a version that is there")
    return marked


def _publish(warehouse: Warehouse, registry: ModelRegistry, line: Line, found: Standing) -> list[str]:
    """Verdicts that MLflow does not show, because the judge died before it could say so."""
    done = []
    for version, item in registry.versions(line).items():
        if version not in found.states:
            continue
        with warehouse.begin() as connection:
            candidate = ledger.candidate(connection, line.name, version)
            verdict = ledger.last_word(connection, line.name, version)
        if verdict is not None and item.tags.get(tags.VERDICT) != verdict.outcome.value:
            projection.publish(registry, line, candidate, verdict)
            done.append(f"{line.name}: verdict {verdict.outcome.value} shown on version {version}")
    return done
