"""Finding and ending the processes of a PostgreSQL cluster, whoever started them.

The pid file alone is not believed: after a kill it stays, and its number may belong to somebody else by now. Postmaster
and backends all have the data directory as their working directory. Times are seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from pipelines.errors import StoreUnavailable

#: "Fast" shutdown: disconnects clients and checkpoints. SIGTERM would wait for every client to leave.
STOP_SIGNAL = signal.SIGINT


def pid(data_dir: Path) -> int | None:
    """The postmaster's pid if one is running on ``data_dir``; a stale file or a re-used pid is None."""
    try:
        recorded = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return recorded if any(process.pid == recorded for process in processes(data_dir)) else None


def clear_stale(data_dir: Path, timeout: float = 10.0) -> None:
    """Remove a ``postmaster.pid`` whose server is gone, after its last orphaned backend has left.

    The order matters: a new postmaster beside living backends of the old one would corrupt the cluster.

    Raises:
        StoreUnavailable: a server is running on ``data_dir``, or orphans do not end.
    """
    if (running := pid(data_dir)) is not None:
        raise StoreUnavailable(f"PostgreSQL is already running on {data_dir} (pid {running}); use it, or stop "
                               "it with `tidemark down`")
    if not _gone(data_dir, timeout):
        for process in processes(data_dir):
            _signal(process.pid, signal.SIGTERM)
        if not _gone(data_dir, timeout):
            raise StoreUnavailable(f"backends of a killed PostgreSQL on {data_dir} do not end (pids "
                                   f"{[process.pid for process in processes(data_dir)]}); end them and try again")
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def stop(data_dir: Path, timeout: float = 20.0) -> bool:
    """Stop the server that runs on ``data_dir``, whoever started it; True if there was one.

    Fast shutdown first, immediate (crash-safe: the log is replayed at the next start) after ``timeout``.
    """
    running = pid(data_dir)
    if running is None:
        return False
    for way in (STOP_SIGNAL, signal.SIGQUIT, signal.SIGKILL):
        _signal(running, way)
        if _gone(data_dir, timeout):
            break
    clear_stale(data_dir)
    return True


def processes(data_dir: Path) -> list[psutil.Process]:
    """The postmaster and backends of this cluster: they all have ``data_dir`` as working directory."""
    return [process for process in psutil.process_iter(["name"])
            if process.info["name"] == "postgres" and _works_in(process, data_dir)]


def _works_in(process: psutil.Process, data_dir: Path) -> bool:
    """Whether it is alive there. A zombie is not: a container's init may never collect it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data_dir.resolve()
    except (psutil.Error, OSError):
        return False


def _gone(data_dir: Path, timeout: float) -> bool:
    """Wait until no process of this cluster lives."""
    deadline = time.monotonic() + timeout
    while known := processes(data_dir):  # looking at every process of the machine is dear: between, only at these
        while any(_works_in(process, data_dir) for process in known):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
    return True


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
