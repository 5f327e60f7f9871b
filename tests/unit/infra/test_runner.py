"""Runners on small real processes: restart, back-off, jobs, hooks, stopping, what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local import processes
from infra.local.components import Component
from infra.local.health import Health
from infra.local.paths import Home
from infra.local.runner import Board, Runner
from infra.local.supervisor import lock, sweep

SLEEP = "import time; time.sleep(60)"
#: A leader with a child that outlives it, as a scheduler with its workers.
FAMILY = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); " \
         "print('born', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); " \
           "time.sleep(60)"


def until(wanted: Callable[[], Any], timeout: float = 15.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := wanted()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return answer


class Bench:
    """Runs components in one home and ends them all."""

    def __init__(self, path: Path) -> None:
        self.home, self.board, self.replanned = Home(path), Board(), 0
        self.home.make()
        self._runners: list[Runner] = []

    def component(self, code: str = SLEEP, **more: Any) -> Component:
        marks = {"TIDEMARK_STACK": str(self.home.path), "TIDEMARK_COMPONENT": "x"}
        return replace(Component("x", (sys.executable, "-c", code), marks, probe=lambda started: Health(True)), **more)

    def _replan(self) -> None:
        self.replanned += 1

    def run(self, component: Component) -> Runner:
        runner = Runner(component, self.board, self.home, self._replan)
        self._runners.append(runner)
        runner.start()
        return runner

    def state(self, name: str = "x") -> str:
        return self.board.get(name).state

    def printed(self, text: str) -> bool:
        path = self.home.log("x")
        return path.exists() and text in path.read_text()

    def close(self) -> None:
        for runner in self._runners:
            runner.halt()
        for runner in self._runners:
            runner.join(20)
        assert processes.marked(self.home.path) == []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "home")
    yield bench
    bench.close()


def test_a_killed_process_comes_back_and_its_death_is_on_record(bench: Bench) -> None:
    bench.run(bench.component("print('last words', flush=True)\n" + SLEEP))
    until(lambda: bench.state() == "healthy" and bench.printed("last words"))
    first = bench.board.get("x").pid
    os.kill(first, signal.SIGKILL)
    until(lambda: bench.state() == "healthy" and bench.board.get("x").pid != first)
    seen = bench.board.get("x")
    assert (seen.restarts, seen.last_exit, seen.last_words[-1]) == (1, "signal SIGKILL", "last words")
    assert seen.last_exit_at is not None


def test_what_a_killed_leader_leaves_is_killed_before_the_next_start(bench: Bench) -> None:
    bench.run(bench.component(FAMILY))
    until(lambda: bench.state() == "healthy" and bench.printed("born"))
    old = processes.marked(bench.home.path)
    assert len(old) == 2
    os.kill(bench.board.get("x").pid, signal.SIGKILL)
    until(lambda: bench.board.get("x").restarts == 1 and bench.state() == "healthy")
    assert not any(processes.alive(process) for process in old)


def test_a_process_that_keeps_dying_waits_longer_each_time(bench: Bench) -> None:
    bench.run(bench.component("import sys; sys.exit(7)", probe=lambda started: Health(False)))
    until(lambda: bench.board.get("x").restarts >= 2)
    until(lambda: bench.state() == "backoff")
    assert bench.board.get("x").last_exit == "exit code 7"
    assert "next start in" in bench.board.get("x").detail


def test_a_job_runs_once_and_its_after_hook_too(bench: Bench) -> None:
    ran: list[str] = []
    bench.run(bench.component("print('work')", probe=None, before=lambda: ran.append("before"),
                              after=lambda: ran.append("after")))
    until(lambda: bench.state() == "done")
    assert ran == ["before", "after"]
    assert bench.board.get("x").pid is None


def test_a_failed_job_is_tried_again(bench: Bench) -> None:
    marker = bench.home.run / "second"
    bench.run(bench.component(f"import pathlib, sys; p = pathlib.Path({str(marker)!r})\n"
                              "if not p.exists(): p.touch(); sys.exit(1)", probe=None))
    until(lambda: bench.state() == "done")
    assert bench.board.get("x").restarts == 1


def test_a_job_with_nothing_to_do_starts_nothing(bench: Bench) -> None:
    bench.run(bench.component("raise SystemExit(1)", probe=None, skip=lambda: True))
    until(lambda: bench.state() == "done")
    assert not bench.home.log("x").exists()


def test_it_waits_for_what_it_needs(bench: Bench) -> None:
    bench.run(bench.component(needs=("y",)))
    time.sleep(0.3)
    assert (bench.state(), bench.board.get("x").detail) == ("waiting", "waits for y")
    bench.board.update("y", state="healthy")
    until(lambda: bench.state() == "healthy")


def test_a_hook_that_fails_ends_the_process_and_is_tried_again(bench: Bench) -> None:
    failures = iter([True])

    def after() -> None:
        if next(failures, False):
            raise RuntimeError("no answer yet")

    bench.run(bench.component(after=after))
    until(lambda: bench.state() == "healthy")
    assert bench.board.get("x").last_exit == "RuntimeError: no answer yet"
    assert len(processes.marked(bench.home.path)) == 1


def test_it_is_unhealthy_while_it_does_not_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.runner._PROBE_STEADY", 0.05)
    answers = [Health(True)]
    bench.run(bench.component(probe=lambda started: answers[-1]))
    until(lambda: bench.state() == "healthy")
    answers.append(Health(None, "cannot tell"))
    time.sleep(0.5)
    assert bench.state() == "healthy"
    answers.append(Health(False, "HTTP 500"))
    until(lambda: bench.state() == "unhealthy")
    assert bench.board.get("x").detail == "HTTP 500"
    answers.append(Health(True))
    until(lambda: bench.state() == "healthy")


def test_a_process_that_is_stuck_is_started_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.runner.START", 0.5)
    bench.run(bench.component(probe=lambda started: Health(False, "silent")))
    until(lambda: bench.board.get("x").restarts >= 1)
    assert bench.board.get("x").last_exit == "stuck: silent"


def test_one_that_does_not_listen_to_its_signal_is_killed_with_its_family(bench: Bench) -> None:
    runner = bench.run(bench.component(STUBBORN, stop=((signal.SIGTERM, 0.3),)))
    until(lambda: bench.printed("deaf"))
    runner.halt()
    runner.join(10)
    assert bench.state() == "stopped"
    assert processes.marked(bench.home.path) == []


def test_a_port_taken_by_a_stranger_asks_for_a_new_plan(bench: Bench) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        bench.run(bench.component(port=stranger.getsockname()[1]))
        until(lambda: bench.replanned)
        assert "taken by another program" in (bench.board.get("x").last_exit or "")
    until(lambda: bench.state() == "healthy")


def test_a_program_that_does_not_exist_is_reported(bench: Bench) -> None:
    bench.run(bench.component(argv=("/nowhere/program",)))
    until(lambda: bench.board.get("x").last_exit)
    assert "FileNotFoundError" in (bench.board.get("x").last_exit or "")


def test_orphans_are_found_and_swept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    environment = {**os.environ, "TIDEMARK_STACK": str(home.path), "TIDEMARK_COMPONENT": "scheduler"}
    orphan = subprocess.Popen([sys.executable, "-c", FAMILY], env=environment, stdout=subprocess.PIPE,
                              start_new_session=True)
    assert orphan.stdout is not None
    orphan.stdout.readline()
    family = processes.marked(home.path)
    assert len(family) == 2
    assert [process.pid for process in processes.leaders(family)] == [orphan.pid]
    assert processes.marked(home.path, "mlflow") == []
    assert processes.marked(tmp_path / "another") == []
    assert sweep(home) == 2
    assert processes.marked(home.path) == []
    orphan.wait()
    orphan.stdout.close()


def test_a_lock_is_held_by_one_and_let_go_by_the_kernel(tmp_path: Path) -> None:
    held = lock(tmp_path / "lock")
    assert held is not None
    assert lock(tmp_path / "lock", timeout=0.1) is None
    held.close()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from infra.local.supervisor import lock\n"
         f"held = lock(Path({str(tmp_path / 'lock')!r})); print('held', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[3])
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    assert lock(tmp_path / "lock") is None
    child.kill()
    child.wait()
    child.stdout.close()
    again = lock(tmp_path / "lock")
    assert again is not None
    again.close()


def test_a_pid_that_was_used_again_is_somebody_else() -> None:
    me = processes.identity(os.getpid())
    assert me == psutil.Process().create_time()
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    assert processes.identity(gone.pid) != me


def test_memory_counts_this_process() -> None:
    assert 5 < processes.memory_mib([psutil.Process()]) < 4000
