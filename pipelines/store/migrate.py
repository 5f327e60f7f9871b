"""Bring a warehouse to the newest schema. Calling it again, or by several at once, changes nothing."""

from __future__ import annotations

import re

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from pipelines.config import ROOT
from pipelines.errors import ConfigError, StoreError
from pipelines.store.faults import translated

MIGRATIONS = ROOT / "infra" / "postgres" / "migrations"
_MONTH = re.compile(r"_\d{4}_\d{2}$")


def partition(name: str | None) -> bool:
    """Whether a table's name is that of a monthly partition."""
    return name is not None and _MONTH.search(name) is not None


def play(revision: str) -> None:
    """What every migration does: run its SQL scripts, in the order of their names, inside the caller's transaction."""
    from alembic import op

    for script in sorted((MIGRATIONS / "sql" / revision).glob("*.sql")):
        # Doubled: the driver reads a percent sign as the start of a parameter.
        op.get_bind().exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))


def refuse() -> None:
    """What every migration does when it is asked to go back.

    Raises:
        StoreError: the ledger is append-only.
    """
    raise StoreError("the ledger is append-only, so its schema does not go back; restore a backup made before the "
                     "migration")


def upgrade(database_url: str) -> None:
    """Apply the missing migrations in one transaction, one caller at a time.

    Raises:
        StoreUnavailable: the server cannot be reached.
        StoreError: it is too old, or refused.
        ConfigError: the migrations are not installed beside the library.
    """
    from alembic import command
    from alembic.config import Config

    if not MIGRATIONS.is_dir():
        raise ConfigError(f"no migrations in {MIGRATIONS}; run from a checkout of Tidemark")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    with translated(), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('tidemark:migrate', 0))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
