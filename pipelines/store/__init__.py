"""The warehouse: facts as of any time, snapshots by content, and the ledger."""

from __future__ import annotations

from pipelines.store import (
    asof,
    columns,
    derived,
    events,
    facts,
    gaps,
    ledger,
    lines,
    loads,
    quarantine,
    snapshots,
    tables,
    upsert,
)
from pipelines.store.warehouse import Warehouse

__all__ = ["Warehouse", "asof", "columns", "derived", "events", "facts", "gaps", "ledger", "lines", "loads",
           "quarantine", "snapshots", "tables", "upsert"]
