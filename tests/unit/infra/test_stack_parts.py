"""The pure parts of the embedded stack: back-off, ports, secrets, logs, environments, fingerprints, health."""

from __future__ import annotations

import base64
import configparser
import json
import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local import airflow_ini, databases, health, logs, ports, secrets
from infra.local.components import Component
from infra.local.paths import Home
from infra.local.runner import Board, backoff, environment
from infra.local.secrets import load_or_create
from pipelines.errors import ConfigError

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


# --- back-off
@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (10_000, 60)])
def test_back_off_doubles_up_to_a_minute(failures: int, seconds: float) -> None:
    assert backoff(failures) == seconds


# --- ports
NAMES = ("airflow", "mlflow", "postgres")


def test_the_usual_ports_when_they_are_free() -> None:
    assert ports.choose(NAMES, {}, free=lambda port: True) == {"postgres": 5433, "mlflow": 5000, "airflow": 8080}


def test_the_next_free_port_when_the_usual_one_is_taken() -> None:
    assert ports.choose(NAMES, {}, free=lambda port: port not in {5000, 5001, 8080})["mlflow"] == 5002


def test_the_ports_of_last_time_come_back() -> None:
    assert ports.choose(NAMES, {"mlflow": 5007}, free=lambda port: True)["mlflow"] == 5007


def test_a_port_of_last_time_that_somebody_took_is_replaced_and_ours_is_kept() -> None:
    last = {"postgres": 5433, "mlflow": 5000, "airflow": 8080}
    chosen = ports.choose(NAMES, last, held={5433, 5000}, free=lambda port: port not in {5433, 5000, 8080})
    assert chosen == {"postgres": 5433, "mlflow": 5000, "airflow": 8081}


@given(taken=st.sets(st.integers(4990, 5060) | st.integers(5430, 5440) | st.integers(8080, 8085)),
       last=st.dictionaries(st.sampled_from(NAMES), st.integers(5000, 5010), max_size=3))
def test_ports_are_free_and_different(taken: set[int], last: dict[str, int]) -> None:
    chosen = ports.choose(NAMES, last, free=lambda port: port not in taken)
    assert set(chosen) == set(NAMES)
    assert len(set(chosen.values())) == 3
    assert not set(chosen.values()) & taken


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])
    with socket.socket() as everywhere:
        everywhere.bind(("", 0))
        everywhere.listen()
        assert not ports.is_free(everywhere.getsockname()[1])


# --- secrets
def test_secrets_are_made_once_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create(path)
    assert load_or_create(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.urlsafe_b64decode(made.airflow_fernet_key)) == 32
    assert len(made.airflow_jwt_secret.encode()) >= 64
    assert len(set(vars(made).values())) == len(vars(made))


def test_a_missing_secret_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"mlflow_password": "kept"}))
    assert load_or_create(path).mlflow_password == "kept"
    assert set(json.loads(path.read_text())) == set(vars(load_or_create(path)))


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_a_damaged_secrets_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(ConfigError, match="damaged"):
        load_or_create(tmp_path / "secrets.json")


def test_a_private_file_is_closed_even_with_an_open_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        secrets.write_private(tmp_path / "x", "1")
        secrets.write_private(tmp_path / "x", "2")
    finally:
        os.umask(old)
    assert ((tmp_path / "x").read_text(), stat.S_IMODE((tmp_path / "x").stat().st_mode)) == ("2", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_home_is_closed_to_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    home.make()
    passable = 0o711 if os.geteuid() == 0 else 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.path, *home.path.iterdir())}
    assert modes == {"home": passable, "postgres": passable, "run": 0o700, "logs": 0o700, "mlflow": 0o700,
                     "airflow": 0o700, "cache": 0o700}


# --- logs
def test_a_log_is_rotated_under_a_writer_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with logs.open_for(path) as log:
        log.write(b"x" * 100)
        assert not logs.rotate(path, 100)
        log.write(b"y")
        assert logs.rotate(path, 100)
        log.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"x" * 100 + b"y"
    assert {stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()} == {0o600}


def test_no_log_is_nothing_to_rotate_or_read(tmp_path: Path) -> None:
    assert not logs.rotate(tmp_path / "none.log")
    assert logs.tail(tmp_path / "none.log") == []


def test_the_tail_is_clean_and_short(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(50_000)) + b'\n"GET /health HTTP/1.1" 200\n'
                     + b"\x1b[31mred\x1b[0m  \n" + b"\xff" + b"w" * 1000)
    lines = logs.tail(path, lines=3, width=10)
    assert lines == ["49999", "red", "\ufffd" + "w" * 9]


# --- environments and fingerprints
PART = Component("x", ("true",), {"A": "1", "PYTHONPATH": "/ours"})


def test_foreign_settings_do_not_reach_a_component() -> None:
    inherited = {"PATH": "/bin", "AIRFLOW_HOME": "/theirs", "AIRFLOW__CORE__DAGS_FOLDER": "/theirs", "PGHOST": "theirs",
                 "MLFLOW_TRACKING_URI": "theirs", "TIDEMARK_SOURCE": "theirs", "PYTHONPATH": "/theirs",
                 "PYTHONDONTWRITEBYTECODE": "1", "no_proxy": "corp"}
    assert environment(PART, inherited) == {
        "PATH": "/bin", "A": "1", "PYTHONPATH": "/ours", "PYTHONUNBUFFERED": "1",
        "no_proxy": "corp,127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}


def test_a_component_may_inherit_nothing() -> None:
    assert environment(replace(PART, inherit=False), {"PATH": "/bin"}) == {"A": "1", "PYTHONPATH": "/ours"}


@pytest.mark.parametrize(("change", "same"), [
    ({"argv": ("false",)}, False), ({"env": {"A": "2"}}, False), ({"port": 1}, False), ({"extra": "code"}, False),
    ({"popen": {"user": 1}}, False), ({"needs": ("y",)}, True), ({"stop": ()}, True), ({"rank": 2}, True),
])
def test_the_fingerprint_changes_with_what_the_process_is(change: dict[str, object], same: bool) -> None:
    assert (replace(PART, **change).fingerprint == PART.fingerprint) is same


# --- Airflow's configuration
def test_airflow_ini_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    home, secret = Home(tmp_path), load_or_create(tmp_path / "secrets.json")
    url = "postgresql+psycopg2://u:p%40ss%25@h/db"
    parser = configparser.ConfigParser()
    parser.read_string(airflow_ini.render(airflow_ini.options(home, secret, 8081, url)))
    assert parser["database"]["sql_alchemy_conn"] == url
    assert (parser["api"]["host"], parser["api"]["port"]) == ("127.0.0.1", "8081")
    assert parser["core"]["execution_api_server_url"] == "http://127.0.0.1:8081/execution/"
    assert (parser["core"]["executor"], parser["core"]["load_examples"]) == ("LocalExecutor", "False")
    assert float(parser["workers"]["min_heartbeat_interval"]) > 0


# --- databases
@pytest.mark.parametrize(("url", "beside"), [
    ("postgresql://u:p@h:1/warehouse", "postgresql://u:p@h:1/warehouse_mlflow"),
    ("postgresql+psycopg2://h/w?sslmode=require", "postgresql+psycopg2://h/w_mlflow?sslmode=require"),
])
def test_databases_lie_beside_the_warehouse(url: str, beside: str) -> None:
    assert databases.beside(url, "mlflow") == beside


def test_a_url_without_a_database_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no database"):
        databases.beside("postgresql://u:p@h:1/", "mlflow")


# --- health
def monitor(**changes: object) -> dict[str, object]:
    return {"metadatabase": {"status": "healthy"},
            "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": TIME.isoformat()},
            "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": None},
            "dag_processor": {"status": None}, **changes}


@pytest.mark.parametrize(("part", "started", "ok"), [
    ("metadatabase", TIME.timestamp() + 99, True), ("scheduler", TIME.timestamp(), True),
    ("scheduler", TIME.timestamp() + 1, False), ("triggerer", 0.0, False), ("dag_processor", 0.0, False),
    ("absent", 0.0, False),
])
def test_a_predecessors_heartbeat_does_not_count(part: str, started: float, ok: bool) -> None:
    assert health.read_monitor(monitor(), part, started).ok is ok


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_there_is_unwell_in_words() -> None:
    port = closed_port()
    assert health.http(f"http://127.0.0.1:{port}/health")(0.0) == health.Health(False, "no answer (connection refused)")
    answer = health.postgres(f"postgresql+psycopg2://u:p@127.0.0.1:{port}/x")(0.0)
    assert not answer.ok
    assert "refused" in answer.detail


def test_without_the_api_server_only_its_own_state_is_known() -> None:
    airflow = health.Monitor(f"http://127.0.0.1:{closed_port()}")
    assert airflow.probe("metadatabase")(0.0).ok is False
    assert airflow.probe("scheduler")(0.0).ok is None


# --- the board
def test_waiting_for_what_is_needed_ends_when_told_to() -> None:
    board = Board()
    assert not board.wait_ready(("x",), lambda: True)
    board.update("x", state="healthy")
    board.update("y", state="done")
    assert board.wait_ready(("x", "y"), lambda: False)
    assert board.wait_ready((), lambda: False)


def test_the_board_counts_changes_only() -> None:
    board = Board()
    board.update("x", state="starting")
    version = board.version
    board.update("x", state="starting")
    assert board.version == version
    assert board.snapshot()["x"]["state"] == "starting"


# --- the launcher
@pytest.mark.parametrize(("code", "expected", "says"), [
    ("pass", 0, ""), ("import sys; sys.exit(3)", 3, ""), ("import sys; sys.exit('no')", 1, "no"),
    ("import atexit, sys; atexit.register(print, 'bye'); print(sys.argv[1:], __name__)", 0, "['a'] __main__\nbye"),
    ("raise ValueError('broken')", 1, "ValueError: broken"),
])
def test_the_launcher_is_like_python_m(tmp_path: Path, code: str, expected: int, says: str) -> None:
    (tmp_path / "program.py").write_text(code)
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-m", "infra.local.launch", "program", "a"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": f"{root}:{tmp_path}"}, cwd=tmp_path, check=False)
    assert done.returncode == expected
    assert says in done.stdout + done.stderr
