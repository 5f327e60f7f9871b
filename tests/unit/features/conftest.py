"""A warehouse that the read-only tests of one module share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from infra.local.postgres import EmbeddedPostgres
from pipelines.store import Warehouse


@pytest.fixture(scope="module")
def shared_warehouse(postgres: EmbeddedPostgres, template_database: str, request: pytest.FixtureRequest,
                     tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """An empty migrated warehouse for one module; its tests must not change what they did not write."""
    name = f"shared_{os.getpid()}_{Path(str(request.path)).stem}"
    connection = psycopg2.connect(postgres.url("postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}" STRATEGY FILE_COPY')
    store = Warehouse(postgres.url(name), str(tmp_path_factory.mktemp("snapshots")))
    try:
        yield store
    finally:
        store.close()
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.close()
