"""The demo's acts. Each asks Airflow to do something real, waits for it, and reads the outcome from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.demo.airflow import TERMINAL, Airflow, AirflowRefused, Run, poll, ticks
from infra.demo.world import World
from infra.local.paths import Home
from pipelines import clock
from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Outcome, Promotion, RequestState, RetrainRequest
from pipelines.contracts.window import Window
from pipelines.registry import promotion
from pipelines.store import Warehouse, ledger

TRAINING_TIMEOUT = 300.0
DAY_TIMEOUT = 180.0
INGESTION = ("ingest_market", "ingest_text")


class Story:
    """Plays ``world`` on a running stack and prints what happens."""

    def __init__(self, world: World, lines: dict[str, Line], settings: Settings, warehouse: Warehouse,
                 airflow: Airflow, console: Console) -> None:
        self.world, self.lines, self.settings = world, lines, settings
        self.warehouse, self.airflow, self.console = warehouse, airflow, console
        self.now = world.history.end  # data time: how far the days have passed

    # -- acts ---------------------------------------------------------------------------------------------

    def load_history(self) -> None:
        """Act 1: the history in one go, mapped by month and symbol."""
        self._act("1", f"history {self.world.history.start.date()} to {self.world.history.end.date()} is loaded")
        self._turn_clock(self.world.history.end)
        run = self.airflow.trigger("bootstrap", {
            "start": self.world.history.start.isoformat(), "end": self.world.history.end.isoformat()})
        self._follow([run], "bootstrap", timeout=TRAINING_TIMEOUT)

    def first_training(self) -> None:
        """Act 2: every line trained and judged for the first time."""
        self._act("2", f"{len(self.lines)} lines are trained and judged against naive baselines")
        runs = [self.airflow.trigger(f"train_{name}", {
            "as_of": self.now.isoformat(), "reason": "bootstrap", "requested_by": "demo"}) for name in self.lines]
        self._follow(runs, "train", timeout=TRAINING_TIMEOUT * len(runs))
        for name in self.lines:
            self._judged(name, self._newest_version(name))

    def quiet_days(self) -> None:
        """Act 3: days pass, nothing should ring."""
        self._act("3", f"{(self.world.quiet.end - self.world.quiet.start).days} quiet days pass, one partition a day")
        self._turn_clock(self.world.quiet.end)
        for dag_id in INGESTION:
            self.airflow.backfill(dag_id, self.world.quiet)
        for day in self.world.quiet.days():
            self._watch(day)
        self._answer_requests()

    def until_retrained(self) -> str | None:
        """Act 4: days pass until an alarm has led to a new champion; returns its line."""
        self._act("4", f"days pass: {self.world.note}")
        for day in self.world.live.days():
            self._turn_clock(day.end)
            # Not a backfill each: the scheduler closes one only every half minute, and refuses the next until then.
            for dag_id in INGESTION:
                self.airflow.trigger_day(dag_id, day)
            self._watch(day)
            for name in self._answer_requests():
                if len(self._promotions(name)) > 1:
                    return name
        self.console.print("  no new champion was promoted in this time", style="yellow")
        return None

    def roll_back(self, name: str) -> Promotion:
        """Act 5: the former champion comes back, in one command."""
        self._act("5", f"{name} is rolled back to its former champion")
        row = promotion.rollback(
            self.warehouse, self.settings, self.lines[name], to=None, actor="demo",
            reason="shown by the demo", effective_at=self.now, at=clock.now())
        for item in self._promotions(name):
            self.console.print(f"  {item.action.value:<9} v{item.version}  effective {item.effective_at:%Y-%m-%d}  "
                               f"by {item.actor.split('/')[0]}: {item.reason}", markup=False,
                               soft_wrap=True)
        return row

    def _turn_clock(self, at: datetime) -> None:
        """Let things happen up to ``at``, where a server plays the sources' part."""
        if self.world.served:
            path = Home(self.settings.home).replay_clock
            partial = path.with_suffix(".partial")
            partial.write_text(at.isoformat(), encoding="utf-8")
            partial.replace(path)

    # -- parts of acts ------------------------------------------------------------------------------------

    def _watch(self, day: Window) -> None:
        """Wait until every line on bars has been monitored on one daily partition."""
        wanted = [f"monitor_{name}" for name, line in self.lines.items() if line.on_bars]
        with self._progress() as progress:
            task = progress.add_task(f"{day.key}", total=len(wanted))
            for _ in ticks(DAY_TIMEOUT, 0.5):
                runs = self.airflow.partitions(wanted, day)
                self._refuse_failed(runs)
                done = sum(run.state == "success" for run in runs)
                progress.update(task, completed=done)
                if done == len(wanted):
                    break
            else:
                raise AirflowRefused(f"the partition {day.key} was not monitored within {DAY_TIMEOUT:.0f} s; "
                                     "look for a failed or queued run in the Airflow UI")
        self.now = day.end
        self.console.print(f"  {day.key}  {self._day_summary(day.end)}", markup=False, soft_wrap=True)

    def _day_summary(self, as_of: datetime) -> str:
        """One line per day: what monitoring found, from the warehouse."""
        parts = []
        with self.warehouse.begin() as connection:
            rows = connection.exec_driver_sql(
                "SELECT line, share, data_drift, prediction_drift, performance_drift FROM ai_trading.drift_reports "
                "WHERE as_of = %s AND champion_version IS NOT NULL ORDER BY line", (as_of,)).all()
        for row in rows:
            alarms = [word for word, on in (("DATA DRIFT", row.data_drift), ("PREDICTION DRIFT", row.prediction_drift),
                                            ("PERFORMANCE DRIFT", row.performance_drift)) if on]
            parts.append(f"{row.line} {row.share:.0%} of columns drifted" + "".join(f", {word}" for word in alarms))
        return "; ".join(parts) or "no champion to watch"

    def _answer_requests(self) -> list[str]:
        """Wait until the requests that monitoring has put into the ledger are served and judged; their lines."""
        served = []
        for request in self._requests({RequestState.PENDING, RequestState.CLAIMED}):
            self.console.print(f"  retraining of {request.line} asked for: {request.reason.value} "
                               f"as of {request.as_of:%Y-%m-%d}", style="bold")
            with self._progress() as progress:
                progress.add_task(f"train_{request.line} answers the doorbell", total=None)
                poll(lambda wanted=request: self._finished(wanted), timeout=TRAINING_TIMEOUT,
                     what=f"the training of {request.line}")
            self._judged(request.line, self._newest_version(request.line))
            served.append(request.line)
        return served

    def _judged(self, name: str, version: int) -> None:
        """Wait for a version's verdict and for the run that acts on it, then print it."""
        with self._progress() as progress:
            progress.add_task(f"promote_{name} judges version {version}", total=None)
            poll(lambda: self._verdict(name, version) is not None, timeout=DAY_TIMEOUT, what=f"a verdict on {name}")
            poll(lambda: all(run.state in TERMINAL for run in self.airflow.runs(f"promote_{name}")),
                 timeout=DAY_TIMEOUT, what=f"the end of promote_{name}")
        verdict = self._verdict(name, version)
        colour = {Outcome.PROMOTE: "green", Outcome.INCONCLUSIVE: "yellow", Outcome.REJECT: "red"}[verdict.outcome]
        self.console.print(f"  {name} v{version}: [{colour}]{verdict.outcome.value}[/]")
        for reason in verdict.reasons:
            self.console.print(f"      {reason}", markup=False, soft_wrap=True)

    def _follow(self, runs: Sequence[Run], title: str, *, timeout: float) -> None:
        """Wait for runs, showing their tasks; a failed run ends the demo with its cause."""
        with self._progress() as progress:
            bars = {run.run_id: progress.add_task(run.dag_id, total=None) for run in runs}
            for _ in ticks(timeout, 1.0):
                current = [self.airflow.run(run.dag_id, run.run_id) for run in runs]
                for run in current if self.console.is_terminal else ():
                    states = [task["state"] for task in self.airflow.tasks(run)]
                    done = sum(state in {"success", "skipped", "failed", "upstream_failed"} for state in states)
                    progress.update(bars[run.run_id], total=len(states) or None, completed=done)
                self._refuse_failed(current)
                if all(run.state == "success" for run in current):
                    return
        raise AirflowRefused(f"{title} did not end within {timeout:.0f} s; see the Airflow UI")

    def _refuse_failed(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if run.state == "failed":
                raise AirflowRefused(self.airflow.failure(run))

    def _newest_version(self, name: str) -> int:
        with self.warehouse.begin() as connection:
            return int(connection.exec_driver_sql(
                "SELECT max(version) FROM ai_trading.candidates WHERE line = %s", (name,)).scalar_one())

    def _verdict(self, name: str, version: int) -> Any:
        with self.warehouse.begin() as connection:
            return ledger.latest_verdict(connection, name, version)

    def _promotions(self, name: str) -> list[Promotion]:
        with self.warehouse.begin() as connection:
            return ledger.history(connection, name)

    def _requests(self, states: set[RequestState]) -> list[RetrainRequest]:
        with self.warehouse.begin() as connection:
            return ledger.requests(connection, states=states)

    def _finished(self, request: RetrainRequest) -> bool:
        """Whether a request has been served; a failed one ends the demo with the cause that the ledger holds."""
        if any(item.id == request.id for item in self._requests({RequestState.FAILED})):
            broken = [run for run in self.airflow.runs(f"train_{request.line}") if run.state == "failed"]
            raise AirflowRefused(
                self.airflow.failure(broken[0]) if broken else f"the training of {request.line} failed")
        return any(item.id == request.id for item in self._requests({RequestState.SERVED}))

    def _act(self, number: str, text: str) -> None:
        self.console.print(f"\n[bold cyan]Act {number}[/] {text}")

    def _progress(self) -> Progress:
        return Progress(SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}/{task.total}"),
                        TimeElapsedColumn(), console=self.console, transient=True,
                        disable=not self.console.is_terminal)  # a log file gets the finished lines only
