"""Parsing a DAG file is cheap and needs nothing: no server, no settings, no library of ours or a vendor's.

Counted in modules, not seconds. Each file is parsed in a fork of a process that has imported what Airflow itself needs
for parsing, as the DAG processor does it, with an empty environment and a database address at which nobody listens.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import ROOT

FILES = sorted((ROOT / "dags").glob("*.py"))
#: No DAG file may pull in more than this on top of the SDK (measured: 30 to 90, Airflow's own).
MOST_NEW_MODULES = 150
FORBIDDEN = ("pipelines", "mlflow", "optuna", "evidently", "pandas", "numpy", "sklearn", "scipy", "pyarrow",
             "psycopg2", "matplotlib", "lightgbm", "xgboost", "shap")
CODE = """
import importlib.util, json, os, sys
import airflow.dag_processing.dagbag
from airflow.sdk import DAG, Asset, CronTriggerTimetable, PartitionedAssetTimetable, Param, task
task.short_circuit, task.branch  # the decorators of the standard provider are loaded when first named
for path in sys.argv[1:]:
    read, write = os.pipe()
    if os.fork() == 0:
        before = set(sys.modules)
        spec = importlib.util.spec_from_file_location("parsed", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        os.write(write, json.dumps([path, sorted(set(sys.modules) - before)]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        print(answer.read())
    os.wait()
"""


@pytest.fixture(scope="module")
def new_modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """File → what parsing it has imported."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home), "TIDEMARK_HOME": str(home),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:1/none"}
    done = subprocess.run([sys.executable, "-c", CODE, *map(str, FILES)], cwd=home, env=environment,
                          capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == len(FILES), done.stderr[-3000:]
    return {Path(path).stem: modules for path, modules in map(json.loads, lines)}


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_parsing_imports_little_and_nothing_of_ours(new_modules: dict[str, list[str]], name: str) -> None:
    modules = new_modules[name]
    assert [module for module in modules if module.split(".")[0] in FORBIDDEN] == []
    assert len(modules) < MOST_NEW_MODULES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_top_of_a_file_imports_the_sdk_and_our_plugins_only(path: Any) -> None:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    allowed = {name for name in names if name.split(".")[0] in sys.stdlib_module_names | {"tidemark_airflow"}}
    assert names - allowed == {"airflow.sdk"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_file_holds_no_logic(path: Any) -> None:
    """What, when, after what. Only a line's ``approval`` may change a DAG's shape."""
    branches = [ast.unparse(node.test) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.If | ast.While | ast.IfExp)]
    assert branches in ([], ["line.approval == 'human'"])
