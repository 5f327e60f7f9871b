"""Our processes among all processes: found by the mark in their environment, so that even orphans are found.

The mark survives fork and exec; a parent's death does not remove it. PostgreSQL's backends overwrite their
environment with their title and are found through ``EmbeddedPostgres`` instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

STACK = "TIDEMARK_STACK"
COMPONENT = "TIDEMARK_COMPONENT"


def alive(process: psutil.Process) -> bool:
    """Running and not a zombie (a container's init may leave those lying)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked(home: Path, component: str | None = None) -> list[psutil.Process]:
    """Living processes of the stack in ``home`` (of one component, if given), without this one."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        name = component_of(process, home)
        if name is not None and component in (None, name) and process.pid != os.getpid() and alive(process):
            found.append(process)
    return found


def component_of(process: psutil.Process, home: Path) -> str | None:
    """The component of the stack in ``home`` that a process belongs to; None if to none."""
    with contextlib.suppress(psutil.Error, OSError):
        try:
            environment = process.environ()
        except psutil.AccessDenied:
            # As root PostgreSQL has another uid, and a container may forbid root to look into it; its command line
            # everybody may read.
            ours = process.name() == "postgres" and str(home / "postgres" / "data") in process.cmdline()
            return "postgres" if ours else None
        if environment.get(STACK) == str(home):
            return environment.get(COMPONENT, "")
    return None


def leaders(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those whose parent is not among them: the ones we started, or what is left of their children."""
    members = list(processes)
    pids = {process.pid for process in members}
    found = []
    for process in members:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in pids:
                found.append(process)
    return found


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until all have ended; returns those that have not after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    left = [process for process in processes if alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if alive(process)]
    return left


def memory_mib(processes: Iterable[psutil.Process]) -> float:
    """Proportional set size of all together, MiB: memory that forks share counts once.

    Where the kernel does not tell (another uid, no ptrace), resident minus shared pages stand in for it.
    """
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.AccessDenied:
            with contextlib.suppress(psutil.Error):
                info = process.memory_info()
                total += max(0, info.rss - info.shared)
        except psutil.Error:
            continue
    return total / 2**20


def identity(pid: int) -> float | None:
    """Start time of a living process: with it a pid is unmistakable, however often the number is used again."""
    try:
        process = psutil.Process(pid)
        return process.create_time() if alive(process) else None
    except psutil.Error:
        return None
