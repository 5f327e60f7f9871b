"""A task's surroundings without an Airflow: the context that a worker would give, and a warehouse of one's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

# Airflow makes its home and looks for plugins where it is first imported; a test must not use the user's home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="tidemark-airflow-"))
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[2] / "plugins")

import pytest

if TYPE_CHECKING:
    from pipelines.config import Settings


class Events:
    """``outlet_events`` as a task sees it: one accessor per asset."""

    def __init__(self) -> None:
        self.accessors: dict[str, Any] = {}

    def __getitem__(self, asset: Any) -> Any:
        keys: set[str] = set()
        return self.accessors.setdefault(asset.name, SimpleNamespace(
            partition_keys=keys, add_partitions=lambda more: keys.update(more), extra={}))


@pytest.fixture
def settings(new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that tasks of this test read, on a fresh warehouse."""
    from pipelines import config
    from pipelines.config import Settings

    made = Settings(database_url=new_database(), home=tmp_path, snapshots=str(tmp_path / "snapshots"),
                    simulator={"days": 20, "symbols": 2}, mlflow_url="http://mlflow.invalid")
    monkeypatch.setattr(config, "settings", lambda: made)
    return made


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose warehouse cannot be reached: for tests that need none."""
    from pipelines import config
    from pipelines.config import Settings

    made = Settings(database_url="postgresql+psycopg2://nobody@127.0.0.1:1/none", home=tmp_path)
    monkeypatch.setattr(config, "settings", lambda: made)
    return made


@pytest.fixture
def in_task(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call it to be inside a task: ``in_task("train_direction_1h", partition=..., params=..., run_type=...)``."""

    def enter(dag_id: str = "some_dag", *, partition: str | None = None, params: dict[str, Any] | None = None,
              run_type: str = "asset_triggered", run_id: str = "run-1", task_id: str = "some_task") -> Any:
        pushed: dict[str, Any] = {}
        context = {
            "dag_run": SimpleNamespace(dag_id=dag_id, run_id=run_id, partition_key=partition, run_type=run_type),
            "ti": SimpleNamespace(task_id=task_id, map_index=-1, try_number=1, pushed=pushed,
                                  xcom_push=lambda key, value: pushed.update({key: value})),
            "params": params or {}, "outlet_events": Events(), "partition_key": partition}
        monkeypatch.setattr("tidemark_airflow.context.get_current_context", lambda: context)
        return SimpleNamespace(**context)

    return enter
