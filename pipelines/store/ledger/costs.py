"""What trainings took, step by step, and what they were made by."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select

from pipelines.contracts.retraining import Cost
from pipelines.store.tables import candidates
from pipelines.store.tables import training_steps as table

_SUMS = (func.sum(table.c.cpu_seconds), func.sum(table.c.wall_seconds), func.sum(table.c.trials))


def add_step(connection: Connection, line: str, step: str, cost: Cost, *, request_id: int | None, run_id: str | None,
             worker: int = 0, recipe: Mapping[str, str] | None = None) -> None:
    """Append what one process has spent on a step (open, audit, trials, conclude). A step that was done twice, because
    it was killed in between, has cost twice."""
    connection.execute(insert(table).values(
        line=line, step=step, request_id=request_id, run_id=run_id, worker=worker, cpu_seconds=cost.cpu_seconds,
        wall_seconds=cost.wall_seconds, trials=cost.trials, recipe=None if recipe is None else dict(recipe)))


def cost_of_run(connection: Connection, line: str, run_id: str) -> Cost:
    """What the training with this MLflow run has cost so far."""
    cpu, wall, trials = connection.execute(
        select(*_SUMS).where(table.c.line == line, table.c.run_id == run_id)).one()
    return _cost(cpu, wall, trials)


def costs_of_runs(connection: Connection, line: str) -> dict[str, Cost]:
    """MLflow run → what its training has cost, for those that measured it."""
    query = select(table.c.run_id, *_SUMS).where(table.c.line == line, table.c.run_id.is_not(None)).group_by(
        table.c.run_id)
    return {row[0]: _cost(*row[1:]) for row in connection.execute(query)}


def costs_of_requests(connection: Connection, line: str) -> dict[int, Cost]:
    """Request → what all tries to serve it have cost. One that is not here was never worked on."""
    query = select(table.c.request_id, *_SUMS).where(
        table.c.line == line, table.c.request_id.is_not(None)).group_by(table.c.request_id)
    return {int(row[0]): _cost(*row[1:]) for row in connection.execute(query)}


def recipes(connection: Connection, line: str) -> dict[int, dict[str, str]]:
    """Version → the recipe its training was opened with, for those that recorded it."""
    query = (select(candidates.c.version, table.c.recipe)
             .join(table, (table.c.line == candidates.c.line) & (table.c.run_id == candidates.c.run_id))
             .where(candidates.c.line == line, func.jsonb_typeof(table.c.recipe) == "object").order_by(table.c.id))
    return {int(version): recipe for version, recipe in connection.execute(query)}


def _cost(cpu: float | None, wall: float | None, trials: int | None) -> Cost:
    return Cost(float(cpu or 0.0), float(wall or 0.0), int(trials or 0))
