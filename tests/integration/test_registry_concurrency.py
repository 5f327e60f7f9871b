"""Many processes change the champion of one line at once, and many of them are killed on the way: PostgreSQL and
MLflow are real, so is SIGKILL. What has to be left: one champion, a history without a gap, and after `maintain` an
alias that says what the ledger says."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.records import Action, Candidate
from pipelines.registry.reconcile import reconcile
from pipelines.registry.standing import standing
from pipelines.store import Warehouse, events, ledger
from pipelines.training.record import connect
from tests.fixtures.mlflow_server import MlflowServer
from tests.integration.storm import Job, work
from tests.unit.registry.world import AT, START, World, make_line

SEED = 20240101
#: Fifty take a minute and a half of the suite: `PROCESSES=50 pytest tests/integration/test_registry_concurrency.py`.
WORKERS = int(os.environ.get("PROCESSES", "20"))
VERSIONS = WORKERS * 3 // 5
#: Of the workers: so many kill themselves between ledger and alias, and so many are shot at a random moment.
DIE_BETWEEN, SHOT = WORKERS * 4 // 25, WORKERS * 7 // 25
SHOT_WITHIN = 4.0


@pytest.fixture
def line_of_many(new_database: Callable[..., str], mlflow_server: MlflowServer, tmp_path: Path) -> World:
    """Versions, in the ledger and in MLflow, none of which is champion."""
    world = World(Warehouse(new_database(), str(tmp_path)), Settings(**mlflow_server.settings),
                  make_line(name="storm_1h"))
    client, name = connect(world.settings), world.line.registered_model
    experiment = client.create_experiment(world.line.experiment)
    client.create_registered_model(name)
    for version in range(1, VERSIONS + 1):
        run = client.create_run(experiment).info
        made = client.create_model_version(name, f"{run.artifact_uri}/model", run_id=run.run_id)
        assert int(made.version) == version
        world.enter(Candidate(world.line.name, version, run.run_id, "lightgbm", START, START, "s", "e", 2))
    return world


def storm(world: World, url: str) -> list[int | None]:
    """Let them all go at once; exit codes."""
    rng = random.Random(SEED)
    jobs = [Job(url, settings(world), world.line, version) for version in range(1, VERSIONS + 1)]
    jobs += [Job(url, settings(world), world.line, None, rng.choice([None, None, rng.randint(1, VERSIONS)]))
             for _ in range(WORKERS - VERSIONS)]
    rng.shuffle(jobs)
    dying = set(rng.sample(range(WORKERS), DIE_BETWEEN))
    jobs = [Job(**{**vars(job), "dies": number in dying}) for number, job in enumerate(jobs)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.storm"])
    start = context.Event()
    workers = [context.Process(target=work, args=(job, start)) for job in jobs]
    for worker in workers:
        worker.start()
    shots = sorted((rng.uniform(0.05, SHOT_WITHIN), number) for number in rng.sample(range(WORKERS), SHOT))
    begin = time.monotonic()
    start.set()
    for moment, number in shots:
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        workers[number].kill()
    for worker in workers:
        worker.join(60)
        if worker.is_alive():
            worker.kill()
            pytest.fail("a worker hangs")
    return [worker.exitcode for worker in workers]


def settings(world: World) -> dict[str, str]:
    found = world.settings
    assert found.mlflow_url
    assert found.mlflow_password
    password = found.mlflow_password
    return {"mlflow_url": found.mlflow_url, "mlflow_username": str(found.mlflow_username),
            "mlflow_password": getattr(password, "get_secret_value", lambda: password)()}


def test_many_at_once_leave_one_champion(line_of_many: World) -> None:
    world = line_of_many
    url = world.warehouse.engine.url.render_as_string(hide_password=False)
    began = time.monotonic()
    codes = storm(world, url)
    assert set(codes) <= {0, -signal.SIGKILL}, codes  # nobody fails in another way
    assert DIE_BETWEEN / 2 <= codes.count(-signal.SIGKILL) <= DIE_BETWEEN + SHOT
    with world.warehouse.begin() as connection:
        history = ledger.history(connection, world.line.name)
        numbers = connection.exec_driver_sql(
            "SELECT number FROM ai_trading.promotions WHERE line = 'storm_1h' ORDER BY id").scalars().all()
        told = events.list_rows(connection)
    print(f"{len(history)} changes, {codes.count(-9)} killed, {time.monotonic() - began:.1f} s")
    # The history: linked, gapless, and told of row by row, in the same transactions.
    assert len(history) > 10
    assert {row.action for row in history} == {Action.PROMOTE, Action.ROLLBACK}
    assert numbers == list(range(1, len(history) + 1))
    assert [row.previous for row in history] == [None, *(row.version for row in history[:-1])]
    promoted = [row.version for row in history if row.action is Action.PROMOTE]
    assert len(promoted) == len(set(promoted))
    assert all(row.version in promoted[:number] for number, row in enumerate(history)
               if row.action is Action.ROLLBACK)
    assert sorted(told["kind"]) == sorted({"promote": "promotion", "rollback": "rollback"}[row.action.value]
                                          for row in history)
    # Whoever was killed before the ledger has left nothing; doing it again finishes the work.
    repairs = reconcile(world.warehouse, world.settings, [world.line], at=AT)
    print(len(repairs), "repairs")
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == []
    with world.warehouse.begin() as connection:
        found = standing(connection, world.line)
    client, name = connect(world.settings), world.line.registered_model
    aliases = {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}
    assert aliases == {"champion": history[-1].version}
    shown = {int(item.version): item.tags[tags.STATE] for item in client.search_model_versions(f"name = '{name}'")}
    assert shown == {version: state.value for version, state in found.states.items()}
    assert list(shown.values()).count("champion") == 1
    world.warehouse.close()
