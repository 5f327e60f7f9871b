"""What one worker of the registry's storm does, in a process of its own that may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Outcome
from pipelines.errors import Conflict, RegistryError
from pipelines.registry import promotion
from pipelines.store import Warehouse, ledger
from tests.unit.registry.world import AT, START, said


@dataclass(frozen=True)
class Job:
    """``version``: the candidate to promote; None: roll back, ``to`` a former champion or one back. ``dies``: kills
    itself between the ledger and the alias."""

    url: str
    settings: dict[str, str]
    line: Line
    version: int | None
    to: int | None = None
    dies: bool = False


def work(job: Job, start: Any) -> None:
    """Wait for the starting shot, then change the champion once; a lost race is tried again as a person would."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        os.environ.pop(name, None)
    if job.dies:
        promotion.show = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    warehouse = Warehouse(job.url, "unused")
    start.wait()
    for _ in range(20):
        try:
            change(warehouse, job)
        except Conflict:
            continue
        break
    warehouse.close()


def change(warehouse: Warehouse, job: Job, at: datetime = AT) -> None:
    settings = Settings(**job.settings)  # type: ignore[arg-type]
    if job.version is None:
        with contextlib.suppress(RegistryError):  # nothing to go back to yet
            promotion.rollback(warehouse, settings, job.line, to=job.to, actor=f"worker {os.getpid()}", reason="storm",
                               effective_at=START, at=at)
        return
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, job.line.name, job.version)
        present = ledger.champion(connection, job.line.name)
    promotion.apply(warehouse, settings, job.line, candidate,
                    said(Outcome.PROMOTE, present.version if present else None), actor=f"worker {os.getpid()}", at=at)
