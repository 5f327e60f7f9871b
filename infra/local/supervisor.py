"""The process that owns the stack: starts the components, keeps them running, writes down how they are.

`up` starts it detached and tells it what to run in a file; SIGHUP makes it read that file again, SIGTERM makes it stop
everything in order. It holds a lock for as long as it lives, so a stale pid file can never be taken for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from infra.local import logs, processes, secrets, stack
from infra.local.paths import Home
from infra.local.postgres import EmbeddedPostgres
from infra.local.runner import Board, Runner
from pipelines.errors import TidemarkError

_TICK, _HEARTBEAT, _ROTATE = 0.2, 2.0, 10.0


def lock(path: Path, timeout: float = 0.0) -> IO[str] | None:
    """Take the lock, held until the file is closed or the process ends; None if another holds it."""
    file = path.open("a+", encoding="utf-8")
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(0.05)


def sweep(home: Home) -> int:
    """End what a killed supervisor has left behind: leaders first, politely; then all; then PostgreSQL, in order.

    Returns how many processes there were (PostgreSQL counts as one).
    """
    left = [process for process in processes.marked(home.path)
            if processes.component_of(process, home.path) != "postgres"]
    asked = {*processes.leaders(left), *processes.marked(home.path, "mlflow")}
    processes.send(asked, signal.SIGTERM)
    processes.wait_gone(asked, 8)
    remaining = processes.wait_gone(left, 0.5)  # what a leader did not take with it would not go by itself
    processes.send(remaining, signal.SIGKILL)
    processes.wait_gone(remaining, 5)
    data = home.postgres / "data"
    stopped = (data / "PG_VERSION").exists() and EmbeddedPostgres(data, 1, "not needed").stop()
    others = processes.marked(home.path)  # a PostgreSQL of earlier settings, or what came up meanwhile
    processes.send(others, signal.SIGINT)
    others = processes.wait_gone(others, 10)
    processes.send(others, signal.SIGKILL)
    processes.wait_gone(others, 5)
    return len(left) + int(stopped)


class Supervisor:
    """One stack from start to stop."""

    def __init__(self, home: Home) -> None:
        self._home, self._board = home, Board()
        self._runners: dict[str, Runner] = {}
        self._stop, self._reload, self._wake = threading.Event(), threading.Event(), threading.Event()
        self._phase, self._error, self._applied = "starting", "", ""
        self._logins: tuple[tuple[str, str, str, str], ...] = ()

    def listen(self) -> None:
        """Hear signals. To be called before anybody can know our pid."""
        signal.signal(signal.SIGTERM, lambda *_: self._set(self._stop))
        signal.signal(signal.SIGINT, lambda *_: self._set(self._stop))
        signal.signal(signal.SIGHUP, lambda *_: self._set(self._reload))

    def run(self) -> int:
        """Run until SIGTERM. Returns the exit code: 0, or 1 if the stack could not be planned."""
        code = 0
        try:
            self._write()
            sweep(self._home)  # before the plan: orphans sit on the ports that the plan shall choose again
            self._apply(self._plan())
            self._phase = "running"
            self._loop()
        except TidemarkError as error:
            self._error, code = str(error), 1
        except Exception as error:
            self._error, code = f"{type(error).__name__}: {error}", 1
            raise
        finally:
            self._phase = "stopping"
            self._write()
            self._halt(list(self._runners))
            sweep(self._home)
            self._phase = "failed" if code else "stopped"
            self._write()
        return code

    def _set(self, event: threading.Event) -> None:
        event.set()
        self._wake.set()

    def _plan(self) -> stack.Stack:
        request = json.loads(self._home.request.read_text(encoding="utf-8"))
        held = {runner.component.port for runner in self._runners.values() if runner.component.port and
                self._board.get(runner.component.name).pid}
        self._applied = request["number"]
        plan = stack.prepare(self._home, request["settings"], held)
        self._logins = plan.logins
        return plan

    def _apply(self, plan: stack.Stack) -> None:
        """Stop what is no longer wanted as it is, start what is not running."""
        wanted = {part.name: part for part in plan.components}
        changed = [name for name, runner in self._runners.items()
                   if name not in wanted or runner.component.fingerprint != wanted[name].fingerprint]
        self._halt(changed)
        for name, part in wanted.items():
            if name not in self._runners:
                self._runners[name] = Runner(part, self._board, self._home, lambda: self._set(self._reload))
        for runner in self._runners.values():
            if runner.ident is None:
                runner.start()

    def _halt(self, names: list[str]) -> None:
        """Stop components, those of one rank at a time."""
        for rank in sorted({self._runners[name].component.rank for name in names}):
            group = [name for name in names if self._runners[name].component.rank == rank]
            for name in group:
                self._runners[name].halt()
            while any(self._runners[name].is_alive() for name in group):
                time.sleep(0.05)
                self._write_if_changed()
        for name in names:
            del self._runners[name]

    def _loop(self) -> None:
        rotated = 0.0
        while not self._stop.is_set():
            if self._reload.is_set():
                self._reload.clear()
                try:
                    self._apply(self._plan())
                    self._error = ""
                except TidemarkError as error:
                    self._error = str(error)
            self._write_if_changed()
            if time.monotonic() - rotated > _ROTATE:
                rotated = time.monotonic()
                for path in self._home.logs.glob("*.log"):
                    logs.rotate(path)
            self._wake.wait(_TICK)
            self._wake.clear()

    _written, _written_at = -1, 0.0

    def _write_if_changed(self) -> None:
        if self._board.version != self._written or time.monotonic() - self._written_at > _HEARTBEAT:
            self._write()

    def _write(self) -> None:
        self._written, self._written_at = self._board.version, time.monotonic()
        secrets.write_private(self._home.state, json.dumps({
            "home": str(self._home.path), "pid": os.getpid(), "phase": self._phase, "error": self._error,
            "applied": self._applied, "logins": self._logins, "updated_at": datetime.now(UTC).isoformat(),
            "components": [state for name, state in self._board.snapshot().items() if name in self._runners],
        }))


def main(home: Home) -> int:
    """Become the supervisor of ``home``; exit code 3 if it has one."""
    os.umask(0o077)
    home.make()
    held = lock(home.supervisor_lock, timeout=3)
    if held is None:
        print("another supervisor is running", file=sys.stderr)
        return 3
    with held:
        supervisor = Supervisor(home)
        supervisor.listen()
        me = {"pid": os.getpid(), "created": processes.identity(os.getpid())}
        secrets.write_private(home.pid, json.dumps(me))
        try:
            return supervisor.run()
        finally:
            with suppress(OSError):
                home.pid.unlink()
