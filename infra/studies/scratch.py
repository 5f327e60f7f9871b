"""A warehouse of its own for a study: an embedded PostgreSQL in a temporary directory, gone afterwards."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from infra.local.postgres import EmbeddedPostgres
from pipelines.contracts.ports import Provider
from pipelines.contracts.window import Window
from pipelines.ingest import run as ingest_run
from pipelines.sentiment import run as sentiment_run
from pipelines.store import Warehouse
from pipelines.store.migrate import upgrade


@contextmanager
def warehouse() -> Iterator[Warehouse]:
    """An empty, migrated warehouse; the server may lose everything at a crash, which a study can afford."""
    with tempfile.TemporaryDirectory(prefix="tidemark-study-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        server = EmbeddedPostgres(home / "pgdata", None, home / "password")
        server.prepare()
        argv, keywords = server.command()
        with (home / "log").open("ab") as log:
            process = subprocess.Popen([*argv, "-c", "fsync=off"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True, **keywords)
        try:
            server.wait_ready(60, process)
            server.create_databases(["study"])
            upgrade(server.url("study"))
            store = Warehouse(server.url("study"), str(home / "snapshots"))
            try:
                yield store
            finally:
                store.close()
        finally:
            server.stop(10)
            process.kill()
            process.wait()


def database(store: Warehouse, name: str) -> str:
    """The URL of another, empty database on the server of ``store``."""
    url = store.engine.url
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    return url.set(database=name, query={}).render_as_string(hide_password=False)


def load(store: Warehouse, provider: Provider, window: Window, *, texts: bool = True, at: datetime) -> None:
    """Take in a window, month by month, and score its texts."""
    for month in window.months():
        ingest_run.run(store, provider, month, at=at)
    if texts:
        for month in window.months():
            sentiment_run.run(store, month)
