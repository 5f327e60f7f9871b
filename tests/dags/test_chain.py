"""Every DAG with ``dag.test()``, in the order of the way, on a small world: real PostgreSQL for the warehouse, for
Airflow's own tables and for Optuna, a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local.postgres import EmbeddedPostgres
from pipelines.config import ROOT
from pipelines.contracts.line import parse_line
from pipelines.contracts.window import Window
from pipelines.features import matrix
from pipelines.store import Warehouse
from pipelines.store.digest import canonical, digest
from tests.fixtures.mlflow_server import MlflowServer, mlflow_server

__all__ = ["mlflow_server"]

LINE = "tide_1h"
#: So many that three tasks compute; of most of them there are no bars.
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", *(f"COIN{number:02d}" for number in range(64))]
TOML = f"""
name = "{LINE}"
title = "A small line for a small world"
owner = "tests"
symbols = {json.dumps(SYMBOLS)}
[target]
kind = "direction"
horizon_bars = 1
[features]
groups = ["returns", "cross_asset", "time", "sentiment"]
[walk_forward]
train_days = 14
test_days = 3
search_folds = 2
evidence_days = 7
[search]
families = ["logistic_regression", "lightgbm"]
trials = 4
workers = 2
nested_runs = 2
[costs]
[gate]
alpha = 0.2
min_rows = 100
[drift]
window_days = 3
[retrain]
on = ["data_drift", "performance"]
min_new_days = 12
"""
START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=40)
DAY = {"partition": END.date().isoformat()}
#: The edge turns round, and nobody answers the alarms at first. What an earlier run was given stays with its DAG in the
#: process that plays it, so what is not meant is named, too.
TURN = END + timedelta(days=1)
TURNED = {"partition": None, "start": TURN.isoformat(), "end": (TURN + timedelta(days=15)).isoformat()}
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("bootstrap", {"start": START.isoformat(), "end": END.isoformat()}),
    (f"train_{LINE}", {"as_of": END.isoformat(), "reason": "bootstrap", "requested_by": "ann"}),
    (f"promote_{LINE}", {}),
    ("ingest_market", DAY), ("ingest_text", DAY), ("score_sentiment", DAY), ("build_features", DAY),
    (f"predict_{LINE}", DAY), (f"monitor_{LINE}", DAY),
    ("maintain", {}), ("notify", {}),
]
AGAIN = [step for step in STEPS if step[0].startswith(("ingest", "score", "build", "predict", "monitor"))]
STORM = [(dag_id, TURNED) for dag_id in ("ingest_market", "ingest_text", "score_sentiment", "build_features",
                                        f"predict_{LINE}", f"monitor_{LINE}")]
ANSWER: list[tuple[str, dict[str, Any]]] = [
    (f"train_{LINE}", {"requested_by": "the bell", "reason": "manual", "as_of": None}), (f"promote_{LINE}", {})]
TOO_EARLY = [(f"train_{LINE}", {"as_of": (START + timedelta(days=3)).isoformat()}), ("maintain", {})]
TABLES = ("bars", "documents", "indicators", "sentiment_scores", "mentions", "sentiment_aggregates", "snapshots",
          "predictions", "outcomes", "quarantine", "drift_reports", "retrain_requests", "candidates", "verdicts",
          "promotions")


@dataclass(frozen=True)
class World:
    """A warehouse, and a process in which DAGs work on it."""

    warehouse: Warehouse
    player: subprocess.Popen[str]
    log: Path

    def play(self, steps: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        assert self.player.stdin
        known = len(self.played())
        self.player.stdin.write("".join(f"{json.dumps(step)}\n" for step in steps))
        self.player.stdin.flush()
        give_up = time.monotonic() + 500
        while len(self.played()) < known + len(steps) and self.player.poll() is None and time.monotonic() < give_up:
            time.sleep(0.2)
        played = self.played()[known:]
        assert len(played) == len(steps), self.log.read_text(encoding="utf-8")[-6000:]
        return played

    def played(self) -> list[dict[str, Any]]:
        return [json.loads(line.removeprefix("PLAYED ")) for line in
                self.log.read_text(encoding="utf-8").splitlines() if line.startswith("PLAYED ")]

    def count(self, *tables: str) -> dict[str, int]:
        with self.warehouse.begin() as connection:
            return {table: connection.exec_driver_sql(f"SELECT count(*) FROM ai_trading.{table}").scalar_one()
                    for table in tables}

    def one(self, query: str) -> Any:
        with self.warehouse.begin() as connection:
            return connection.exec_driver_sql(query).one()


@pytest.fixture(scope="module")
def world(postgres: EmbeddedPostgres, mlflow_server: MlflowServer,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from pipelines.store.migrate import upgrade

    home = tmp_path_factory.mktemp("home")
    (home / "lines").mkdir()
    (home / "lines" / f"{LINE}.toml").write_text(TOML, encoding="utf-8")
    names = [f"chain_{os.getpid()}_{what}" for what in ("airflow", "warehouse", "optuna")]
    postgres.create_databases(names)
    airflow, warehouse, optuna = map(postgres.url, names)
    upgrade(warehouse)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "TIDEMARK", "MLFLOW"))},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg",
        "AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"), "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 64,
        "TIDEMARK_HOME": str(home), "TIDEMARK_LINES_DIR": str(home / "lines"), "TIDEMARK_DATABASE_URL": warehouse,
        "TIDEMARK_OPTUNA_URL": optuna, "TIDEMARK_SIMULATOR__DAYS": "60", "TIDEMARK_SIMULATOR__SYMBOLS": "3",
        "TIDEMARK_SIMULATOR__EDGE": "3", "TIDEMARK_SIMULATOR__SHIFT_DAY": str((TURN - START).days),
        "TIDEMARK_SCHEDULE_END": START.isoformat(),
        **{f"TIDEMARK_{key.upper()}": value for key, value in mlflow_server.settings.items()}}
    store, log = Warehouse(warehouse, str(home / "snapshots")), home / "play.log"
    with log.open("w", encoding="utf-8") as stream:
        player = subprocess.Popen([sys.executable, "-m", "tests.dags.play"], cwd=ROOT, env=environment, text=True,
                                  stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield World(store, player, log)
    finally:
        player.kill()
        player.wait()
        store.close()


@pytest.fixture(scope="module")
def played(world: World) -> dict[str, dict[str, Any]]:
    """DAG → what its run did, on the way from an empty warehouse to a monitored day."""
    runs = {item["dag"]: item for item in world.play(STEPS)}
    print({name: item["seconds"] for name, item in runs.items()})
    return runs


@pytest.mark.parametrize("dag_id", [dag_id for dag_id, _ in STEPS])
def test_each_dag_succeeds(played: dict[str, dict[str, Any]], dag_id: str) -> None:
    run = played[dag_id]
    assert run["state"] == "success"
    assert set(run["tasks"].values()) <= {"success", "skipped"}, run["tasks"]


@pytest.mark.parametrize(("dag_id", "rung"), [
    ("bootstrap", []),
    (f"train_{LINE}", [f"candidate/{LINE}@v1"]),
    (f"promote_{LINE}", [f"champion/{LINE}@v1"]),
    ("ingest_market", ["bars@2024-02-10"]),
    ("ingest_text", ["documents@2024-02-10"]),
    ("score_sentiment", ["sentiment@2024-02-10"]),
    ("build_features", [f"features/{LINE}@2024-02-10"]),
    (f"predict_{LINE}", [f"predictions/{LINE}@2024-02-10"]),
    (f"monitor_{LINE}", []),
    ("maintain", []),
    ("notify", []),
])
def test_each_dag_rings_its_bell_for_its_partition(played: dict[str, dict[str, Any]], dag_id: str,
                                                   rung: list[str]) -> None:
    assert played[dag_id]["rung"] == rung


def test_the_features_of_a_wide_line_are_computed_by_several_tasks(played: dict[str, dict[str, Any]],
                                                                   world: World) -> None:
    run = played["build_features"]
    assert run["tasks"] == {f"build_{LINE}": "success", **{f"compute_{LINE}[{part}]": "success" for part in range(3)}}
    assert run["names"] == ["BTCUSDT", "COIN63", "across symbols"]
    ref = world.one(f"SELECT digest, rows FROM ai_trading.snapshots WHERE kind = 'partition' AND line = '{LINE}' "
                    f"AND window_start = '{END.isoformat()}'")
    fresh = matrix.build(world.warehouse, parse_line(TOML), window=Window.day(DAY["partition"]),
                         as_of=END + timedelta(days=1))
    assert digest(canonical(fresh)) == ref.digest
    assert ref.rows == len(fresh) > 60


def test_bootstrap_is_mapped_by_month_and_symbol(played: dict[str, dict[str, Any]]) -> None:
    names = played["bootstrap"]["names"]
    months = ("2024-01", "2024-02")
    assert len(names) == len(set(names)) == 2 * (3 + 2)
    assert {name for name in names if name.startswith(("documents", "indicators"))} == {
        f"{kind} {month}" for kind in ("documents", "indicators") for month in months}


def test_the_ledger_tells_the_story(played: dict[str, dict[str, Any]], world: World) -> None:
    assert played
    request = world.one("SELECT reason, state, requested_by, as_of FROM ai_trading.retrain_requests")
    assert tuple(request) == ("bootstrap", "served", "ann", END)
    promotion = world.one("SELECT version, previous, action, effective_at FROM ai_trading.promotions")
    assert tuple(promotion) == (1, None, "promote", END)
    predicted = world.one("SELECT count(*), count(DISTINCT (symbol, event_time)), min(available_at), max(available_at) "
                          "FROM ai_trading.predictions")
    assert predicted[0] == predicted[1] > 60
    assert END <= predicted[2] <= predicted[3] < END + timedelta(days=1)
    assert world.one("SELECT as_of, champion_version FROM ai_trading.drift_reports")[1] == 1
    assert world.count("line_configs") == {"line_configs": 1}


def test_a_day_done_again_changes_nothing(played: dict[str, dict[str, Any]], world: World) -> None:
    assert played
    before = world.count(*TABLES)
    assert all(run["state"] == "success" for run in world.play(AGAIN))
    assert world.count(*TABLES) == before


def test_a_training_that_cannot_work_fails_at_once_and_says_why(
        played: dict[str, dict[str, Any]], world: World) -> None:
    assert played
    train, maintain = world.play(TOO_EARLY)
    assert train["state"] == "failed"
    assert train["tasks"] == {
        "claim": "success", "open_training": "failed", "audit": "upstream_failed", "trials[0]": "upstream_failed",
        "trials[1]": "upstream_failed", "conclude": "upstream_failed", "close": "success"}
    assert train["rung"] == []
    state, detail = world.one("SELECT state, detail FROM ai_trading.retrain_requests ORDER BY id DESC LIMIT 1")
    assert state == "failed"
    assert "InsufficientData" in detail
    kind, line, title = world.one("SELECT kind, line, title FROM ai_trading.notices WHERE key LIKE 'task:%%'")
    assert (kind, line, title) == ("task_failed", LINE, f"train_{LINE}: open_training failed")  # by its own callback
    assert maintain["rung"] == []


@pytest.fixture(scope="module")
def storm(played: dict[str, dict[str, Any]], world: World) -> dict[str, dict[str, Any]]:
    """DAG → what its run did, on 15 days under alarm and in the answer to them."""
    assert played
    runs = {item["dag"]: item for item in world.play([*STORM, ("maintain", {}), *ANSWER])}
    print({name: item["seconds"] for name, item in runs.items()})
    failed = {name: item["tasks"] for name, item in runs.items() if item["state"] != "success"}
    assert failed == {}, world.log.read_text(encoding="utf-8")[-4000:]
    return runs


def test_ten_alarms_in_a_row_lead_to_a_single_training(storm: dict[str, dict[str, Any]], world: World) -> None:
    days = sorted(set(storm[f"monitor_{LINE}"]["rung"]))
    assert days[0] == f"retrain/{LINE}@{TURN.date().isoformat()}"
    assert len(days) == 15
    alarms, = world.one("SELECT count(*) FROM ai_trading.drift_reports WHERE (data_drift OR performance_drift) "
                        f"AND as_of > '{TURN.isoformat()}'")
    assert alarms >= 10
    count, as_of, state = world.one("SELECT count(*), min(as_of), min(state) FROM ai_trading.retrain_requests "
                                    "WHERE requested_by = 'policy'")
    assert (count, as_of, state) == (1, END + timedelta(days=12), "served")
    joined = world.one("SELECT evidence FROM ai_trading.retrain_requests WHERE requested_by = 'policy'")[0]["joined"]
    assert {entry["requested_by"] for entry in joined} == {"policy", "the bell"}
    assert max(entry["times"] for entry in joined) == 4  # the alarms after the one that asked
    assert [bell.split("@")[0] for bell in storm["maintain"]["rung"]] == [f"retrain/{LINE}"]  # nobody has answered yet


def test_a_drift_alarm_leads_to_a_new_champion(storm: dict[str, dict[str, Any]], world: World) -> None:
    version, previous, effective_at = world.one(
        "SELECT version, previous, effective_at FROM ai_trading.promotions ORDER BY number DESC LIMIT 1")
    assert (previous, effective_at) == (1, END + timedelta(days=12))
    assert storm[f"train_{LINE}"]["rung"] == [f"candidate/{LINE}@v{version}"]
    assert storm[f"promote_{LINE}"]["rung"] == [f"champion/{LINE}@v{version}"]
    reason, cpu, wall, trials = world.one(
        "SELECT reason, sum(cpu_seconds), sum(wall_seconds), sum(trials) FROM ai_trading.training_steps AS steps "
        "JOIN ai_trading.retrain_requests AS requests ON requests.id = request_id WHERE requested_by = 'policy' "
        "GROUP BY reason")
    assert reason in ("performance", "data_drift")
    assert cpu > 0
    assert wall > 0
    assert trials == 4
