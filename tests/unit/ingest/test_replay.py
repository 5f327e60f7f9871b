"""Refused rows get a second chance, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.records import Refused, WriteCounts
from pipelines.errors import StoreError
from pipelines.ingest import checks
from pipelines.ingest.replay import replay
from pipelines.store import asof, quarantine

T = datetime(2024, 3, 1, 10, tzinfo=UTC)
AT = datetime(2030, 1, 1, tzinfo=UTC)
BAR = {"symbol": "BTCUSDT", "interval": "1h", "event_time": T, "available_at": T + timedelta(hours=1), "open": 10.0,
       "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0, "source": "test"}


def refuse(warehouse, kind: Kind, *rows: dict[str, object]) -> list[int]:
    """Have the checks refuse these rows; their numbers in quarantine."""
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=None if name in (
        "event_time", "available_at") else object) for name in rows[0]})
    _, refused = checks.check(kind, frame, "test")
    assert len(refused) == len(rows)
    quarantine.add(warehouse, refused, recorded_at=AT)
    return sorted(quarantine.list_rows(warehouse)["id"].astype(int))


def test_a_row_that_is_bad_still_stays(warehouse):
    ids = refuse(warehouse, Kind.BARS, {**BAR, "close": np.nan})
    report = replay(warehouse, at=AT)
    assert (report.replayed, report.refused) == ((), {ids[0]: "close is missing"})
    assert len(quarantine.list_rows(warehouse, waiting=True)) == 1


def test_after_the_checks_were_mended(warehouse, monkeypatch):
    old = pd.Timestamp("1975-01-01T00:00Z")
    ids = refuse(warehouse, Kind.BARS, {**BAR, "event_time": old, "available_at": old + pd.Timedelta(hours=1)})
    monkeypatch.setattr(checks, "EARLIEST", pd.Timestamp("1970-01-01", tz="UTC"))
    report = replay(warehouse, at=AT)
    assert report.replayed == tuple(ids)
    assert report.counts == {Kind.BARS: WriteCounts(1, 0, 0)}
    stored = asof.read(warehouse, Kind.BARS, as_of=AT)
    assert list(stored["event_time"]) == [old]
    assert list(stored["available_at"]) == [old + pd.Timedelta(hours=1)]
    assert quarantine.get(warehouse, ids[0])["replayed_at"] == AT


def test_replayed_rows_are_not_replayed_again(warehouse):
    ids = refuse(warehouse, Kind.BARS, {**BAR, "close": np.nan}, {**BAR, "symbol": "ETHUSDT", "close": 99.0})
    first = replay(warehouse, ids[:1], at=AT, patch={"close": 11.5})
    assert first.replayed == (ids[0],)
    assert list(asof.read(warehouse, Kind.BARS, as_of=AT)["close"]) == [11.5]
    assert replay(warehouse, at=AT).replayed == ()
    again = replay(warehouse, ids[:1], at=AT, patch={"close": 11.5})
    assert again.counts == {Kind.BARS: WriteCounts(0, 0, 1)}


def test_rows_of_all_kinds_come_back_as_they_were(warehouse):
    known = T + timedelta(hours=1)
    rows = {
        Kind.BARS: {**BAR, "low": -9.0},
        Kind.DOCUMENTS: {"source": "s", "doc_id": "d", "event_time": T, "available_at": known, "kind": "post",
                         "title": None, "text": "so \x00 happy", "url": None, "engagement": 2.0},
        Kind.INDICATORS: {"name": "vix", "event_time": T, "available_at": known, "value": np.inf, "source": "s",
                          "components": {"a": 1}},
        Kind.TRADES: {"source": "s", "trade_id": "1", "event_time": T, "available_at": known, "symbol": "X",
                      "side": "buy", "entry_price": 1.0, "size": 1.0, "closed_at": pd.Timestamp(known),
                      "exit_price": 2.0, "profit_ratio": 1.0, "exit_reason": "r"}}
    patches = {Kind.BARS: {"low": 9.0}, Kind.DOCUMENTS: {"text": "so happy"}, Kind.INDICATORS: {"value": 17.0},
               Kind.TRADES: {"side": "long"}}
    for kind, row in rows.items():
        frame = pd.DataFrame([row]).astype({"closed_at": "datetime64[us, UTC]"} if kind is Kind.TRADES else {})
        _, refused = checks.check(kind, frame, "test")
        quarantine.add(warehouse, refused, recorded_at=AT)
        number = int(quarantine.list_rows(warehouse, kind=kind.value)["id"].iloc[0])
        assert replay(warehouse, [number], at=AT, patch=patches[kind]).refused == {}
        stored = asof.read(warehouse, kind, as_of=AT).iloc[0]
        for name, value in {**row, **patches[kind]}.items():
            assert pd.isna(stored[name]) if value is None else stored[name] == value, name


@pytest.mark.parametrize(("payload", "reason"), [
    ({"line": "what?", "file": "x.csv"},
     "no row could be read from it: mend the source and ingest its window again"),
    ({**BAR, "event_time": "soon", "available_at": None}, "event_time 'soon' is not a time"),
])
def test_what_cannot_be_a_row_says_so(warehouse, payload, reason):
    quarantine.add(warehouse, [Refused("test", "bars", "unreadable", {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in payload.items()})],
        recorded_at=AT)
    assert list(replay(warehouse, at=AT).refused.values()) == [reason]


def test_an_unreadable_time_can_be_patched(warehouse):
    quarantine.add(warehouse, [Refused("test", "bars", "?", {
        **BAR, "event_time": "soon", "available_at": None})], recorded_at=AT)
    report = replay(warehouse, at=AT, patch={"event_time": T.isoformat(),
                                             "available_at": (T + timedelta(hours=2)).isoformat()})
    assert len(report.replayed) == 1
    assert list(asof.read(warehouse, Kind.BARS, as_of=AT)["available_at"]) == [T + timedelta(hours=2)]


def test_an_unknown_number(warehouse):
    with pytest.raises(StoreError, match="no refused row 99"):
        replay(warehouse, [99], at=AT)


def test_nothing_waits(warehouse):
    assert replay(warehouse, at=AT).replayed == ()
