"""A late run leaves a system event."""

from __future__ import annotations

from airflow.sdk import SyncCallback

from pipelines.config import Settings
from pipelines.store import Warehouse, events
from tidemark_airflow.alerts import record_lateness


def test_a_late_run_is_written_down(settings: Settings) -> None:
    record_lateness(context={
        "dag_run": {"dag_id": "ingest_market", "dag_run_id": "r1", "partition_key": "2024-03-25"},
        "deadline": {"id": "x", "deadline_time": "2024-03-26T01:00:00Z"}})
    with Warehouse.from_settings(settings).begin() as connection:
        (detail,) = events.list_rows(connection, kind="late")["detail"]
    assert detail == {"dag": "ingest_market", "run": "r1", "partition": "2024-03-25",
                      "deadline": "2024-03-26T01:00:00Z"}


def test_airflow_finds_it_by_its_path() -> None:
    """The process that calls it loads no DAG folder, so it must not live in one."""
    assert SyncCallback(record_lateness).path == "tidemark_airflow.alerts.record_lateness"
