"""What the stack does in databases besides starting them: make those that are missing, read and mend Airflow's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg2

from infra.local.secrets import write_private
from pipelines.errors import ConfigError


def beside(url: str, suffix: str) -> str:
    """The URL of the database next to that of ``url``: ``.../warehouse`` and ``mlflow`` give ``.../warehouse_mlflow``.

    Raises:
        ConfigError: the URL names no database.
    """
    parts = urlsplit(url)
    if not parts.path.strip("/"):
        raise ConfigError("TIDEMARK_DATABASE_URL names no database; it ends like .../warehouse")
    return urlunsplit(parts._replace(path=f"{parts.path}_{suffix}"))


def connect(url: str) -> Any:
    """A psycopg2 connection to a SQLAlchemy URL, in autocommit."""
    connection = psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=5)
    connection.autocommit = True
    return connection


def ensure(urls: Iterable[str]) -> None:
    """Create the databases of ``urls`` that do not exist, connecting to ``postgres`` on the same server.

    Raises:
        ConfigError: the role may not; the message says what to create.
    """
    for url in urls:
        try:
            connect(url).close()
            continue
        except psycopg2.OperationalError as error:
            if "does not exist" not in str(error):
                raise
        parts = urlsplit(url)
        name = unquote(parts.path.strip("/"))
        try:
            connection = connect(urlunsplit(parts._replace(path="/postgres")))
            try:
                with connection.cursor() as cursor:
                    cursor.execute('CREATE DATABASE "{}"'.format(name.replace('"', '""')))
            finally:
                connection.close()
        except psycopg2.errors.DuplicateDatabase:
            continue
        except psycopg2.Error as error:
            raise ConfigError(f'database "{name}" is missing and cannot be created ({str(error).strip()}); run '
                              f'CREATE DATABASE "{name}" as a role that may, or leave TIDEMARK_DATABASE_URL unset'
                              ) from error


def bury(url: str, job_type: str) -> None:
    """Tell Airflow that its earlier processes of this type are dead.

    Each runs once here and we start it, so a row that says "running" before a start is left from one that was killed.
    Without this, its tasks and triggers wait until its last heartbeat is too old (30 s) before anybody takes them.
    """
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE job SET state = 'failed', end_date = now() "
                           "WHERE job_type = %s AND state = 'running'", (job_type,))
    finally:
        connection.close()


class Migrated:
    """Whether these migrations have been applied to this database already; asking the tools costs seconds at each boot.

    ``stamp`` stands for the migrations we would apply (a version, a digest); ``table`` is where alembic keeps the
    revision of the database. Both are remembered in ``path`` after the tools have run.
    """

    def __init__(self, url: str, path: Path, stamp: str, table: str = "alembic_version") -> None:
        self._url, self._path, self._stamp, self._table = url, path, stamp, table

    def _current(self) -> dict[str, str] | None:
        try:
            connection = connect(self._url)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT version_num FROM {self._table}")
                    row = cursor.fetchone()
            finally:
                connection.close()
        except psycopg2.Error:
            return None
        return {"stamp": self._stamp, "revision": row[0]} if row else None

    def is_current(self) -> bool:
        try:
            recorded = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(recorded == self._current())

    def remember(self) -> None:
        write_private(self._path, json.dumps(self._current()))
