"""Keeps one component running: start, watch, restart with back-off, stop. One thread each."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil

from infra.local import logs, ports, processes
from infra.local.components import Component
from infra.local.paths import Home

READY = frozenset({"healthy", "done"})
#: Seconds. A process that has not answered after START, or has gone silent for HANG, is taken for stuck.
START, HANG = 180.0, 120.0
#: A process that was healthy this long before it died has not "died again".
STEADY = 60.0
_PROBE_STARTING, _PROBE_STEADY, _WATCH = 0.25, 10.0, 0.25
#: Never inherited: another Airflow's or MLflow's settings, a Python that is not ours.
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "MLFLOW", "_MLFLOW", "TIDEMARK_", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP",
            "PYTHONDONTWRITEBYTECODE", "PG")


def backoff(failures: int, first: float = 0.5, longest: float = 60.0) -> float:
    """Seconds to wait before the next start: doubled with each failure in a row, at most ``longest``."""
    return 0.0 if failures <= 0 else min(longest, first * 2.0 ** min(failures - 1, 16))


def environment(component: Component, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a component's process."""
    if not component.inherit:
        return dict(component.env)
    kept = {key: value for key, value in inherited.items() if not key.startswith(_FOREIGN)}
    direct = {key: ",".join(filter(None, (kept.get(key), "127.0.0.1,localhost"))) for key in ("no_proxy", "NO_PROXY")}
    return {**kept, **direct, "PYTHONUNBUFFERED": "1", **component.env}


@dataclass
class State:
    """What is known of one component; shown by `status`. Times are ISO 8601 UTC."""

    name: str
    state: str = "waiting"
    detail: str = ""
    pid: int | None = None
    started_at: str | None = None
    healthy_at: str | None = None
    restarts: int = 0
    last_exit: str | None = None
    last_exit_at: str | None = None
    last_words: list[str] = field(default_factory=list)
    fingerprint: str = ""
    port: int | None = None
    url: str | None = None
    log: str = ""


class Board:
    """The states of all components, for their threads to wait on and for the supervisor to write down."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._states: dict[str, State] = {}
        self.version = 0

    def update(self, name: str, **changes: Any) -> None:
        with self._changed:
            state = self._states.setdefault(name, State(name))
            if any(getattr(state, key) != value for key, value in changes.items()):
                for key, value in changes.items():
                    setattr(state, key, value)
                self.version += 1
                self._changed.notify_all()

    def get(self, name: str) -> State:
        with self._changed:
            return self._states.get(name, State(name))

    def wait_ready(self, names: tuple[str, ...], give_up: Callable[[], bool]) -> bool:
        """Wait until all of ``names`` are ready; False as soon as ``give_up()``."""
        with self._changed:
            while not all(name in self._states and self._states[name].state in READY for name in names):
                if give_up():
                    return False
                self._changed.wait(0.25)
        return not give_up()

    def snapshot(self) -> dict[str, dict[str, Any]]:
        with self._changed:
            return {name: asdict(state) for name, state in self._states.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Runner(threading.Thread):
    """Runs one component until it is told to ``halt``. ``replan`` is called when its port was taken by a stranger."""

    def __init__(self, component: Component, board: Board, home: Home, replan: Callable[[], None]) -> None:
        super().__init__(name=component.name, daemon=True)
        self.component = component
        self._board, self._home, self._replan = board, home, replan
        self._halt = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._update(state="waiting", detail="", fingerprint=component.fingerprint, port=component.port,
                     url=component.url, log=str(home.log(component.name)), pid=None)

    def _update(self, **changes: Any) -> None:
        self._board.update(self.component.name, **changes)

    def halt(self) -> None:
        """Ask it to end; ``join`` waits for that."""
        self._halt.set()

    def run(self) -> None:
        failures = 0
        while not self._halt.is_set():
            self._update(state="waiting", detail="waits for " + ", ".join(self.component.needs))
            if not self._board.wait_ready(self.component.needs, self._halt.is_set):
                break
            began = time.monotonic()
            try:
                finished = self._once()
            except Exception as error:  # a hook talks to servers; whatever it says, the component is tried again
                finished = False
                if self._process is not None and self._process.poll() is None:
                    self._end(self._process)
                self._died(f"{type(error).__name__}: {error}")
            if self._halt.is_set():
                break
            if finished:
                self._update(state="done", detail="", pid=None)
                self._halt.wait()
                break
            failures = 1 if time.monotonic() - began > STEADY else failures + 1
            delay = backoff(failures)
            self._update(state="backoff", pid=None, restarts=self._board.get(self.component.name).restarts + 1,
                         detail=f"ended ({self._board.get(self.component.name).last_exit}); next start in {delay:g} s")
            self._halt.wait(delay)
        self._update(state="stopped", detail="", pid=None)

    def _died(self, reason: str) -> None:
        self._clear()
        self._update(last_exit=reason, last_exit_at=_now(), last_words=logs.tail(self._home.log(self.component.name)))

    def _clear(self) -> None:
        """Kill what is left of this component: workers and tasks outlive a leader that was killed."""
        left = processes.marked(self._home.path, self.component.name)
        processes.send(left, signal.SIGKILL)
        processes.wait_gone(left, 5)
        self._process = None

    def _once(self) -> bool:
        """One life of the process. True: a job has done its work; False: it ended and shall be started again."""
        component = self.component
        self._update(state="starting", detail="", healthy_at=None)
        if component.before:
            component.before()
        if component.skip and component.skip():
            return True
        if component.port and not self._port_is_ours(component.port):
            return False
        process = self._spawn()
        started = processes.identity(process.pid) or time.time()
        return self._watch(process, started)

    def _port_is_ours(self, port: int) -> bool:
        deadline = time.monotonic() + 3
        while not ports.is_free(port):
            if time.monotonic() > deadline or self._halt.wait(0.1):
                self._died(f"port {port} is taken by another program")
                self._replan()
                return False
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        component, path = self.component, self._home.log(self.component.name)
        logs.rotate(path)
        with logs.open_for(path) as log:
            log.write(f"--- {_now()} start\n".encode())
            keywords = {"cwd": str(self._home.run), **component.popen}
            process = subprocess.Popen(component.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=environment(component, os.environ), start_new_session=True, **keywords)
        self._process = process
        self._update(pid=process.pid, started_at=_now())
        return process

    def _watch(self, process: subprocess.Popen[bytes], started: float) -> bool:
        component = self.component
        ready, next_probe, last_well = False, 0.0, time.monotonic()
        while not self._halt.wait(_WATCH):
            code = process.poll()
            if code is not None:
                if component.probe is None and code == 0:
                    if component.after:
                        component.after()
                    return True
                self._died(f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
                return False
            moment = time.monotonic()
            if component.probe is None or moment < next_probe:
                continue
            health = component.probe(started)
            next_probe = time.monotonic() + (_PROBE_STEADY if ready else _PROBE_STARTING)
            if health.ok:
                if not ready and component.after:
                    component.after()
                if not ready or self._board.get(component.name).state != "healthy":
                    self._update(state="healthy", detail="", healthy_at=_now())
                ready, last_well = True, time.monotonic()
            elif health.ok is None:
                last_well = max(last_well, moment - HANG / 2)
            else:
                self._update(state="unhealthy" if ready else "starting", detail=health.detail)
                if moment - last_well > (HANG if ready else START):
                    self._end(process)
                    self._died(f"stuck: {health.detail}")
                    return False
        self._end(process)
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Stop the process as it wants to be stopped, then make sure."""
        self._update(state="stopping", detail="")
        for number, patience in self.component.stop:
            if self.component.group:
                processes.send(processes.marked(self._home.path, self.component.name), number)
            else:
                with suppress(ProcessLookupError):
                    process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        if process.poll() is None:
            with suppress(psutil.Error):
                processes.send(psutil.Process(process.pid).children(recursive=True), signal.SIGKILL)
            process.kill()
            process.wait()
        self._clear()
