"""The dirt that was planted is the dirt that is found: exactly the broken rows are refused."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from pipelines.config import Simulator
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.window import Window
from pipelines.ingest.checks import examine
from pipelines.ingest.simulator import Market, SimulatorProvider

KEY = {Kind.BARS: "symbol", Kind.DOCUMENTS: "doc_id", Kind.INDICATORS: "name"}
DIRTY = Simulator(days=40, dirt=0.15)
EVERYTHING = Window(DIRTY.start, DIRTY.start + timedelta(days=60))


@pytest.mark.parametrize("kind", list(KEY))
def test_exactly_the_malformed_rows_are_refused(kind):
    batch = SimulatorProvider(DIRTY).fetch(EVERYTHING, [kind])
    checked = examine(kind, batch.frames[kind], "simulator")
    refused = [*checked.refused, *batch.refused]
    log = Market(DIRTY).truth.dirt.query("kind == @kind.value and category == 'malformed'")
    found = sorted((row.payload[KEY[kind]], row.payload["available_at"]) for row in refused)
    planted = sorted((key, at.isoformat()) for key, at in zip(log["key"], log["available_at"], strict=True))
    assert found == planted
    assert len(planted) > 2


@pytest.mark.parametrize("kind", list(KEY))
def test_what_remains_is_the_truth(kind):
    """The last version of every bar and indicator is the clean one; of documents the first is."""
    market = Market(DIRTY)
    clean = {Kind.BARS: market.truth.bars, Kind.DOCUMENTS: market.truth.documents,
             Kind.INDICATORS: market.truth.indicators}[kind]
    key = list(SCHEMAS[kind].key)
    checked = examine(kind, market.feed(kind).frame, "simulator").clean
    kept = checked.drop_duplicates(key, keep="first" if kind is Kind.DOCUMENTS else "last")
    values = [name for name in (*key, *SCHEMAS[kind].values) if name != "components"]
    found, expected = (frame[values].sort_values(key, ignore_index=True).astype({name: "str" for name in values if
                                                                                 frame[name].dtype == object})
                       for frame in (kept, clean))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_every_category_and_variant_occurs_at_its_rate():
    market = Market(DIRTY)
    log, bars = market.truth.dirt, market.truth.bars
    mine = log[log["kind"] == "bars"]
    assert len(mine) / len(bars) == pytest.approx(0.15, abs=0.02)
    shares = mine["category"].value_counts(normalize=True)
    assert shares["late"] == pytest.approx(0.30, abs=0.05)
    assert shares["malformed"] == pytest.approx(0.20, abs=0.05)
    assert set(mine["variant"]) == {"", "missing close", "negative price", "high below low", "off the grid",
                                    "unreadable time"}
    assert (log["good_at"] >= log["available_at"]).all()


def test_good_rows_follow_soon():
    log = Market(DIRTY).truth.dirt
    wait = (log["good_at"] - log["available_at"]).dt.total_seconds() / 3600
    assert wait[log["category"] == "malformed"].max() <= 0.75
    late = wait[log["category"] == "late"]
    assert late.min() > 0
    assert 2 < late.median() < 4
    assert late.max() <= 30.1
    assert (wait[log["category"] == "doubled"] == 0).all()


def test_doubled_rows_collapse_or_change_nothing():
    market = Market(DIRTY)
    doubled = (market.truth.dirt.query("kind == 'bars'")["category"] == "doubled").sum()
    assert examine(Kind.BARS, market.bars(), "simulator").collapsed == doubled


def test_revisions_come_with_their_own_time():
    market = Market(DIRTY)
    bars = examine(Kind.BARS, market.bars(), "simulator").clean
    versions = bars.groupby(["symbol", "event_time"])["available_at"]
    revised = market.truth.dirt.query("kind == 'bars' and category == 'revised'")
    assert (versions.size() == 2).sum() == len(revised)
    assert ((versions.max() - versions.min())[versions.size() == 2] >= timedelta(hours=2)).all()


def test_no_dirt_is_clean():
    market = Market(Simulator(days=12, dirt=0))
    assert len(market.truth.dirt) == 0
    for kind in KEY:
        checked = examine(kind, market.feed(kind).frame, "simulator")
        assert (len(checked.refused), checked.collapsed) == (0, 0)


def test_more_dirt_contains_less_dirt():
    less, more = (Market(Simulator(days=20, dirt=rate)).truth.dirt for rate in (0.02, 0.1))
    columns = ["kind", "category", "variant", "key", "event_time"]
    assert set(map(tuple, less[columns].to_numpy())) < set(map(tuple, more[columns].to_numpy()))


def test_it_is_a_provider_and_days_make_up_the_whole():
    provider = SimulatorProvider(DIRTY)
    assert isinstance(provider, Provider)
    assert provider.symbols() == ("ADAUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    span = provider.span()
    assert (span.start, span.end) == (DIRTY.start, DIRTY.start + timedelta(days=40))
    days = [provider.fetch(day, list(Kind)) for day in EVERYTHING.days()]
    whole = provider.fetch(EVERYTHING, list(Kind))
    for kind in KEY:
        pd.testing.assert_frame_equal(pd.concat([day.frames[kind] for day in days], ignore_index=True),
                                      whole.frames[kind])
        assert len(whole.frames[kind]) == len(Market(DIRTY).feed(kind).frame)
    assert [row for day in days for row in day.refused if row.kind == "bars"] == [
        row for row in whole.refused if row.kind == "bars"]


def test_symbols_limit_bars_only():
    batch = SimulatorProvider(DIRTY).fetch(EVERYTHING, [Kind.BARS, Kind.DOCUMENTS], ["BTCUSDT"])
    assert set(batch.frames[Kind.BARS]["symbol"]) == {"BTCUSDT"}
    assert {row.payload["symbol"] for row in batch.refused if row.kind == "bars"} <= {"BTCUSDT"}
    assert len(batch.frames[Kind.DOCUMENTS]) == len(Market(DIRTY).documents())
