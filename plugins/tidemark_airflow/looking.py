"""What the monitor and rollback DAGs do with the champion: looks on live bars, and the way back by hand."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from tidemark_airflow import assets
from tidemark_airflow.context import Work, tell


def look(w: Work, name: str) -> list[str]:
    """Make the looks that are due at the end of each day of the run and act on them. Returns the partition keys of the
    champions that follow from them, also when an earlier try of this run has written them already."""
    from pipelines.monitoring import looks, outcomes

    line = w.line(name)
    found: list[str] = []
    for day in w.days:
        outcomes.mature(w.warehouse, line, day.end)
        review = looks.review(w.warehouse, w.settings, line, day.end, at=w.at)
        tell(f"{name} as of {day.end:%Y-%m-%d %H:%M} UTC", review.sentences)
        found += [f"v{row.version}" for row in review.changes]
    return list(dict.fromkeys(found))


def ring_champion(w: Work, name: str, versions: list[str]) -> None:
    """Ring `champion/<line>` for these partition keys."""
    w.announce(assets.champion(name), versions)


def rollback_params() -> dict[str, Param]:
    """The trigger form of a rollback."""
    return {
        "version": Param(None, type=["null", "integer"], minimum=1, title="Version", description=(
            "Former champion to put back. Empty: the one before the present champion.")),
        "reason": Param("rolled back by hand", type="string", minLength=3, title="Reason", description=(
            "Why; kept in the ledger and shown by `tidemark history`.")),
        "as_of": Param(None, type=["null", "string"], title="As of", description=(
            "Data time (UTC, ISO 8601) from which it scores. Empty: now."))}


def roll_back(w: Work, name: str) -> dict[str, Any]:
    """Put a former champion back: ledger first, then the MLflow alias; rings `champion/<line>`.

    One run rolls back once: a second try, after the first died somewhere behind the ledger, finds the run's own row
    there and goes on from it.

    Raises:
        RegistryError: there is none to go back to, or the version was never champion.
    """
    from pipelines import clock
    from pipelines.registry import promotion
    from pipelines.store import ledger

    line, params = w.line(name), w.params
    with w.warehouse.begin() as connection:
        mine = [row for row in ledger.history(connection, name) if row.actor == w.run]
    if mine:
        row = mine[-1]
        promotion.show(w.warehouse, w.settings, line)
    else:
        row = promotion.rollback(
            w.warehouse, w.settings, line, to=params.get("version"), actor=w.run, reason=params["reason"],
            effective_at=clock.parse(params["as_of"]) if params.get("as_of") else w.at, at=w.at)
    w.announce(assets.champion(name), [f"v{row.version}"], action=row.action.value, reason=row.reason)
    return tell(f"champion of {name}", row)
