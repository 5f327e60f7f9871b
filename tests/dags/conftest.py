"""Airflow for one test process: a home of its own, our folders, no server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Airflow makes its home and looks for plugins where it is first imported; a test must not use the user's home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="tidemark-airflow-"))
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[2] / "plugins")

import pytest
from airflow.dag_processing.dagbag import DagBag

from pipelines.config import ROOT


@pytest.fixture(scope="session")
def bag() -> DagBag:
    """Every DAG, parsed as the DAG processor does it."""
    return DagBag(str(ROOT / "dags"), collect_dags=True)
