"""`up` and `down`: talk to the supervisor, start it if there is none, and show what is happening."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil

from infra.local import logs, processes, secrets, stack
from infra.local.paths import Home
from infra.local.progress import Progress
from infra.local.runner import READY
from infra.local.supervisor import lock, sweep
from pipelines.config import ROOT
from pipelines.errors import ConfigError, TidemarkError

BOOT_SECONDS, STOP_SECONDS = 300.0, 90.0
#: A component that has died this often during a boot will not come up by waiting.
HOPELESS = 3


class StackError(TidemarkError):
    """The stack did not come up or did not go down; the message says which part and where to look."""


def read_state(home: Home) -> dict[str, Any]:
    """What the supervisor wrote last; empty if there is nothing."""
    try:
        return dict(json.loads(home.state.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def supervisor(home: Home) -> psutil.Process | None:
    """The living supervisor of ``home``: its pid file counts only with the start time in it."""
    try:
        known = json.loads(home.pid.read_text(encoding="utf-8"))
        if processes.identity(known["pid"]) == known["created"]:
            return psutil.Process(known["pid"])
    except (OSError, ValueError, KeyError, psutil.Error):
        pass
    return None


def up(home: Home, environ: Mapping[str, str], progress: Progress) -> dict[str, Any]:
    """Bring the stack up with the settings in ``environ``; returns its state.

    What already runs with the same settings and code is left alone.

    Raises:
        ConfigError: a setting is wrong. StackError: a component does not come up.
    """
    home.make()
    settings = stack.given(environ, home)
    started: subprocess.Popen[bytes] | None = None
    try:
        number, started = _bring_about(home, settings, progress)
        return _wait_up(home, number, progress, started)
    except KeyboardInterrupt:
        if supervisor(home) is not None and started is None:
            progress.say("interrupted; the stack itself goes on (`tidemark down` stops it)")
            raise
        progress.say("interrupted: stopping what was started (`tidemark up` starts it again)")
        down(home, progress)
        raise


def _bring_about(home: Home, settings: Mapping[str, str], progress: Progress
                 ) -> tuple[str, subprocess.Popen[bytes] | None]:
    """Start or instruct the supervisor; returns the number of the request, and the process if it was started."""
    control = _control(home)
    try:
        running = supervisor(home)
        state = read_state(home)
        if running and state.get("phase") in ("stopping", "failed", "stopped"):
            progress.say("waiting for the earlier stack to stop")
            _wait_stopped(home, STOP_SECONDS)
            running = None
        number = _request(home, settings, fresh=running is None)
        if running is None:
            return number, _start(home)
        if number != state.get("applied"):
            progress.say("settings or code have changed: restarting the components that they concern")
            running.send_signal(signal.SIGHUP)
        return number, None
    finally:
        control.close()


def _control(home: Home) -> Any:
    control = lock(home.control_lock, timeout=30)
    if control is None:
        raise StackError(f"another `tidemark up` or `down` holds {home.control_lock} for 30 s; wait for it or end it")
    return control


def _request(home: Home, settings: Mapping[str, str], *, fresh: bool) -> str:
    """Write what shall run; returns its number, the old one if nothing has changed."""
    wanted = {"settings": dict(settings), "code": stack.code_digest(), "migrations": stack.digest(stack.MIGRATIONS)}
    try:
        last = json.loads(home.request.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = {}
    if not fresh and {key: last.get(key) for key in wanted} == wanted:
        return str(last["number"])
    number = f"{time.time():.6f}"
    secrets.write_private(home.request, json.dumps({**wanted, "number": number}))
    return number


def _start(home: Home) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, out of reach of this terminal's Ctrl-C, and see it take its lock.

    Interrupted before that, it is killed: it has started nothing yet, and nobody could find it.
    """
    home.state.unlink(missing_ok=True)
    path = home.log("supervisor")
    logs.rotate(path)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
    with logs.open_for(path) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "supervise"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd=ROOT,
            env={**inherited, "TIDEMARK_HOME": str(home.path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    try:
        while process.poll() is None and ((known := supervisor(home)) is None or known.pid != process.pid):
            time.sleep(0.02)
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        raise
    return process


def _wait_up(home: Home, number: str, progress: Progress, started: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    deadline = time.monotonic() + BOOT_SECONDS
    before: dict[str, int] | None = None
    while True:
        state = read_state(home)
        if state.get("error") and state.get("applied") == number:
            raise ConfigError(state["error"])
        if (started.poll() is not None) if started else (supervisor(home) is None):
            raise StackError(f"the supervisor ended; its last words: {_words(home, 'supervisor')}")
        if state.get("applied") == number and state["phase"] == "running":
            parts = state["components"]
            before = before if before is not None else {part["name"]: part["restarts"] for part in parts}
            progress.show(parts)
            if parts and all(part["state"] in READY for part in parts):
                return state
            for part in parts:
                if part["restarts"] - before.get(part["name"], 0) >= HOPELESS:
                    raise StackError(f"{part['name']} has died {HOPELESS} times ({part['last_exit']}); the end of "
                                     f"{part['log']}:\n  " + "\n  ".join(part["last_words"]))
        if time.monotonic() > deadline:
            raise StackError(f"not up after {BOOT_SECONDS:.0f} s; see `tidemark status`, then `tidemark up` again")
        time.sleep(0.1)


def _words(home: Home, name: str) -> str:
    return " | ".join(logs.tail(home.log(name), 5)) or f"none in {home.log(name)}"


def _wait_stopped(home: Home, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        held = lock(home.supervisor_lock)
        if held:
            held.close()
            return True
        time.sleep(0.1)
    return False


def down(home: Home, progress: Progress) -> int:
    """Stop everything in order; returns how many orphans of a killed supervisor had to be swept up.

    Raises:
        StackError: something cannot be stopped.
    """
    if not home.run.is_dir():
        return 0
    control = _control(home)
    try:
        running = supervisor(home)
        if running:
            running.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while not (held := lock(home.supervisor_lock)):
                progress.show(read_state(home).get("components", []))
                if time.monotonic() > deadline:
                    with suppress(psutil.Error):
                        running.kill()
                time.sleep(0.1)
            held.close()
        swept = sweep(home)
        home.pid.unlink(missing_ok=True)
        if left := processes.marked(home.path):
            raise StackError(f"processes {[process.pid for process in left]} do not end; end them by hand")
        return swept
    finally:
        control.close()

