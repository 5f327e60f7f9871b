"""The migrations and the library's tables say the same; applying them is safe for everybody at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from pipelines.errors import ConfigError, StoreUnavailable
from pipelines.store import Warehouse, migrate
from pipelines.store.tables import MONTHLY, SCHEMA, metadata


def test_metadata_and_migrations_agree(warehouse: Warehouse) -> None:
    # Without the search path the reflected tables carry their schema, as those of the metadata do.
    with create_engine(warehouse.engine.url).begin() as connection:
        context = MigrationContext.configure(connection, opts={
            "include_schemas": True, "compare_type": True, "version_table_schema": SCHEMA,
            "include_name": lambda name, kind, _: (
                name == SCHEMA if kind == "schema" else not migrate.partition(name))})
        differences = compare_metadata(context, metadata)
        # Comments are written in the migrations only; the next test wants one on every table.
        assert [item for item in differences if item[0] != "remove_table_comment"] == []
        assert keys(connection) == {
            table.name: [column.name for column in table.primary_key] for table in metadata.tables.values()}


def keys(connection: Connection) -> dict[str, list[str]]:
    rows = connection.exec_driver_sql(
        "SELECT c.relname, array_agg(a.attname ORDER BY array_position(i.indkey::int[], a.attnum::int))::text[] "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) "
        "WHERE i.indisprimary AND n.nspname = 'ai_trading' AND NOT c.relispartition GROUP BY 1").all()
    return {name: list(columns) for name, columns in rows if name != "alembic_version"}


def test_every_table_is_described_and_months_are_partitions(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT relname, relkind::text, obj_description(oid) FROM pg_class WHERE relnamespace = "
            "'ai_trading'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'alembic_version'").all()
    assert {name for name, _, _ in rows} == {table.name for table in metadata.tables.values()}
    assert [name for name, _, description in rows if not description] == []
    assert {name for name, kind, _ in rows if kind == "p"} == MONTHLY


def test_migrating_at_once_and_again_changes_nothing(new_database: Callable[..., str]) -> None:
    url = new_database(migrated=False)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.upgrade, [url] * 4))
    migrate.upgrade(url)
    store = Warehouse(url, "unused")
    with store.begin() as connection:
        heads = connection.exec_driver_sql("SELECT version_num FROM ai_trading.alembic_version").scalars().all()
    store.close()
    assert heads == ScriptDirectory(str(migrate.MIGRATIONS)).get_heads()


def test_months_are_made_once_by_many(warehouse: Warehouse) -> None:
    def make(_: int) -> int:
        with warehouse.begin() as connection:
            return connection.exec_driver_sql(
                "SELECT ensure_months('bars', ARRAY['2024-01-31', '2024-02-01', '2024-02-29', '2025-01-01']::date[])"
            ).scalar_one()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(make, range(6))) == [0] * 5 + [3]
    with warehouse.begin() as connection:
        bounds = connection.exec_driver_sql(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
            "WHERE inhparent = 'bars'::regclass ORDER BY 1").all()
    assert bounds[0] == (
        "bars_2024_01", "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00')")
    assert [name for name, _ in bounds] == ["bars_2024_01", "bars_2024_02", "bars_2025_01"]


def test_no_server_is_named_with_a_remedy() -> None:
    with pytest.raises(StoreUnavailable, match="tidemark status"):
        migrate.upgrade("postgresql+psycopg2://nobody:x@127.0.0.1:1/none")


def test_missing_migrations_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path / "none")
    with pytest.raises(ConfigError, match="no migrations in"):
        migrate.upgrade("postgresql+psycopg2://nobody:x@127.0.0.1:1/none")


@pytest.mark.parametrize(("name", "expected"), [
    ("bars_2024_01", True), ("bars", False), ("loads_2024", False), (None, False)])
def test_partitions_are_known_by_name(name: str | None, expected: bool) -> None:
    assert migrate.partition(name) is expected
