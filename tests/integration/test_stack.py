"""The embedded stack as a whole, real: closed, on loopback only, healed when killed, gone when told to go."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from infra.local import processes
from tests.integration.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SERVERS = ("postgres", "mlflow", "api-server", "dag-processor", "triggerer", "scheduler")
MEMORY_MIB = 3 * 1024


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # The tests stand in the order of one life: up, looked at, hurt, healed, down. Each leaves it healthy.
    stack = Stack(tmp_path_factory.mktemp("stack") / "home")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def database(stack: Stack) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(stack.settings().require("database_url").replace("+psycopg2", ""))
    connection.autocommit = True
    return connection


def test_it_comes_up_healthy_and_small(stack: Stack) -> None:
    code, report = stack.status()
    assert code == 0
    assert {part["name"]: part["state"] for part in report["components"]} == {
        **dict.fromkeys(SERVERS, "healthy"), "warehouse": "done", "airflow-db": "done"}
    assert 0 < report["memory_mib"] < MEMORY_MIB


def test_it_listens_on_loopback_only(stack: Stack) -> None:
    listening = [connection.laddr for process in stack.processes()
                 for connection in process.net_connections(kind="inet") if connection.status == psutil.CONN_LISTEN]
    ports = {part["port"] for part in stack.status()[1]["components"] if part["port"]}
    assert {address.port for address in listening} == ports
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_nobody_gets_in_without_a_login(stack: Stack) -> None:
    settings = stack.settings()
    anonymous = httpx.Client(timeout=30, trust_env=False)
    with anonymous:
        for url in (f"{settings.airflow_url}/api/v2/dags", f"{settings.airflow_url}/api/v2/pools",
                    f"{settings.mlflow_url}/", f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search"):
            assert anonymous.get(url).status_code == 401, url
        wrong = anonymous.post(f"{settings.airflow_url}/auth/token", json={"username": "admin", "password": "admin"})
        assert wrong.status_code == 401
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=stack.component("postgres")["port"], user="tidemark", dbname="postgres")


def test_the_printed_logins_open_the_doors(stack: Stack) -> None:
    with stack.airflow() as airflow:
        assert airflow.get("/api/v2/pools/ml").raise_for_status().json()["slots"] == 2
    with stack.mlflow() as mlflow:
        assert mlflow.get("/api/2.0/mlflow/experiments/search", params={"max_results": 1}).status_code == 200


def test_secrets_are_closed(stack: Stack) -> None:
    assert {stat.S_IMODE((stack.home / name).stat().st_mode) for name in (
        "secrets.json", "stack.env", "postgres.password", "airflow/airflow.cfg", "airflow/passwords.json",
        "mlflow/basic_auth.ini", "run/state.json", "run/request.json")} == {0o600}
    reachable = [path for path in (stack.home, stack.home / "postgres") if stat.S_IMODE(path.stat().st_mode) & 0o066]
    assert reachable == []
    shown = " ".join(" ".join(process.cmdline()) for process in stack.processes())
    for secret in (stack.settings().require("airflow_password"), stack.settings().require("mlflow_password"),
                   (stack.home / "postgres.password").read_text().strip()):
        assert secret not in shown


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = {part["name"]: part["pid"] for part in stack.status()[1]["components"]}
    stack.up()
    assert {part["name"]: part["pid"] for part in stack.status()[1]["components"]} == before


def test_what_is_killed_comes_back_and_no_row_is_lost(stack: Stack) -> None:
    with closing(database(stack)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (n int)")
        cursor.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    before = {part["name"]: part["pid"] for part in stack.status()[1]["components"]}
    for name in SERVERS:  # all at once: each must come back by itself
        os.kill(before[name], signal.SIGKILL)
    code, report = stack.status()
    assert code == 1
    stack.wait_healthy()
    _, report = stack.status()
    for part in (part for part in report["components"] if part["name"] in SERVERS):
        assert part["pid"] != before[part["name"]]
        assert part["restarts"] >= 1
        assert part["last_exit"]
        assert part["last_words"]
    with closing(database(stack)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (1000,)


def test_a_killed_supervisor_is_seen_and_mended_on_the_same_ports(stack: Stack) -> None:
    _, report = stack.status()
    ports = {part["name"]: part["port"] for part in report["components"]}
    os.kill(report["supervisor"], signal.SIGKILL)
    time.sleep(0.2)
    code, orphaned = stack.status()
    assert (code, orphaned["phase"]) == (1, "orphaned")
    stack.up()
    code, mended = stack.status()
    assert code == 0
    assert {part["name"]: part["port"] for part in mended["components"]} == ports
    with closing(database(stack)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (1000,)


def test_down_leaves_nothing_and_can_be_said_twice(stack: Stack) -> None:
    ours = stack.processes()
    ports = {part["port"] for part in stack.status()[1]["components"] if part["port"]}
    stack.down()
    assert [process for process in ours if processes.alive(process)] == []
    assert processes.marked(stack.home) == []
    open_now = {connection.laddr.port for connection in psutil.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN}
    assert not ports & open_now
    assert stack.status()[0] == 1
    stack.down()


def test_a_wrong_setting_stops_up_before_anything_starts(tmp_path: Path) -> None:
    wrong = Stack(tmp_path / "home", {"TIDEMARK_SIMULATOR__DAYS": "-1"})
    done = wrong.command("up")
    assert done.returncode == 2
    assert "TIDEMARK_SIMULATOR__DAYS" in done.stderr
    assert processes.marked(wrong.home) == []
