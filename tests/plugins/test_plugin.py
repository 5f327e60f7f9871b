"""What Airflow finds in the plugins folder, and what it shows."""

from __future__ import annotations

import pytest
from airflow._shared.module_loading import find_path_from_directory

from pipelines.config import ROOT, Settings
from tidemark_airflow import lines
from tidemark_airflow.links import MlflowRunLink
from tidemark_airflow.plugin import TidemarkPlugin, mlflow_views


def test_airflow_imports_the_plugin_and_nothing_else_by_its_bare_name() -> None:
    """It would put each file into ``sys.modules`` as ``context``, ``lines``, ..., over whatever is there."""
    found = sorted(find_path_from_directory(str(ROOT / "plugins"), ".airflowignore", "glob"))
    assert [path.removeprefix(f"{ROOT}/") for path in found if path.endswith(".py")] == [
        "plugins/tidemark_airflow/plugin.py"]


def test_the_way_to_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    monkeypatch.delenv("TIDEMARK_MLFLOW_URL", raising=False)
    lines._stack_file.cache_clear()
    assert mlflow_views() == []
    monkeypatch.setenv("TIDEMARK_MLFLOW_URL", "http://mlflow.example:5000")
    assert [view["href"] for view in mlflow_views()] == ["http://mlflow.example:5000"]
    lines._stack_file.cache_clear()
    assert TidemarkPlugin.name == "tidemark"


def test_a_task_links_to_its_run(monkeypatch: pytest.MonkeyPatch, offline: Settings) -> None:
    pushed: dict[str, str] = {}
    ti = type("TI", (), {"xcom_push": lambda self, key, value: pushed.update({key: value})})()
    monkeypatch.setattr("tidemark_airflow.links.get_current_context", lambda: {"ti": ti})
    settings = offline.model_copy(update={"mlflow_url": "http://mlflow.example"})
    MlflowRunLink.push(settings, "abc")
    monkeypatch.setattr("tidemark_airflow.links.BaseXCom.get_value", lambda *, ti_key, key: pushed.get(key))
    assert MlflowRunLink().get_link(None, ti_key=None) == "http://mlflow.example/#/runs/abc"  # type: ignore[arg-type]
    pushed.clear()
    assert MlflowRunLink().get_link(None, ti_key=None) == ""  # type: ignore[arg-type]
