"""Aggregates of the hourly grid come along and say what was assumed when they were made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import text

from pipelines.errors import StoreError
from pipelines.store import Warehouse, derived, migrate, tables, upsert
from tests.unit.store.test_warehouse import aggregates


def test_hourly_rows_stay_and_new_rows_carry_all_columns(new_database: Callable[..., str]) -> None:
    url = new_database(migrated=False)
    store = Warehouse(url, "unused")
    with store.begin() as connection:
        connection.execute(text("CREATE SCHEMA ai_trading"))
        for script in (path for revision in ("0001", "0002", "0003")
                       for path in sorted((migrate.MIGRATIONS / "sql" / revision).glob("*.sql"))):
            connection.exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))
        connection.execute(text("CREATE TABLE ai_trading.alembic_version (version_num varchar(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO ai_trading.alembic_version VALUES ('0003')"))
        upsert.upsert(connection, tables.sentiment_aggregates, aggregates(3))
    migrate.upgrade(url)
    new = aggregates(1, symbol="ETH").assign(duplicates=2, weighted=0.3, confidence=0.4, coverage=0.5)
    with store.begin() as connection:
        upsert.upsert(connection, tables.sentiment_aggregates, new)
    columns = ["duplicates", "weighted", "confidence", "coverage"]
    found = derived.read(store, tables.sentiment_aggregates, columns=columns)
    np.testing.assert_array_equal(found.to_numpy(dtype=float), [[0, np.nan, 0, 1]] * 3 + [[2, 0.3, 0.4, 0.5]])
    with pytest.raises(StoreError, match="confidence"), store.begin() as connection:
        upsert.upsert(connection, tables.sentiment_aggregates, new.assign(confidence=1.5))
    store.close()
