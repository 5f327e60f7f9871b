"""Loading and reading bars, beside what pandas offers out of the box, on the same server."""

from __future__ import annotations

import atexit
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from infra.local.postgres import EmbeddedPostgres
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.store import Warehouse, asof, facts
from pipelines.store.migrate import upgrade
from tests.bench.harness import Case

ROWS = 20_000


def _warehouse() -> Warehouse:
    directory = tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True)
    home = Path(directory.name)
    server = EmbeddedPostgres(home / "pgdata", None, home / "password")
    process = server.start()
    server.wait_ready(60, process)
    server.create_databases(["bench"])
    upgrade(server.url("bench"))
    warehouse = Warehouse(server.url("bench"), str(home / "snapshots"))

    def close() -> None:
        warehouse.close()
        server.stop(10)
        process.wait()
        directory.cleanup()

    atexit.register(close)
    return warehouse


def _bars() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    symbols, hours = 5, ROWS // 5
    opened = pd.date_range("2023-01-01", periods=hours, freq="h", tz="UTC").as_unit("us")
    price = 100 * np.exp(generator.normal(0, 0.01, ROWS).cumsum())
    return pd.DataFrame({
        "symbol": np.repeat([f"S{number}" for number in range(symbols)], hours), "interval": "1h",
        "event_time": np.tile(opened, symbols), "available_at": np.tile(opened + pd.Timedelta(hours=1), symbols),
        "open": price, "high": price * 1.01, "low": price * 0.99, "close": price,
        "volume": generator.uniform(1, 2, ROWS), "source": "bench"})


def cases() -> list[Case]:
    warehouse, bars = _warehouse(), _bars()
    engine = warehouse.engine
    columns = list(SCHEMAS[Kind.BARS].columns)

    def clear() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("TRUNCATE ai_trading.bars"))
            connection.execute(sa.text("DROP TABLE IF EXISTS ai_trading.plain_bars"))

    def load() -> int:
        return facts.write(warehouse, Kind.BARS, bars).inserted

    def to_sql() -> int:
        bars.to_sql("plain_bars", engine, schema="ai_trading", index=False)
        with engine.begin() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM ai_trading.plain_bars")).scalar_one())

    def refill() -> None:
        if not getattr(refill, "done", False):
            clear()
            load()
            refill.done = True  # type: ignore[attr-defined]

    def read() -> pd.DataFrame:
        return asof.read(warehouse, Kind.BARS, as_of=datetime(2030, 1, 1, tzinfo=UTC) + timedelta())

    def read_sql() -> pd.DataFrame:
        return pd.read_sql(
            'SELECT DISTINCT ON (symbol, "interval", event_time) * FROM ai_trading.bars '
            'ORDER BY symbol, "interval", event_time, revision DESC', engine)

    def same_frames(ours: pd.DataFrame, peer: pd.DataFrame) -> bool:
        keys = ["symbol", "event_time"]
        left, right = (frame[columns].sort_values(keys).reset_index(drop=True) for frame in (ours, peer))
        return all((left[name].to_numpy() == right[name].to_numpy()).all() for name in columns)

    return [
        Case("load_vs_to_sql", load, to_sql, ROWS, "rows", lambda ours, peer: ours == peer == ROWS, clear),
        Case("asof_vs_read_sql", read, read_sql, ROWS, "rows", same_frames, refill),
    ]
