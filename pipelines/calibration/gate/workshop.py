"""Scratch databases in which simulated worlds are loaded and real trainings run; nothing of them stays.

Features are read from a warehouse, and several workers share a study on PostgreSQL, so a real training needs a server.
The databases are made beside the configured ones, under names of their own, and dropped at the end.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from pipelines.config import Settings, Simulator
from pipelines.contracts.window import Window
from pipelines.store import Warehouse
from pipelines.store.faults import translated

_PREFIX = "tidemark_calibration"


class Workshop:
    """A place for worlds; make it with `open_workshop`.

    Attributes:
        optuna_url: SQLAlchemy URL of a scratch database for studies.
    """

    def __init__(self, server_url: str, home: Path) -> None:
        self._server = sa.make_url(server_url)
        self._admin = sa.create_engine(self._server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._home = home
        self._made: list[str] = []
        self._worlds: dict[str, Warehouse] = {}
        self._numbers = itertools.count()
        self.optuna_url = self._database()
        #: what scenarios made of the same trainings share, by a key of their own
        self.kept: dict[object, object] = {}

    def world(self, simulator: Simulator) -> Warehouse:
        """A warehouse with all that a simulated market has to tell, scored; made once for equal settings."""
        from pipelines.ingest import providers
        from pipelines.ingest import run as ingest
        from pipelines.sentiment import run as sentiment
        from pipelines.store.migrate import upgrade

        key = simulator.model_dump_json()
        if key not in self._worlds:
            url = self._database()
            upgrade(url)
            warehouse = Warehouse(url, str(self._home / f"snapshots_{len(self._worlds)}"))
            provider = providers.create("simulator", Settings(simulator=simulator, source="simulator"))
            window = Window(simulator.start, simulator.start + timedelta(days=simulator.days))
            for month in window.months():
                ingest.run(warehouse, provider, month, at=window.end)
            for month in window.months():
                sentiment.run(warehouse, month)
            self._worlds[key] = warehouse
        return self._worlds[key]

    def close(self) -> None:
        """Drop everything."""
        for warehouse in self._worlds.values():
            warehouse.close()
        with translated(), self._admin.connect() as connection:
            for name in self._made:
                connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        self._admin.dispose()

    def _database(self) -> str:
        name = f"{_PREFIX}_{os.getpid()}_{next(self._numbers)}"
        with translated(), self._admin.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
        self._made.append(name)
        return self._server.set(database=name).render_as_string(hide_password=False)


@contextmanager
def open_workshop(server_url: str) -> Iterator[Workshop]:
    """A workshop on the server of ``server_url`` (any database that the user may connect to and create others from).

    Raises:
        StoreUnavailable: the server does not answer. StoreError: it refuses to create a database.
    """
    with tempfile.TemporaryDirectory(prefix="tidemark-calibration-") as directory:
        workshop = Workshop(server_url, Path(directory))
        try:
            yield workshop
        finally:
            workshop.close()
