"""Bulk upsert: COPY into a staging table, then one INSERT ... ON CONFLICT."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection, Table

from pipelines.errors import ContractError
from pipelines.store import frames
from pipelines.store.tables import SCHEMA


def upsert(connection: Connection, table: Table, frame: pd.DataFrame, *, update: bool = True,
           conflict: tuple[str, ...] | None = None) -> tuple[int, int]:
    """Write the columns of ``frame`` that ``table`` has; rows that would change nothing are not touched.

    Args:
        update: change known rows (else they are left as they are).
        conflict: the unique columns that say which row is known; the primary key if left out.

    Returns:
        How many rows were inserted and how many changed.

    Raises:
        ContractError: a key column is missing or a key comes twice, an unknown column, a wrong type.
    """
    key = conflict or tuple(column.name for column in table.primary_key)
    unknown = [name for name in frame.columns if name not in table.c]
    if unknown or any(name not in frame.columns for name in key):
        raise ContractError(f"the frame for {table.name} has unknown columns {unknown}, or lacks one of {list(key)}; "
                            f"the table has {[column.name for column in table.c]}")
    if frame.empty:
        return 0, 0
    if (doubled := frame.duplicated(list(key))).any():
        raise ContractError(f"{int(doubled.sum())} keys come twice in the frame for {table.name}, the first is "
                            f"{frame.loc[doubled, list(key)].iloc[0].to_dict()}; keep one row per {key}")
    rows = frames.to_arrow(frame, [table.c[name] for name in frame.columns])
    if "event_time" in frame.columns:
        frames.ensure_months(connection, table, rows["event_time"])
    staging = frames.stage(connection, table, rows)
    names = frames.quoted(frame.columns)
    values = [name for name in frame.columns if name not in key]
    changing = 0
    action = "NOTHING"
    if update and values:
        differ = (f"ROW({frames.quoted(values, 't.')}) IS DISTINCT FROM "
                  f"ROW({{}})")
        same_key = " AND ".join(f't."{name}" = s."{name}"' for name in key)
        # Counted beforehand: a partitioned table cannot tell inserted from updated rows (no xmax in RETURNING).
        changing = frames.run(
            connection, f"SELECT count(*) FROM {staging} s JOIN {SCHEMA}.{table.name} t ON {same_key} "
                        f"WHERE {differ.format(frames.quoted(values, 's.'))}").scalar_one()
        assignments = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
        action = f"UPDATE SET {assignments} WHERE {differ.format(frames.quoted(values, 'excluded.'))}"
    # In key order, so that two writers of the same rows wait for each other instead of blocking each other.
    written = frames.run(
        connection, f"INSERT INTO {SCHEMA}.{table.name} AS t ({names}) SELECT {names} FROM {staging} "
                    f"ORDER BY {frames.quoted(key)} ON CONFLICT ({frames.quoted(key)}) DO {action}").rowcount
    frames.run(connection, f"DROP TABLE {staging}")
    changed = min(changing, written)
    return written - changed, changed
