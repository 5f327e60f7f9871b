"""Writing what is known already, half of it unchanged, beside psycopg2's ``execute_values`` on the same server.

The peer sends ``INSERT ... ON CONFLICT (key) DO UPDATE SET`` every value, 1,000 rows at a time, to a table with the
same columns, key and indexes; its rows are turned into tuples beforehand, untimed. Both tables are vacuumed before
each run.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from psycopg2.extras import execute_values

from pipelines.contracts.columns import Kind
from pipelines.store import facts, frames, tables, upsert
from tests.bench import server
from tests.bench.harness import Case
from tests.bench.server import PEER

ROWS, HOURS = 100_000, 1_250
KEY = ["symbol", "window", "at"]
TABLE = "ai_trading.sentiment_aggregates"


def cases() -> list[Case]:
    return [_upsert(), _revise()]


def _aggregates() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    series = ROWS // HOURS
    at = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC").as_unit("us")
    counts = {name: rng.integers(0, 50, ROWS) for name in ("documents", "bullish", "bearish", "neutral")}
    return pd.DataFrame({
        "symbol": np.repeat([f"S{number // 4}" for number in range(series)], HOURS),
        "window": np.repeat([["1h", "4h", "1d", "1w"][number % 4] for number in range(series)], HOURS),
        "at": np.tile(at, series), "available_at": np.tile(at, series), **counts,
        "mean": rng.normal(size=ROWS), "dispersion": rng.uniform(size=ROWS)})


def _half(frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    chosen = np.zeros(len(frame), dtype=bool)
    chosen[np.random.default_rng(2).permutation(len(frame))[:len(frame) // 2]] = True
    return chosen


def _execute_values(frame: pd.DataFrame, key: list[str], table: str) -> tuple[str, list[tuple[object, ...]]]:
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in frame.columns if name not in key)
    times = {name: object for name in frame.columns if str(frame[name].dtype).startswith("datetime64")}
    return (f"INSERT INTO {table} ({frames.quoted(frame.columns)}) VALUES %s ON CONFLICT ({frames.quoted(key)}) "
            f"DO UPDATE SET {changes}", list(frame.astype(times).itertuples(index=False, name=None)))


def _send(statement: str, tuples: list[tuple[object, ...]]) -> None:
    with server.warehouse().engine.begin() as connection, connection.connection.cursor() as cursor:
        execute_values(cursor, statement, tuples, page_size=1_000)


def _vacuum(table: str) -> None:
    autocommit = server.warehouse().engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.exec_driver_sql(f"VACUUM ANALYZE {table}")


def _same(ours: str, peer: str, names: str) -> bool:
    with server.warehouse().engine.begin() as connection:
        differ = f"SELECT count(*) FROM (SELECT {names} FROM {{}} EXCEPT ALL SELECT {names} FROM {{}}) x"
        return not any(connection.exec_driver_sql(differ.format(*pair)).scalar_one()
                       for pair in ((ours, peer), (peer, ours)))


def _upsert() -> Case:
    """A derived table: ``store.upsert`` has to leave the very table that the peer leaves."""
    warehouse, before, peer = server.warehouse(), _aggregates(), "ai_trading.peer_aggregates"
    after = before.assign(mean=before["mean"] + _half(before))
    statement, tuples = _execute_values(after, KEY, peer)

    def write(frame: pd.DataFrame) -> tuple[int, int]:
        with warehouse.begin() as connection:
            return upsert.upsert(connection, tables.sentiment_aggregates, frame)

    def fresh() -> None:
        server.sql(f"TRUNCATE {TABLE}")
        write(before)
        _vacuum(TABLE)

    def fresh_peer() -> None:
        server.sql(f"DROP TABLE IF EXISTS {peer}", f"CREATE TABLE {peer} (LIKE {TABLE} INCLUDING ALL)")
        _send(*_execute_values(before, KEY, peer))
        _vacuum(peer)

    def same(counts: tuple[int, int], _: None) -> bool:
        return counts == (0, ROWS // 2) and _same(TABLE, peer, frames.quoted(before.columns))

    return Case("upsert_vs_execute_values", lambda: write(after), lambda: _send(statement, tuples), ROWS, "rows", same,
                fresh, 3, fresh_peer)


def _revise() -> Case:
    """Bars, half of them corrected a day later. ``facts.write`` keeps both versions; what is in force afterwards has to
    be what the peer, which overwrites, is left with."""
    warehouse, before = server.warehouse(), server.bars(5, ROWS // 5)
    late = pd.to_timedelta(_half(before).astype(float), unit="D").as_unit("us")
    after = before.assign(close=before["close"] + 0.001 * _half(before), available_at=before["available_at"] + late)
    key = ["symbol", "interval", "event_time", "revision"]
    statement, tuples = _execute_values(after.assign(revision=1), key, PEER)

    def fresh() -> None:
        server.no_bars()
        facts.write(warehouse, Kind.BARS, before)
        _vacuum("ai_trading.bars")

    def fresh_peer() -> None:
        server.keyed_peer()
        _send(*_execute_values(before.assign(revision=1), key, PEER))
        _vacuum(PEER)

    def revise() -> int:
        return facts.write(warehouse, Kind.BARS, after).revised

    def same(revised: int, _: None) -> bool:
        latest = ('(SELECT DISTINCT ON (symbol, "interval", event_time) * FROM ai_trading.bars '
                  'ORDER BY symbol, "interval", event_time, available_at DESC, revision DESC)')
        return revised == ROWS // 2 and _same(f"{latest} t", f"{PEER} t", frames.quoted(server.COLUMNS))

    return Case("revise_vs_execute_values", revise, lambda: _send(statement, tuples), ROWS, "rows", same, fresh, 3,
                fresh_peer)
