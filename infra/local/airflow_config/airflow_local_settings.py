"""Airflow imports this at the start of each of its processes: what the embedded stack needs in them.

- scheduler: import the heavy libraries once. LocalExecutor forks its workers, and they their tasks, from this process,
  so a task that says ``import mlflow`` waits microseconds instead of seconds, and the memory is shared.
- scheduler: hold on until the api-server answers. Its first answer takes seconds, and a task that asks for it meanwhile
  would give up. Done here, it overlaps with the imports.
- api-server: tasks log to this machine's disk, so nothing is served over HTTP (``--skip-serve-logs``: that server would
  listen on all interfaces); do not ask for it either, or each look at a running task's log starts with an error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import urllib.request
from typing import Any

__all__: list[str] = []  # nothing here is a setting

HEAVY = ("numpy", "pandas", "pyarrow.parquet", "pyarrow.dataset", "pyarrow.pandas_compat", "scipy.stats",
         "sqlalchemy", "psycopg2", "mlflow", "mlflow.sklearn", "mlflow.lightgbm", "mlflow.xgboost", "sklearn.ensemble",
         "sklearn.linear_model", "sklearn.pipeline", "lightgbm", "xgboost", "optuna", "skops.io", "shap",
         "matplotlib.pyplot", "evidently")
OURS = ("pipelines.ingest.run", "pipelines.sentiment.run", "pipelines.features.run", "pipelines.features.snapshot",
        "pipelines.training.stage", "pipelines.training.warm", "pipelines.gate", "pipelines.registry.promotion",
        "pipelines.serving.batch", "pipelines.monitoring.check", "pipelines.monitoring.evidently_report",
        "pipelines.monitoring.outcomes", "pipelines.monitoring.looks", "pipelines.retrain.run")
WAIT_SECONDS = 90.0


def _sources() -> list[str]:
    """What the sources that are set need, ccxt above all: 0.4 s of every task that asks an exchange."""
    names = [name.strip() for name in os.environ.get("TIDEMARK_SOURCE", "simulator").split(",")]
    return ["pipelines.ingest.composite", *(f"pipelines.ingest.{name}" for name in names),
            *(["ccxt"] if "exchange" in names else [])]


def _read_settings() -> None:
    """Once, and not by every task: they come from this process's environment and a file written before its start."""
    from pipelines.config import settings

    settings()


def _preload() -> None:
    began = time.perf_counter()
    for name in (*HEAVY, *OURS, *_sources()):
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken module must fail the task that needs it, not the scheduler
            print(f"tidemark: could not preload {name}: {error!r}", file=sys.stderr)
    with contextlib.suppress(Exception):  # a task says what is wrong
        _read_settings()
    print(f"tidemark: preloaded in {time.perf_counter() - began:.1f} s", file=sys.stderr)


def _wait_for_api() -> None:
    from airflow.configuration import conf

    url = conf.get("core", "execution_api_server_url").rstrip("/") + "/health"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), direct.open(url, timeout=30):
            return
        time.sleep(0.1)


def _read_logs_from_disk() -> None:
    from airflow.utils.log.file_task_handler import FileTaskHandler

    def nothing_is_served(self: Any, *args: Any, **kwargs: Any) -> tuple[list[str], list[Any]]:
        return [], []

    FileTaskHandler._read_from_logs_server = nothing_is_served


_component = sys.argv[1:2]
if _component == ["scheduler"]:
    _preload()
    _wait_for_api()
elif _component == ["api-server"]:
    _read_logs_from_disk()
