"""From what `up` was given to components: which run, what they are told, what is written where and how closed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from infra.local import control, stack, status
from infra.local.components import Component
from infra.local.paths import Home
from infra.local.postgres import EmbeddedPostgres
from pipelines import config
from pipelines.errors import ConfigError

EMBEDDED = ["postgres", "warehouse", "mlflow", "airflow-db", "api-server", "dag-processor", "triggerer", "scheduler"]
DATABASE = {"TIDEMARK_DATABASE_URL": "postgresql://me:pw@db.example:5432/w"}
MLFLOW = {"TIDEMARK_MLFLOW_URL": "https://mlflow.example", "TIDEMARK_MLFLOW_PASSWORD": "theirs"}
AIRFLOW = {"TIDEMARK_AIRFLOW_URL": "https://airflow.example"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(EmbeddedPostgres, "command", lambda self: (["postgres"], {"env": {}, "cwd": "/"}))
    home = Home(tmp_path / "home")
    home.make()
    return home


def names(plan: stack.Stack) -> list[str]:
    return [part.name for part in plan.components]


def part(plan: stack.Stack, name: str) -> Component:
    return next(item for item in plan.components if item.name == name)


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, EMBEDDED),
    (DATABASE, EMBEDDED[1:]),
    (MLFLOW, [name for name in EMBEDDED if name != "mlflow"]),
    (AIRFLOW, ["postgres", "warehouse", "mlflow"]),
    (DATABASE | MLFLOW | AIRFLOW, ["warehouse"]),
])
def test_an_outside_server_takes_the_place_of_the_embedded_one(home: Home, settings: dict[str, str],
                                                               expected: list[str]) -> None:
    assert names(stack.prepare(home, settings)) == expected


def test_a_server_that_plays_the_sources_is_one_component_more_and_the_sources_lead_to_it(home: Home) -> None:
    plan = stack.prepare(home, {"TIDEMARK_REPLAY__SERVE": "true", "TIDEMARK_REPLAY__FAULTS": "429,cut",
                                "TIDEMARK_X__URL": "https://x.example"})
    assert names(plan) == [*EMBEDDED[:2], "replay", *EMBEDDED[2:]]
    server = part(plan, "replay")
    assert server.argv[server.argv.index("--faults") + 1] == "429,cut"
    tasks = part(plan, "scheduler").env
    assert tasks["TIDEMARK_EXCHANGE__URL"] == tasks["TIDEMARK_CBOE__URL"] == server.url
    assert tasks["TIDEMARK_X__URL"] == "https://x.example"  # what the user says counts
    assert config.load({"TIDEMARK_HOME": str(home.path)}).exchange.url == server.url


def test_a_server_that_played_the_sources_once_does_not_stay_for_the_next_up(home: Home) -> None:
    stack.prepare(home, {"TIDEMARK_REPLAY__SERVE": "true"})
    passed_on = config.read_env_file(home.stack_env)
    again = stack.given({key: value for key, value in passed_on.items() if "REPLAY" not in key}, home)
    assert "TIDEMARK_EXCHANGE__URL" not in again
    assert names(stack.prepare(home, again)) == EMBEDDED


def test_what_is_needed_exists_and_comes_first(home: Home) -> None:
    plan = stack.prepare(home, {})
    for number, item in enumerate(plan.components):
        assert set(item.needs) <= set(names(plan)[:number])
    assert part(plan, "scheduler").rank < part(plan, "api-server").rank < part(plan, "postgres").rank


def test_tasks_see_what_up_was_given_and_the_embedded_servers(home: Home) -> None:
    plan = stack.prepare(home, {"TIDEMARK_SOURCE": "files", "TIDEMARK_SCHEDULE_INGEST": "5 0 * * *"})
    seen = config.parse(config.exported(part(plan, "scheduler").env))
    assert (seen.source, seen.schedule_ingest, seen.home) == ("files", "5 0 * * *", home.path)
    assert seen == config.load({"TIDEMARK_HOME": str(home.path)})
    assert seen.require("database_url").endswith("/warehouse")
    assert seen.require("optuna_url").endswith("/optuna")
    assert seen.mlflow_url is not None
    assert seen.mlflow_url.startswith("http://127.0.0.1:")
    assert part(plan, "scheduler").env["OMP_NUM_THREADS"] == "1"


def test_outside_servers_are_passed_on_and_their_databases_lie_beside(home: Home) -> None:
    plan = stack.prepare(home, DATABASE | MLFLOW)
    environment = part(plan, "scheduler").env
    assert environment["TIDEMARK_DATABASE_URL"] == DATABASE["TIDEMARK_DATABASE_URL"]
    assert environment["TIDEMARK_OPTUNA_URL"] == "postgresql://me:pw@db.example:5432/w_optuna"
    assert environment["TIDEMARK_MLFLOW_PASSWORD"] == "theirs"
    assert "w_airflow" in (home.airflow / "airflow.cfg").read_text()


def test_no_secret_is_on_a_command_line_or_open_to_others(home: Home) -> None:
    plan = stack.prepare(home, {})
    secret = json.loads(home.secrets.read_text()) | {"pg": (home.path / "postgres.password").read_text().strip()}
    for item in plan.components:
        assert not any(value in " ".join(item.argv) for value in secret.values())
    files = [home.secrets, home.stack_env, home.path / "postgres.password", home.airflow / "airflow.cfg",
             home.airflow / "passwords.json", home.mlflow / "basic_auth.ini"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_all_servers_are_told_to_stay_on_loopback(home: Home) -> None:
    plan = stack.prepare(home, {})
    assert "--host 127.0.0.1" in " ".join(part(plan, "mlflow").argv)
    assert "host = 127.0.0.1" in (home.airflow / "airflow.cfg").read_text()
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in part(plan, name).argv


def test_planning_again_changes_nothing(home: Home) -> None:
    first, second = stack.prepare(home, {}), stack.prepare(home, {})
    assert [item.fingerprint for item in first.components] == [item.fingerprint for item in second.components]
    assert first.logins == second.logins


def test_a_setting_restarts_those_that_read_it_and_no_others(home: Home) -> None:
    before = {item.name: item.fingerprint for item in stack.prepare(home, {}).components}
    after = {item.name: item.fingerprint for item in stack.prepare(home, {"TIDEMARK_SOURCE": "files"}).components}
    assert {name for name in before if before[name] == after[name]} == {"postgres", "mlflow"}


def test_marks_lead_back_to_the_stack(home: Home) -> None:
    for item in stack.prepare(home, {}).components:
        assert item.env["TIDEMARK_STACK"] == item.env["TIDEMARK_HOME"] == str(home.path)
        assert item.env["TIDEMARK_COMPONENT"] == item.name


def test_logins_name_all_three_servers(home: Home) -> None:
    logins = {row[0]: row[1:] for row in stack.prepare(home, {}).logins}
    assert logins["Airflow"][1] == logins["MLflow"][1] == "admin"
    assert all(row[2] for row in logins.values())
    assert logins["PostgreSQL"][0].startswith("127.0.0.1:")


# --- what the user means
def test_paths_become_absolute(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = stack.given({"TIDEMARK_DATA_DIR": "data", "TIDEMARK_SNAPSHOTS": "s3://bucket/x", "TIDEMARK_HOME": "x",
                         "PATH": "/bin"}, home)
    assert given == {"TIDEMARK_DATA_DIR": str(tmp_path / "data"), "TIDEMARK_SNAPSHOTS": "s3://bucket/x"}


def test_our_own_addresses_passed_on_are_not_outside_servers(home: Home) -> None:
    stack.prepare(home, {"TIDEMARK_SOURCE": "files"})
    sourced = config.read_env_file(home.stack_env)
    assert stack.given(sourced, home) == {"TIDEMARK_SOURCE": "files"}
    assert stack.given(sourced | DATABASE, home) == {"TIDEMARK_SOURCE": "files", **DATABASE}


def test_an_outside_server_stays_outside_when_up_is_said_again(home: Home) -> None:
    stack.prepare(home, DATABASE)
    assert stack.given(DATABASE, home) == DATABASE


@pytest.mark.parametrize(("settings", "says"), [
    ({"TIDEMARK_MLFLOW_URL": "sqlite:///x"}, "TIDEMARK_MLFLOW_URL must be the http"),
    ({"TIDEMARK_SORCE": "x"}, "TIDEMARK_SORCE"),
])
def test_a_wrong_setting_stops_up(home: Home, settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        stack.given(settings, home)


def test_the_digest_sees_changed_code_and_not_caches(tmp_path: Path) -> None:
    room = tmp_path / "room"
    (room / "__pycache__").mkdir(parents=True)
    (room / "a.py").write_text("1")
    first = stack.digest("room", root=tmp_path)
    (room / "__pycache__" / "a.pyc").write_text("x")
    assert stack.digest("room", root=tmp_path) == first
    os.utime(room / "a.py", (1, 1))
    assert stack.digest("room", root=tmp_path) != first


# --- without a supervisor
def test_nothing_runs_in_a_new_home(tmp_path: Path) -> None:
    report = status.collect(Home(tmp_path / "none"))
    assert (report["healthy"], report["phase"], report["components"], report["processes"]) == (False, "stopped", [], 0)


def test_a_stale_pid_file_is_nobody(home: Home) -> None:
    home.pid.write_text(json.dumps({"pid": os.getpid(), "created": 1.0}))
    assert control.supervisor(home) is None
    home.pid.write_text("{")
    assert control.supervisor(home) is None
    home.pid.write_text(json.dumps({"pid": 2**22 + 1, "created": 1.0}))
    assert control.supervisor(home) is None
