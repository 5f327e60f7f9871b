"""A line of its own for each test: beside MLflow in memory (``world``), or beside the real server (``tracked``)."""

from __future__ import annotations

import itertools

import pytest

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FittedModel
from pipelines.registry import client, models, promotion, reconcile
from pipelines.store import Warehouse
from tests.fixtures.mlflow_server import MlflowServer
from tests.unit.registry.world import FakeRegistry, World, make_line

_numbers = itertools.count()


@pytest.fixture
def world(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> World:
    """A real ledger, real models, and a model registry in memory."""
    registry = FakeRegistry()
    made = World(warehouse, Settings(mlflow_url="http://nowhere"), make_line(), registry)

    def load(_: Warehouse, settings: Settings, line: Line, version: int) -> FittedModel:
        return made.models[version]

    monkeypatch.setattr(models, "load", load)
    for module in (client, promotion, reconcile):
        monkeypatch.setattr(module, "ModelRegistry", registry)
    return made


@pytest.fixture
def tracked(warehouse: Warehouse, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> World:
    """A real ledger beside a real MLflow server."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
                 "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return World(warehouse, Settings(**mlflow_server.settings), make_line(name=f"line_{next(_numbers)}"))
