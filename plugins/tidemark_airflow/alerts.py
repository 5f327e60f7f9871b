"""Callbacks that Airflow runs outside of tasks. They live here because those processes load no DAG folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def record_lateness(context: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Write a system event that names the run which missed its deadline."""
    from pipelines.clock import now
    from pipelines.config import settings
    from pipelines.store import Warehouse, events

    run = (context or {}).get("dag_run") or {}
    detail = {"dag": run.get("dag_id"), "run": run.get("dag_run_id"), "partition": run.get("partition_key"),
              "deadline": str(((context or {}).get("deadline") or {}).get("deadline_time", ""))}
    log.warning("%(dag)s %(run)s is late: it should have finished by %(deadline)s", detail)
    warehouse = Warehouse.from_settings(settings())
    try:
        with warehouse.begin() as connection:
            events.record(connection, at=now(), kind="late", line=None, detail=detail)
    finally:
        warehouse.close()
