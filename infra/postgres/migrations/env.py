"""How alembic reaches the warehouse: over the connection it is handed, or the one of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, text

from pipelines.store.migrate import partition
from pipelines.store.tables import SCHEMA, metadata


def run(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(
        connection=connection, target_metadata=metadata, version_table_schema=SCHEMA, include_schemas=True,
        include_name=lambda name, kind, parents: name == SCHEMA if kind == "schema" else not partition(name),
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    handed = context.config.attributes.get("connection")
    if handed is not None:
        run(handed)
        return
    from pipelines.config import settings

    with create_engine(settings().require("database_url")).begin() as connection:
        run(connection)


main()
