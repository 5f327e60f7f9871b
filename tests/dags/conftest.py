"""Airflow for one test process: a home of its own, our folders, no server."""

from __future__ import annotations

import os
import tempfile

# Airflow makes its home where it is first imported; a test must not make one in the user's home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="tidemark-airflow-"))

import pytest
from airflow.dag_processing.dagbag import DagBag

from pipelines.config import ROOT


@pytest.fixture(scope="session")
def bag() -> DagBag:
    """Every DAG, parsed as the DAG processor does it."""
    return DagBag(str(ROOT / "dags"), collect_dags=True)
