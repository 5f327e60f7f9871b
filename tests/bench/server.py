"""One embedded PostgreSQL for all benches of the store, and the frames that they write."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from infra.local.postgres import EmbeddedPostgres
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.store import Warehouse, frames
from pipelines.store.migrate import upgrade

COLUMNS = list(SCHEMAS[Kind.BARS].columns)
#: What the peers write to: no partitions, else the columns, key, index and checks of the table of bars.
PEER = "ai_trading.peer_bars"


@lru_cache(maxsize=1)
def warehouse() -> Warehouse:
    directory = tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True)
    home = Path(directory.name)
    server = EmbeddedPostgres(home / "pgdata", None, home / "password")
    process = server.start()
    server.wait_ready(60, process)
    server.create_databases(["bench"])
    upgrade(server.url("bench"))
    store = Warehouse(server.url("bench"), str(home / "snapshots"))

    def close() -> None:
        store.close()
        server.stop(10)
        process.wait()
        directory.cleanup()

    atexit.register(close)
    return store


def sql(*statements: str) -> None:
    with warehouse().engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def bars(symbols: int, count: int, *, prefix: str = "S", freq: str = "min") -> pd.DataFrame:
    """(symbols x count) random bars from 2024-01-01 on; up to 44,640 minutes of a symbol are one month."""
    rng = np.random.default_rng(0)
    length = symbols * count
    opened = pd.date_range("2024-01-01", periods=count, freq=freq, tz="UTC").as_unit("us")
    price = 100 * np.exp(rng.normal(0, 0.001, length).cumsum())
    return pd.DataFrame({
        "symbol": np.repeat([f"{prefix}{number}" for number in range(symbols)], count), "interval": "1m",
        "event_time": np.tile(opened, symbols), "available_at": np.tile(opened + pd.Timedelta("1min"), symbols),
        "open": price, "high": price * 1.01, "low": price * 0.99, "close": price,
        "volume": rng.uniform(1, 2, length), "source": "bench"})


def no_bars() -> None:
    """Drop every partition: the next month is a new one."""
    with warehouse().engine.begin() as connection:
        for name in connection.exec_driver_sql(
                "SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'ai_trading.bars'::regclass").scalars().all():
            connection.exec_driver_sql(f"DROP TABLE {name}")


def no_peer() -> None:
    sql(f"DROP TABLE IF EXISTS {PEER}")


def keyed_peer() -> None:
    """The peer's table, empty, with key and index."""
    sql(f"DROP TABLE IF EXISTS {PEER}", f"CREATE TABLE {PEER} (LIKE ai_trading.bars INCLUDING ALL)",
        f"ALTER TABLE {PEER} ALTER revision SET DEFAULT 1")


def same_bars() -> bool:
    """Whether both tables hold the same rows, to the last bit."""
    names = frames.quoted(COLUMNS)
    with warehouse().engine.begin() as connection:
        return not connection.exec_driver_sql(
            f"SELECT count(*) FROM (SELECT {names} FROM ai_trading.bars EXCEPT ALL SELECT {names} FROM {PEER}) x"
        ).scalar_one() and counted("ai_trading.bars")() == counted(PEER)()


def counted(table: str) -> Callable[[], int]:
    def count() -> int:
        with warehouse().engine.begin() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    return count
