"""Several providers as one source."""

from __future__ import annotations

import pytest

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest import run as ingest
from tests.fixtures.replay import ALL, START, truth

NAMES = "exchange, rss,fear_greed,cboe,reddit"


def test_it_has_what_its_parts_have(replay, pointed, warehouse):
    source = providers.create(NAMES, pointed(replay("429,500,cut,truncate")))
    assert source.name == "exchange,rss,fear_greed,cboe,reddit"
    assert source.kinds() == {Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS}
    assert source.symbols() == ("BTCUSDT", "ETHUSDT")
    assert source.span() is None
    report = ingest.run(warehouse, source, ALL, at=START)
    assert {kind: counts.inserted for kind, counts in report.counts.items()} == {
        kind: len(truth(kind)) for kind in (Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS)}
    assert report.refused == 0
    again = ingest.run(warehouse, source, ALL, at=START)
    assert again.written == 0


def test_one_failure_fails_the_whole(replay, pointed):
    settings = pointed(replay("500!"), rss={"feeds": "http://127.0.0.1:9/feed.xml"},
                       http={"attempts": 1, "rate": 100, "timeout": 0.3})
    with pytest.raises(SourceUnavailable):
        providers.create("rss,fear_greed", settings).fetch(ALL, [Kind.DOCUMENTS, Kind.INDICATORS])


def test_symbols_go_to_those_who_have_them(replay, pointed):
    source = providers.create("exchange,equities", pointed(replay()))
    frame = source.fetch(Window.day("2024-01-03"), [Kind.BARS], ["ETHUSDT"]).frames[Kind.BARS]
    assert set(frame["symbol"]) == {"ETHUSDT"}


@pytest.mark.parametrize(("name", "match"), [
    ("simulator,simulator", "names a provider twice"), ("simulator,nowhere", "no source 'nowhere'")])
def test_wrong_lists_are_named(name, match):
    with pytest.raises(ConfigError, match=match):
        providers.create(name, Settings())
