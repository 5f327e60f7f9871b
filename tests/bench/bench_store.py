"""Loading and reading bars, beside what pandas offers out of the box, on the same server.

``to_sql`` is called with its defaults, on the project's engine (psycopg2: SQLAlchemy sends 1,000 rows per INSERT), and
appends to a table with the same columns, primary key, index and checks (``..._bare``: to one that it makes itself,
without any). The rows are minute bars of one month.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.store import asof, binary, facts, frames, tables
from tests.bench import server
from tests.bench.harness import Case
from tests.bench.server import COLUMNS, PEER

SCHEMA, NAME = PEER.split(".")


def cases() -> list[Case]:
    return [
        _load("load_vs_to_sql", server.bars(5, 40_000), runs=3),
        _load("load_20k_vs_to_sql", server.bars(5, 4_000)),
        _load("load_vs_to_sql_bare", server.bars(5, 4_000), bare=True),
        _load("load_more_vs_to_sql", server.bars(5, 10_000), others=server.bars(5, 10_000, prefix="Z"), runs=3),
        _copy_floor(server.bars(5, 40_000)),
        _read(server.bars(5, 4_000, freq="h")),
    ]


def _load(name: str, bars: pd.DataFrame, *, bare: bool = False, others: pd.DataFrame | None = None,
          runs: int = 5) -> Case:
    """Into a month that is not there yet, or (``others``) one that holds other symbols."""
    warehouse = server.warehouse()

    def fresh() -> None:
        server.no_bars()
        if others is not None:
            facts.write(warehouse, Kind.BARS, others)

    def fresh_peer() -> None:
        server.no_peer() if bare else server.keyed_peer()
        if others is not None:
            server.sql(f"INSERT INTO {PEER} SELECT * FROM ai_trading.bars WHERE symbol LIKE 'Z%%'")

    def load() -> int:
        return facts.write(warehouse, Kind.BARS, bars).inserted

    def to_sql() -> int:
        bars.to_sql(NAME, warehouse.engine, schema=SCHEMA, index=False, if_exists="fail" if bare else "append")
        return len(bars)

    return Case(name, load, to_sql, len(bars), "rows",
                lambda ours, peer: ours == peer and server.same_bars(), fresh, runs, fresh_peer)


def _copy_floor(bars: pd.DataFrame) -> Case:
    """The peer is the floor: one COPY of the same rows, encoded beforehand, into a table without key, index, checks."""
    warehouse = server.warehouse()
    rows = frames.to_arrow(bars, [tables.bars.c[name] for name in COLUMNS])
    stream = binary.Stream(rows, [tables.bars.c[name] for name in COLUMNS])
    encoded = b"".join(iter(stream.read, b""))

    def bare() -> None:
        server.sql(f"DROP TABLE IF EXISTS {PEER}", f"CREATE TABLE {PEER} AS SELECT {frames.quoted(COLUMNS)} "
                                                   "FROM ai_trading.bars WITH NO DATA")

    def copy() -> int:
        with warehouse.engine.begin() as connection:
            connection.connection.cursor().copy_expert(
                f"COPY {PEER} ({frames.quoted(COLUMNS)}) FROM STDIN WITH (FORMAT binary)", io.BytesIO(encoded),
                binary.READ_SIZE)
        return len(bars)

    return Case("copy_floor", lambda: facts.write(warehouse, Kind.BARS, bars).inserted, copy, len(bars), "rows",
                lambda ours, peer: ours == peer and server.same_bars(), server.no_bars, fresh_peer=bare)


def _read(bars: pd.DataFrame) -> Case:
    warehouse = server.warehouse()

    def refill() -> None:
        if not getattr(refill, "done", False):
            server.no_bars()
            facts.write(warehouse, Kind.BARS, bars)
            refill.done = True  # type: ignore[attr-defined]

    def read() -> pd.DataFrame:
        return asof.read(warehouse, Kind.BARS, as_of=datetime(2030, 1, 1, tzinfo=UTC))

    def read_sql() -> pd.DataFrame:
        return pd.read_sql(
            'SELECT DISTINCT ON (symbol, "interval", event_time) * FROM ai_trading.bars '
            'ORDER BY symbol, "interval", event_time, revision DESC', warehouse.engine)

    def same_frames(ours: pd.DataFrame, peer: pd.DataFrame) -> bool:
        keys = ["symbol", "event_time"]
        left, right = (frame[COLUMNS].sort_values(keys).reset_index(drop=True) for frame in (ours, peer))
        return all((left[name].to_numpy() == right[name].to_numpy()).all() for name in COLUMNS)

    return Case("asof_vs_read_sql", read, read_sql, len(bars), "rows", same_frames, refill)
