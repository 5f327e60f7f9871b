"""Ingest into a real warehouse: twice is once, days make up the whole, nothing refused gets lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from sqlalchemy import func, select

from pipelines.config import Simulator
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.records import Refused, WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.run import datasets, run
from pipelines.ingest.simulator import Market, SimulatorProvider
from pipelines.store import asof, facts, loads, quarantine
from pipelines.store import tables as warehouse_tables

if TYPE_CHECKING:
    from pipelines.store import Warehouse

WORLD = Simulator(days=10, dirt=0.1, symbols=2)
START = WORLD.start
ALL = Window(START, START + timedelta(days=13))
AT = datetime(2030, 1, 1, tzinfo=UTC)
KINDS = (Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS)


@pytest.fixture
def provider() -> SimulatorProvider:
    return SimulatorProvider(WORLD)


def everything(warehouse: Warehouse) -> dict[Kind, pd.DataFrame]:
    """All versions of all facts, without the order of their arrival."""
    return {kind: asof.read(warehouse, kind, as_of=AT, revisions="all") for kind in KINDS}


def count(warehouse: Warehouse, table: str) -> int:
    with warehouse.begin() as connection:
        return connection.execute(select(func.count()).select_from(getattr(warehouse_tables, table))).scalar_one()


def test_twice_changes_nothing(warehouse, provider):
    first = run(warehouse, provider, ALL, at=AT)
    stored, refused, marks = everything(warehouse), count(warehouse, "quarantine"), count(warehouse, "loads")
    again = run(warehouse, provider, ALL, at=AT + timedelta(days=1))
    assert again.written == 0
    assert all(counts == WriteCounts(0, 0, counts.unchanged) for counts in again.counts.values())
    assert (again.refused, again.newly_refused) == (first.refused, 0)
    assert first.refused == first.newly_refused == refused == count(warehouse, "quarantine")
    assert count(warehouse, "loads") == marks == len(KINDS)
    for kind, frame in everything(warehouse).items():
        pd.testing.assert_frame_equal(frame, stored[kind])


def test_the_report_counts_what_is_there(warehouse, provider):
    report = run(warehouse, provider, ALL, at=AT)
    assert report.source == "simulator"
    for kind in KINDS:
        stored = asof.read(warehouse, kind, as_of=AT, revisions="all")
        assert report.counts[kind].inserted + report.counts[kind].revised == len(stored)
        assert (stored["revision"] > 1).sum() == report.counts[kind].revised > 0
    malformed = (Market(WORLD).truth.dirt["category"] == "malformed").sum()
    assert report.refused == malformed > 20


def test_days_make_up_the_whole(warehouse, provider, new_database, tmp_path):
    from pipelines.store import Warehouse

    run(warehouse, provider, ALL, at=AT)
    other = Warehouse(new_database(), str(tmp_path / "other"))
    try:
        for day in ALL.days():
            run(other, provider, day, at=AT)
        whole, parts = everything(warehouse), everything(other)
        for kind in KINDS:
            pd.testing.assert_frame_equal(whole[kind], parts[kind])
        assert count(warehouse, "quarantine") == count(other, "quarantine")
        with other.begin() as connection:
            assert all(loads.covered(connection, kind.value, ALL) for kind in KINDS)
    finally:
        other.close()


def test_days_in_any_order_end_in_the_same_facts(warehouse, provider, new_database, tmp_path):
    """A backfill may load a later day first: what was known when stays the same."""
    from pipelines.store import Warehouse

    run(warehouse, provider, ALL, kinds=[Kind.BARS], at=AT)
    other = Warehouse(new_database(), str(tmp_path / "other"))
    try:
        for day in reversed(list(ALL.days())):
            run(other, provider, day, kinds=[Kind.BARS], at=AT)
        for hours in (30, 77, 150, 240):
            as_of = START + timedelta(hours=hours)
            views = [asof.read(store, Kind.BARS, as_of=as_of).drop(columns="revision") for store in (warehouse, other)]
            values = [view.drop(columns="available_at") for view in views]
            pd.testing.assert_frame_equal(*values)
    finally:
        other.close()


def test_what_is_known_as_of_a_time_is_the_truth_of_that_time(warehouse, provider):
    run(warehouse, provider, ALL, at=AT)
    bars = asof.read(warehouse, Kind.BARS, as_of=AT)
    truth = Market(WORLD).truth.bars.sort_values(["symbol", "event_time"], ignore_index=True)
    columns = ["symbol", "event_time", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(bars.sort_values(["symbol", "event_time"], ignore_index=True)[columns],
                                  truth[columns], check_dtype=False)
    early = asof.read(warehouse, Kind.BARS, as_of=START + timedelta(days=5))
    assert early["available_at"].max() <= START + timedelta(days=5)


def test_kinds_and_symbols_limit_what_is_done(warehouse, provider):
    report = run(warehouse, provider, ALL, kinds=[Kind.BARS], symbols=["BTCUSDT"], at=AT)
    assert set(report.counts) == {Kind.BARS}
    assert set(asof.read(warehouse, Kind.BARS, as_of=AT)["symbol"]) == {"BTCUSDT"}
    with warehouse.begin() as connection:
        assert loads.covered(connection, "bars/BTCUSDT", ALL)
        assert not loads.covered(connection, "bars", ALL)


def test_a_symbol_that_the_provider_has_not_is_refused(warehouse, provider):
    with pytest.raises(ConfigError, match="simulator has no bars of DOGEUSDT; it has: BTCUSDT, ETHUSDT"):
        run(warehouse, provider, ALL, symbols=["BTCUSDT", "DOGEUSDT"], at=AT)


def test_nobody_waits_for_a_kind_that_the_provider_has_not(warehouse, provider):
    report = run(warehouse, provider, ALL, kinds=[Kind.TRADES], at=AT)
    assert report.counts == {Kind.TRADES: WriteCounts()}
    with warehouse.begin() as connection:
        assert loads.covered(connection, "trades", ALL)


@pytest.mark.parametrize(("kind", "symbols", "expected"), [
    (Kind.BARS, None, ["bars"]), (Kind.BARS, ["B", "A", "A"], ["bars/A", "bars/B"]),
    (Kind.TRADES, ["A"], ["trades/A"]), (Kind.DOCUMENTS, ["A"], ["documents"])])
def test_names_of_loads(kind, symbols, expected):
    assert datasets(kind, symbols) == expected


class Failing(SimulatorProvider):
    """Delivers one refused row, and facts that the store cannot take."""

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        batch = super().fetch(window, [Kind.BARS], symbols)
        return Batch(batch.frames, [Refused("simulator", "bars", "unreadable", {"line": "?"})])


def test_a_broken_off_ingest_has_not_marked_its_window(warehouse, monkeypatch):
    def fall(*_: object, **__: object) -> WriteCounts:
        raise RuntimeError("pulled the plug")

    day = Window.day("2024-01-02")
    with monkeypatch.context() as patch:
        patch.setattr(facts, "write", fall)
        with pytest.raises(RuntimeError):
            run(warehouse, Failing(WORLD), day, kinds=[Kind.BARS], at=AT)
    assert count(warehouse, "loads") == 0
    kept = count(warehouse, "quarantine")
    assert kept >= 1
    report = run(warehouse, Failing(WORLD), day, kinds=[Kind.BARS], at=AT)
    assert report.newly_refused == 0
    assert count(warehouse, "quarantine") == kept
    assert len(quarantine.list_rows(warehouse, waiting=True)) == kept
