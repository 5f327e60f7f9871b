"""The monthly partitions (calendar months, UTC) of a table: which are there, and how a new one is loaded.

A month that is not there yet is built as a table of its own, without indexes; rows are copied into it, and attaching
it makes the indexes from sorted rows, which costs a fraction of keeping them row by row. Until the transaction ends
nobody else sees any of it, and what attaching locks (the parent, against other attaching only) is held for the time
of an index build and not while rows come in.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Table

from pipelines.store import frames
from pipelines.store.tables import SCHEMA

Month = np.datetime64


def of(event_time: pa.ChunkedArray) -> tuple[list[Month], np.ndarray[tuple[int], np.dtype[np.datetime64]]]:
    """The distinct months of times (UTC), in order, and the month of each."""
    month = event_time.to_numpy().astype("datetime64[M]")
    if month.min() == month.max():  # as nearly always
        return [month[0]], month
    return list(np.unique(month)), month


def lock(connection: Connection, table: Table, months: Iterable[Month]) -> None:
    """Until the end of the transaction nobody else writes facts of these months (in order: two writers wait for each
    other instead of blocking each other)."""
    for month in months:
        frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
                   name=f"tidemark:facts:{table.name}:{month}")


def missing(connection: Connection, table: Table, months: Iterable[Month]) -> list[Month]:
    """Which of these months have no partition. Ask after locking them."""
    by_name = {_name(table, month): month for month in months}
    # Not to_regclass: its cache does not see what was committed while we waited for a lock.
    there = frames.run(connection, "SELECT relname FROM pg_class WHERE relname = ANY(:names) "
                                   f"AND relnamespace = '{SCHEMA}'::regnamespace", names=list(by_name)).scalars().all()
    return [month for name, month in by_name.items() if name not in there]


def build(connection: Connection, table: Table, month: Month, rows: pa.Table) -> None:
    """Fill a table of its own with the rows, of distinct keys, of a locked month that is missing."""
    built = _built(table, month)  # the lock on the month makes it ours alone
    frames.run(connection, f"CREATE TABLE {built} (LIKE {SCHEMA}.{table.name} INCLUDING ALL EXCLUDING INDEXES)")
    frames.copy(connection, built, rows, [table.c[column] for column in rows.column_names])


def attach(connection: Connection, table: Table, month: Month) -> None:
    """Make what was built for the month its partition, with key and indexes."""
    built, name = _built(table, month), _name(table, month)
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
               name=f"tidemark:months:{table.name}")
    if missing(connection, table, [month]):
        frames.run(connection, f"ALTER TABLE {built} RENAME TO {name}")
        frames.run(connection, f"ALTER TABLE {SCHEMA}.{table.name} ATTACH PARTITION {SCHEMA}.{name} "
                               f"FOR VALUES FROM ('{month}-01 00:00+00') TO ('{month + 1}-01 00:00+00')")
    else:  # made meanwhile by who makes months ahead
        frames.run(connection, f"INSERT INTO {SCHEMA}.{table.name} SELECT * FROM {built}")
        frames.run(connection, f"DROP TABLE {built}")


def _name(table: Table, month: Month) -> str:
    return f"{table.name}_{str(month).replace('-', '_')}"


def _built(table: Table, month: Month) -> str:
    return f"{SCHEMA}.{_name(table, month)}_new"
