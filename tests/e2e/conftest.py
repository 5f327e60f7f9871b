"""One real stack for all end-to-end tests: the demo is played on it once, with its scheduler killed half-way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines import config
from pipelines.config import Settings
from pipelines.store import Warehouse

ROOT = Path(__file__).resolve().parents[2]
KILL_AT = "Act 3"


@dataclass(frozen=True)
class Played:
    """A story that has been played, on a stack that is still running."""

    home: Path
    environment: dict[str, str]
    output: str
    exit_code: int
    killed: list[int]
    summary: dict[str, Any]
    settings: Settings
    warehouse: Warehouse


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True,
                          check=False, timeout=180)


def pids(environment: dict[str, str]) -> dict[str, int | None]:
    """Component → its process; None for a job that is done."""
    state = json.loads(run(environment, "infra.local", "status", "--json").stdout)
    return {item["name"]: item["pid"] for item in state["components"]}


def left_running(home: Path) -> list[str]:
    """Command lines of processes that still carry this home in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("TIDEMARK_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("e2e") / "home"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEMARK_", "AIRFLOW", "MLFLOW"))}
    environment = {**kept, "TIDEMARK_HOME": str(home), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    killed: list[int] = []
    lines: list[str] = []
    demo = subprocess.Popen([sys.executable, "-m", "infra.demo"], cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in demo.stdout or ():
            lines.append(line)
            if KILL_AT in line and not killed:
                pid = pids(environment)["scheduler"]
                assert pid
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        code = demo.wait(timeout=60)
        output = "".join(lines)
        if code != 0:
            pytest.fail(f"the demo ended with {code}:\n{output[-6000:]}")
        summary = json.loads((home / "demo.json").read_text(encoding="utf-8"))
        settings = config.load({"TIDEMARK_HOME": str(home)})
        warehouse = Warehouse.from_settings(settings)
        yield Played(home, environment, output, code, killed, summary, settings, warehouse)
        warehouse.close()
    finally:
        demo.kill()
        run(environment, "infra.local", "down")
        assert left_running(home) == []
