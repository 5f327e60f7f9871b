"""The house plan, held by machine: who may import whom, one vendor one door, no clock, no pickle, no shadow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "pipelines").rglob("*.py"))
SOURCES = sorted(path for room in ("pipelines", "plugins", "dags", "infra") for path in (ROOT / room).rglob("*.py"))

#: vendor → where it may be imported, as path prefixes below the repository
DOORS = {
    "optuna": ("pipelines/training/search.py", "pipelines/training/search_places.py",
               "pipelines/training/search_storage.py"),
    "ccxt": ("pipelines/ingest/exchange.py",),
    "feedparser": ("pipelines/ingest/rss.py",),
    "httpx": ("pipelines/ingest/http.py",),
    "jinja2": ("pipelines/ingest/quality_page.py",),
    "arch": ("pipelines/validation/significance/superior.py",),
    "evidently": ("pipelines/monitoring/evidently_report.py",),
    "vaderSentiment": ("pipelines/sentiment/rules.py",),
    "mlflow": ("pipelines/training/record.py", "pipelines/registry/", "pipelines/serving/"),
    "shap": ("pipelines/training/",),
    "torch": ("pipelines/training/families/",),
    "safetensors": ("pipelines/training/families/",),
    "matplotlib": ("pipelines/training/", "pipelines/monitoring/"),
}
UNPICKLERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime"}


@cache
def imported(path: Path) -> frozenset[str]:
    """Top-level names of every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return frozenset(names)


def clock_calls(path: Path) -> list[str]:
    """Calls such as ``datetime.now()``, ``time.time()`` or ``pd.Timestamp.now()``."""
    return [f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
            and ast.unparse(node.func.value).split(".")[-1] in {"datetime", "date", "time", "Timestamp", "pd"}]


def test_imports_run_one_way() -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("vendor", DOORS)
def test_each_vendor_has_its_door(vendor: str) -> None:
    elsewhere = [str(path.relative_to(ROOT)) for path in LIBRARY
                 if vendor in imported(path) and not str(path.relative_to(ROOT)).startswith(DOORS[vendor])]
    assert elsewhere == []


def test_only_the_clock_asks_what_time_it_is() -> None:
    calls = [call for path in LIBRARY if path.name != "clock.py" for call in clock_calls(path)]
    assert calls == []


def test_the_clock_check_sees_a_clock() -> None:
    assert clock_calls(ROOT / "pipelines" / "clock.py") != []


def test_nothing_is_unpickled() -> None:
    users = {str(path.relative_to(ROOT)): imported(path) & UNPICKLERS for path in SOURCES}
    assert {path: names for path, names in users.items() if names} == {}


def test_mlflow_is_the_package_and_our_directory_does_not_shadow_it() -> None:
    shown = subprocess.run([sys.executable, "-c", "import mlflow; print(mlflow.__file__)"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.strip()
    assert "site-packages" in shown
    assert list((ROOT / "mlflow").rglob("*.py")) == []


def test_no_file_outgrows_its_room() -> None:
    long = {str(path.relative_to(ROOT)): count for path in SOURCES
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_the_lock_is_hashed_and_names_no_address() -> None:
    for name in ("requirements.lock", "requirements-deep.lock"):
        lock = (ROOT / name).read_text(encoding="utf-8")
        assert re.search(r"https?://|--index-url|--find-links", lock) is None
        assert lock.count("--hash=sha256:") >= len(re.findall(r"^\S+==\S+", lock, flags=re.MULTILINE)) > 0
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-zA-Z0-9._-]+)==\S+", lock, flags=re.MULTILINE)
    assert {"apache-airflow", "mlflow", "optuna", "evidently", "xgboost", "lightgbm"} <= set(pins)


def test_nccl_is_never_installed() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert all("sys_platform == 'never'" in line for line in lock.splitlines() if line.startswith("nvidia-nccl"))


def test_the_library_imports_without_its_heavy_vendors() -> None:
    """``tidemark --help`` and every DAG parse must stay quick; counted in modules, not seconds."""
    code = ("import sys, pipelines.cli; "
            "print([name for name in ('mlflow','optuna','evidently','shap','sklearn','xgboost','lightgbm','airflow',"
            "'matplotlib','torch','numba') if name in sys.modules])")
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
