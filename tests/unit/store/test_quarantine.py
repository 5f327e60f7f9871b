"""Nothing refused is lost, and nothing is kept twice."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.contracts.records import Refused
from pipelines.errors import StoreError
from pipelines.store import Warehouse, quarantine

AT = datetime(2024, 5, 1, tzinfo=UTC)
ROW = Refused("sim", "bars", "high below low", {"symbol": "BTC", "high": 1.0, "low": math.nan, "when": AT}, AT)


def test_a_refused_row_is_kept_once(warehouse: Warehouse) -> None:
    other = replace(ROW, payload={**ROW.payload, "high": 2.0})
    assert quarantine.add(warehouse, [ROW, ROW, other], recorded_at=AT) == 2
    assert quarantine.add(warehouse, [ROW], recorded_at=AT + timedelta(days=1)) == 0
    assert quarantine.add(warehouse, [replace(ROW, reason="no source")], recorded_at=AT) == 1
    assert quarantine.add(warehouse, [], recorded_at=AT) == 0
    assert len(quarantine.list_rows(warehouse)) == 3


def test_it_is_listed_shown_and_replayed(warehouse: Warehouse) -> None:
    quarantine.add(warehouse, [ROW, Refused("sim", "documents", "nul \x00", {"text": "a\x00b"})], recorded_at=AT)
    newest = quarantine.list_rows(warehouse, limit=1)
    assert newest["kind"].tolist() == ["documents"]
    assert newest["payload"].tolist() == [{"text": "a�b"}]
    assert newest["event_time"].isna().all()
    bars = quarantine.list_rows(warehouse, kind="bars", source="sim")
    row = quarantine.get(warehouse, int(bars["id"].iloc[0]))
    assert row["payload"] == {"symbol": "BTC", "high": 1.0, "low": None, "when": AT.isoformat()}
    assert (row["reason"], row["event_time"], row["replayed_at"]) == ("high below low", AT, None)

    assert quarantine.mark_replayed(warehouse, row["id"], AT) == 1
    assert quarantine.mark_replayed(warehouse, [row["id"]], AT + timedelta(days=1)) == 0
    assert quarantine.get(warehouse, row["id"])["replayed_at"] == AT
    assert quarantine.list_rows(warehouse, waiting=True)["kind"].tolist() == ["documents"]
    with pytest.raises(StoreError, match="no refused row 999"):
        quarantine.get(warehouse, 999)
