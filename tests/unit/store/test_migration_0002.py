"""A warehouse of the first release, with months of predictions in it, comes along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import text

from pipelines.errors import StoreError
from pipelines.store import Warehouse, derived, migrate, tables, upsert

START = datetime(2024, 1, 20, tzinfo=UTC)


def predictions(role: str, version: int) -> pd.DataFrame:
    times = pd.to_datetime([START, START + timedelta(days=20)], utc=True)  # two months, two partitions
    return pd.DataFrame({
        "line": "direction_1h", "version": version, "symbol": "BTC", "event_time": times, "role": role,
        "available_at": times + timedelta(hours=1), "label_end": times + timedelta(hours=2), "probability": 0.5,
        "feature_digest": "d"})


def write(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    with warehouse.begin() as connection:
        upsert.upsert(connection, tables.predictions, frame, update=False)


def test_predictions_of_the_first_release_stay_and_take_the_new_role(new_database: Callable[..., str]) -> None:
    url = new_database(migrated=False)
    first = Warehouse(url, "unused")
    with first.begin() as connection:
        connection.execute(text("CREATE SCHEMA ai_trading"))
        for script in sorted((migrate.MIGRATIONS / "sql" / "0001").glob("*.sql")):
            connection.exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))
        connection.execute(text("CREATE TABLE ai_trading.alembic_version (version_num varchar(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO ai_trading.alembic_version VALUES ('0001')"))
        connection.execute(text(
            "INSERT INTO ai_trading.candidates (line, version, run_id, family, as_of, trained_through, "
            "snapshot_digest, evidence_digest, trials, registered_at) SELECT 'direction_1h', number, 'r', 'lightgbm', "
            ":at, :at, 's', 'e', 1, :at FROM generate_series(1, 3) AS number"), {"at": START})
    write(first, predictions("champion", 1))
    with pytest.raises(StoreError, match="predictions_role_check"):
        write(first, predictions("predecessor", 2))
    migrate.upgrade(url)
    write(first, predictions("predecessor", 2))
    with pytest.raises(StoreError, match="predictions_role_check"):
        write(first, predictions("jester", 3))
    found = derived.read(first, tables.predictions)
    first.close()
    assert sorted(found["role"]) == ["champion", "champion", "predecessor", "predecessor"]
