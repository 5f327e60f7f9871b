"""A whole stack of its own for a test: started in a home, asked, stopped; nothing of it is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.local import processes
from pipelines import config
from pipelines.config import ROOT, Settings

_FOREIGN = ("TIDEMARK_", "AIRFLOW", "MLFLOW")


class Stack:
    """``with Stack(home) as stack:`` starts it on free ports and takes it down at the end.

    Args:
        home: an absolute directory; TIDEMARK_HOME of the stack.
        settings: TIDEMARK_* variables that `up` is given.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home = home
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        self.environment = {**kept, "TIDEMARK_HOME": str(home), "COLUMNS": "200", **(settings or {})}

    def __enter__(self) -> Stack:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def command(self, *arguments: str, timeout: float = 330) -> subprocess.CompletedProcess[str]:
        """``python -m infra.local ...`` as a user would run it."""
        return subprocess.run([sys.executable, "-m", "infra.local", *arguments], cwd=ROOT, env=self.environment,
                              capture_output=True, text=True, timeout=timeout, check=False)

    def up(self) -> float:
        """Start it, or make it follow changed settings; returns the seconds it took."""
        began = time.monotonic()
        done = self.command("up")
        if done.returncode != 0:
            raise AssertionError(f"up ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        return time.monotonic() - began

    def down(self) -> None:
        done = self.command("down")
        if done.returncode != 0:
            raise AssertionError(f"down ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")

    def status(self) -> tuple[int, dict[str, Any]]:
        """Exit code and report of ``status --json``."""
        done = self.command("status", "--json")
        return done.returncode, json.loads(done.stdout)

    def component(self, name: str) -> dict[str, Any]:
        return next(part for part in self.status()[1]["components"] if part["name"] == name)

    def wait_healthy(self, timeout: float = 120) -> dict[str, Any]:
        """Wait until ``status`` says healthy; returns its report."""
        deadline = time.monotonic() + timeout
        while True:
            code, report = self.status()
            if code == 0:
                return report
            if time.monotonic() > deadline:
                raise AssertionError(f"not healthy after {timeout} s: {json.dumps(report, indent=1)[-6000:]}")
            time.sleep(0.3)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, the supervisor and PostgreSQL's backends included."""
        found = {process.pid: process for process in processes.marked(self.home)}
        pid = self.status()[1]["supervisor"]
        roots = [*found.values(), *([psutil.Process(pid)] if pid else [])]
        for root in roots:
            try:
                found.update({child.pid: child for child in root.children(recursive=True)} | {root.pid: root})
            except psutil.Error:
                continue
        return [process for process in found.values() if processes.alive(process)]

    def settings(self) -> Settings:
        """The settings that a program beside this stack reads."""
        return config.load({key: value for key, value in self.environment.items() if key.startswith("TIDEMARK_")})

    def airflow(self) -> httpx.Client:
        """A client of Airflow's REST API (``/api/v2/...``), logged in."""
        settings = self.settings()
        url = settings.require("airflow_url")
        answer = httpx.post(f"{url}/auth/token", timeout=30, trust_env=False, json={
            "username": settings.airflow_username, "password": settings.require("airflow_password")})
        token = answer.raise_for_status().json()["access_token"]
        return httpx.Client(base_url=url, timeout=30, trust_env=False, headers={"Authorization": f"Bearer {token}"})

    def mlflow(self) -> httpx.Client:
        """A client of MLflow's REST API (``/api/2.0/mlflow/...``), logged in."""
        settings = self.settings()
        return httpx.Client(base_url=settings.require("mlflow_url"), timeout=30, trust_env=False,
                            auth=(settings.mlflow_username, settings.require("mlflow_password")))
