"""The handle that every room is given: connections to PostgreSQL and the root of the snapshots."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc

from pipelines.config import Settings
from pipelines.store.faults import translated
from pipelines.store.tables import SCHEMA


class Warehouse:
    """Access to the warehouse. Connections are made when first used; threads and forked children may share it."""

    def __init__(self, database_url: str, snapshot_root: str, pool_size: int = 5) -> None:
        self.snapshot_root = snapshot_root
        self.engine: Engine = create_engine(
            database_url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, pool_timeout=30,
            connect_args={"connect_timeout": 10, "application_name": "tidemark",
                          "options": f"-c search_path={SCHEMA},public -c timezone=UTC"})
        event.listen(self.engine, "connect", _remember_process)
        event.listen(self.engine, "checkout", _refuse_other_process)

    @classmethod
    def from_settings(cls, settings: Settings) -> Warehouse:
        """The warehouse of ``TIDEMARK_DATABASE_URL`` or of the running stack.

        Raises:
            ConfigError: neither is set.
        """
        return cls(settings.require("database_url"), settings.snapshot_root, settings.pool_size)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back by an exception.

        Raises:
            StoreUnavailable: the server cannot be reached or gave up; trying again can help.
            StoreError: it refused.
        """
        with translated(), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the idle connections."""
        self.engine.dispose()


def _remember_process(_: Any, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _refuse_other_process(_: Any, record: Any, proxy: Any) -> None:
    """A connection that two processes speak on breaks both: the child of a fork makes its own instead."""
    if record.info["pid"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None
        raise exc.DisconnectionError("this connection belongs to the parent process")
