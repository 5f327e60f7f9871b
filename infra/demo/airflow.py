"""A small client of Airflow's public REST API: what the demo and the end-to-end tests need, no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from pipelines.contracts.window import Window
from pipelines.errors import TidemarkError

TERMINAL = frozenset({"success", "failed"})


class AirflowRefused(TidemarkError):
    """Airflow answered with an error, or a run ended in failure."""


class AirflowBusy(AirflowRefused):
    """Airflow has to finish something else first, such as the backfill before this one."""

    retryable = True


class AirflowTimeout(TidemarkError):
    """What was waited for did not come in time."""

    retryable = True


@dataclass(frozen=True)
class Run:
    """One DAG run as the API shows it."""

    dag_id: str
    run_id: str
    state: str
    partition_key: str | None

    @classmethod
    def read(cls, item: dict[str, Any]) -> Run:
        return cls(item["dag_id"], item["dag_run_id"], item["state"], item.get("partition_key"))


class Airflow:
    """Talks to one Airflow api-server as one user."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        answer = self._http.post("/auth/token", json={"username": username, "password": password})
        if answer.status_code != 201:
            raise AirflowRefused(f"Airflow at {url} refused the login ({answer.status_code}); see `tidemark status`")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """One API call below ``/api/v2``.

        Raises:
            AirflowRefused: the answer is not 2xx.
        """
        for attempt in range(5):
            try:
                answer = self._http.request(method, f"/api/v2{path}", **arguments)
                break
            except httpx.TransportError as error:  # the api-server may be restarting under its supervisor
                if attempt == 4:
                    raise AirflowRefused(f"{method} {path}: {error}") from error
                time.sleep(2 * attempt + 1)
        if answer.status_code == 409:
            raise AirflowBusy(f"{method} {path}: {answer.text[:500]}")
        if answer.is_error:
            raise AirflowRefused(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else {}

    def dag_ids(self) -> set[str]:
        return {item["dag_id"] for item in self.call("GET", "/dags", params={"limit": 200})["dags"]}

    def import_errors(self) -> list[str]:
        return [f"{item['filename']}: {item['stack_trace']}" for item in
                self.call("GET", "/importErrors")["import_errors"]]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> Run:
        """Start a run by hand."""
        return Run.read(self.call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf}))

    def trigger_day(self, dag_id: str, day: Window) -> Run:
        """Start the run of one daily partition."""
        return Run.read(self.call("POST", f"/dags/{dag_id}/dagRuns",
                                  json={"logical_date": None, "partition_key": day.key}))

    def backfill(self, dag_id: str, window: Window) -> int:
        """Ask for the daily partitions of ``window``, in order, one at a time; returns the backfill's id."""
        days = list(window.days())
        body = {"dag_id": dag_id, "from_date": days[0].start.isoformat(), "to_date": days[-1].start.isoformat(),
                "max_active_runs": 1, "reprocess_behavior": "completed"}

        def ask() -> dict[str, Any] | None:
            try:
                return self.call("POST", "/backfills", json=body)
            except AirflowBusy:  # its runs may have ended a moment before the backfill itself is closed
                return None

        return int(poll(ask, timeout=60, what=f"the end of the backfill of {dag_id} before this one")["id"])

    def run(self, dag_id: str, run_id: str) -> Run:
        return Run.read(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str) -> list[Run]:
        """The newest runs of a DAG, newest first."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100, "order_by": "-run_after"})
        return [Run.read(item) for item in answer["dag_runs"]]

    def newest(self, dag_ids: Sequence[str], limit: int = 20) -> list[Run]:
        """The newest runs of these DAGs together, newest first, for one request: a waiting client asks often, and
        the server that answers works on the same cores."""
        body = {"dag_ids": list(dag_ids), "page_limit": limit, "order_by": "-run_after"}
        return [Run.read(item) for item in self.call("POST", "/dags/~/dagRuns/list", json=body)["dag_runs"]]

    def tasks(self, run: Run) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances",
                              params={"limit": 500})["task_instances"])

    def partitions(self, dag_ids: Sequence[str], day: Window) -> list[Run]:
        """The newest run of each DAG for a daily partition, as far as they have been created."""
        runs = [run for run in self.newest(dag_ids) if (run.partition_key or "").startswith(day.key)]
        return list({run.dag_id: run for run in reversed(runs)}.values())

    def failure(self, run: Run) -> str:
        """Why a run failed: its failed tasks with the end of their logs."""
        parts = [f"{run.dag_id}.{task['task_id']}: {self._log_tail(run, task)}"
                 for task in self.tasks(run) if task["state"] == "failed"]
        return "; ".join(parts) or f"{run.dag_id} {run.run_id} failed without a failed task"

    def _log_tail(self, run: Run, task: dict[str, Any]) -> str:
        answer = self.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task['task_id']}/logs/"
                                  f"{task['try_number']}", params={"map_index": task["map_index"]})
        events = [item for item in answer.get("content", []) if isinstance(item, dict)]
        for item in reversed(events):
            if item.get("error_detail"):
                cause = item["error_detail"][0]  # the outermost exception: ours, with its remedy
                return f"{cause['exc_type']}: {cause['exc_value']}"
        return " | ".join(str(item.get("event", "")) for item in events[-5:])[-1500:]


def poll(wanted: Callable[[], Any], *, timeout: float, what: str, pause: float = 0.5) -> Any:
    """Ask until the answer is truthy.

    Raises:
        AirflowTimeout: after ``timeout`` seconds.
    """
    for _ in ticks(timeout, pause):
        answer = wanted()
        if answer:
            return answer
    raise AirflowTimeout(f"{what} did not come within {timeout:.0f} s; see the Airflow UI and `tidemark status`")


def ticks(timeout: float, pause: float) -> Iterator[None]:
    """Yield at once and then every ``pause`` seconds until ``timeout`` has passed."""
    stop = time.monotonic() + timeout
    while time.monotonic() < stop:
        yield
        time.sleep(pause)
