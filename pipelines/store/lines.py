"""Every configuration that a line ever had."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from pipelines.errors import StoreError
from pipelines.store import frames
from pipelines.store.tables import line_configs


def record_version(connection: Connection, line_name: str, toml_text: str, *, at: datetime) -> int:
    """The number of this configuration of the line: a known text keeps its number, a new one gets the next."""
    digest = hashlib.sha256(toml_text.encode()).hexdigest()
    frames.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))",
               name=f"tidemark:line:{line_name}")
    mine = line_configs.c.line == line_name
    known = connection.execute(
        select(line_configs.c.version).where(mine, line_configs.c.digest == digest)).scalar_one_or_none()
    if known is not None:
        return int(known)
    version = int(connection.execute(select(func.coalesce(func.max(line_configs.c.version), 0) + 1).where(mine))
                  .scalar_one())
    connection.execute(insert(line_configs).values(
        line=line_name, version=version, digest=digest, toml=toml_text, recorded_at=at))
    return version


def text_of(connection: Connection, line_name: str, version: int) -> str:
    """The TOML of a recorded configuration.

    Raises:
        StoreError: the line has no such configuration.
    """
    text = connection.execute(select(line_configs.c.toml).where(
        line_configs.c.line == line_name, line_configs.c.version == version)).scalar_one_or_none()
    if text is None:
        raise StoreError(f"line {line_name} has no configuration {version}; its versions are in "
                         "ai_trading.line_configs")
    return str(text)
