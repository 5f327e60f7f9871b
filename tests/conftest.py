"""One real PostgreSQL per test session, one fresh migrated database per test."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from hypothesis import HealthCheck, settings

from infra.local.postgres import EmbeddedPostgres
from pipelines.errors import StoreUnavailable

if TYPE_CHECKING:
    from pipelines.store import Warehouse

pytest_plugins = ["tests.fixtures.mailbox", "tests.fixtures.mlflow_server", "tests.fixtures.replay",
                  "tests.fixtures.tracing"]

settings.register_profile("tidemark", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
                          max_examples=60)
settings.register_profile("thorough", settings.get_profile("tidemark"), max_examples=600)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "tidemark")
settings.load_profile(PROFILE)

# A million objects of imported libraries live as long as the process: looking at them less often saves a tenth of the
# collection's time.
gc.set_threshold(50_000, 20, 50)

_ATTEMPTS = 3  # a port found free can be taken by a neighbour before the server has bound it
_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off")  # of the tests' own server only: it may lose everything
_numbers = itertools.count()


def _on_stack(item: pytest.Item) -> bool:
    return item.get_closest_marker("stack") is not None


def pytest_itemcollected(item: pytest.Item) -> None:
    """For pytest-xdist: what needs the real stack goes to one worker, and the tests of one file stay together, so
    that their fixtures are made once."""
    item.add_marker(pytest.mark.xdist_group("stack" if _on_stack(item) else item.path.stem))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stack's tests take longest, so one worker begins with them while the other goes through the rooms."""
    items.sort(key=lambda item: not _on_stack(item))
    if PROFILE == "thorough":
        for test in {getattr(item.obj, "__func__", item.obj) for item in items if isinstance(item, pytest.Function)}:
            own = getattr(test, "_hypothesis_internal_use_settings", None)
            if own is not None and own.max_examples < settings.default.max_examples:  # of its own, chosen for its price
                test._hypothesis_internal_use_settings = settings(own, max_examples=10 * own.max_examples)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running embedded server (each pytest-xdist worker has its own), stopped at the end whatever happened."""
    with tempfile.TemporaryDirectory(prefix="tidemark-pg-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        for attempt in range(_ATTEMPTS):
            server = EmbeddedPostgres(home / "pgdata", None, home / "password")
            server.prepare()
            argv, keywords = server.command()
            with (home / "log").open("ab") as log:
                process = subprocess.Popen([*argv, *_FAST], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           start_new_session=True, **keywords)
            try:
                server.wait_ready(60, process)
            except StoreUnavailable:
                process.kill()
                process.wait()
                if attempt == _ATTEMPTS - 1:
                    pytest.fail(f"no PostgreSQL: {(home / 'log').read_text(errors='replace')[-2000:]}")
                continue
            break
        try:
            yield server
        finally:
            _end(server, process)


def _end(server: EmbeddedPostgres, process: subprocess.Popen[bytes]) -> None:
    try:
        server.stop(10)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres) -> str:
    """The name of a database with all migrations applied; copies of it cost some 50 ms."""
    from pipelines.store.migrate import upgrade

    name = "migrated_template"
    postgres.create_databases([name])
    upgrade(postgres.url(name))
    return name


@contextmanager
def _databases(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Callable[..., str]]:
    connection = psycopg2.connect(postgres.url("postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    made: list[str] = []

    def make(*, migrated: bool = True) -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        template = template_database if migrated else "template0"
        with connection.cursor() as cursor:
            # Copying the files of a small template is quicker than logging each of its blocks.
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        made.append(name)
        return postgres.url(name)

    try:
        yield make
    finally:
        with connection.cursor() as cursor:
            for name in made:
                cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.close()


@pytest.fixture
def new_database(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Callable[..., str]]:
    """Call it for the URL of a fresh database (``migrated=False``: an empty one); all are dropped afterwards."""
    with _databases(postgres, template_database) as make:
        yield make


@pytest.fixture
def warehouse(new_database: Callable[..., str], tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse of its own for one test, snapshots under ``tmp_path``."""
    from pipelines.store import Warehouse

    store = Warehouse(new_database(), str(tmp_path / "snapshots"))
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(scope="module")
def shared_warehouse(postgres: EmbeddedPostgres, template_database: str,
                     tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One warehouse for a whole module: for tests that only read it, or leave nothing behind."""
    from pipelines.store import Warehouse

    with _databases(postgres, template_database) as make:
        store = Warehouse(make(), str(tmp_path_factory.mktemp("snapshots")))
        try:
            yield store
        finally:
            store.close()
