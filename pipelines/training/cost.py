"""What the steps of a training cost: measured around each, recorded in the ledger, also when the step fails.

CPU seconds are those of this process and of its children that have ended, user and system (getrusage(2)); wall seconds
those of a monotonic clock. What a process spends before its step (Python's and Airflow's own start) and what a killed
one has spent is not in them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.retraining import Cost
from pipelines.errors import TidemarkError, TrackingUnavailable
from pipelines.store import Warehouse, ledger
from pipelines.training.measure import Measure
from pipelines.training.record import Tracker

P = ParamSpec("P")
R = TypeVar("R")
#: The step that ends a training.
LAST = "conclude"


def cpu_seconds() -> float:
    """CPU time of this process and its ended children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


@dataclass
class Meter:
    """Counts from when it is made."""

    cpu: float = field(default_factory=cpu_seconds)
    wall: float = field(default_factory=time.perf_counter)

    def read(self, trials: int = 0) -> Cost:
        return Cost(max(cpu_seconds() - self.cpu, 0.0), max(time.perf_counter() - self.wall, 0.0), trials)


@contextmanager
def metered(warehouse: Warehouse, line: Line, step: str, *, request_id: int | None, run_id: str | None = None,
            worker: int = 0) -> Iterator[dict[str, Any]]:
    """Record what the block costs. It may put ``run_id`` and ``recipe`` (known once a training is opened) and
    ``trials`` into the dict it is given."""
    meter, known = Meter(), dict[str, Any]()

    def record() -> None:
        with warehouse.begin() as connection:
            ledger.add_step(connection, line.name, step, meter.read(known.get("trials", 0)), request_id=request_id,
                            run_id=known.get("run_id", run_id), worker=worker, recipe=known.get("recipe"))

    try:
        yield known
    except BaseException:
        with suppress(TidemarkError):  # the error of the step is the one to show
            record()
        raise
    record()


def step(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Meter a step ``f(warehouse, settings, line, session, ...)`` of an open training. What a search returns is the
    number of its finished trials; after the last step the sum goes to the MLflow run as ``cost.*``."""
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            given = shape.bind(*args, **kwargs).arguments
            warehouse, line, session = given["warehouse"], given["line"], given["session"]
            with metered(warehouse, line, name, request_id=session.request_id, run_id=session.run_id,
                         worker=given.get("worker", 0)) as known:
                result = function(*args, **kwargs)
                known["trials"] = result if isinstance(result, int) else 0
            if name == LAST:
                publish(warehouse, given["settings"], line, session.run_id)
            return result
        shape = signature(function)
        return measured
    return decorate


def publish(warehouse: Warehouse, settings: Settings, line: Line, run_id: str) -> None:
    """Show on the MLflow run what the ledger says its training has cost. The ledger is the truth, so a server that does
    not answer in this moment fails no training that is done."""
    with warehouse.begin() as connection:
        spent = ledger.cost_of_run(connection, line.name, run_id)
    with suppress(TrackingUnavailable):
        Tracker(settings).measures(run_id, [
            Measure("cost.cpu_seconds", spent.cpu_seconds), Measure("cost.wall_seconds", spent.wall_seconds),
            Measure("cost.trials", float(spent.trials))])
