"""Daily bars of stooq."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from infra.replay import Faults, Replay, World
from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from tests.fixtures.replay import ALL
from tests.unit.ingest.test_indicators import spoil

VALUES = ["symbol", "interval", "event_time", "available_at", "open", "high", "low", "close", "volume"]


def bars():
    """Ten days of two shares that walk at random."""
    days = pd.date_range("2024-01-01", periods=10, freq="D", tz="UTC").as_unit("us")
    frames = []
    for number, symbol in enumerate(("AAPL", "SPY")):
        rng = np.random.default_rng(number)
        close = np.round(100 + rng.normal(size=10).cumsum(), 2)
        frames.append(pd.DataFrame({
            "symbol": symbol, "interval": "1d", "event_time": days, "available_at": days + pd.Timedelta(days=1),
            "open": close, "high": close + 1.25, "low": close - 1.5, "close": close + 0.5,
            "volume": rng.integers(1, 1_000_000, 10).astype(float), "source": "stooq"}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def stooq():
    started = []

    def start(faults=""):
        server = Replay(World({Kind.BARS: bars()}), Faults.parse(faults))
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.__exit__(None, None, None)


def fetch(settings, window=ALL, symbols=None):
    return providers.create("equities", settings).fetch(window, [Kind.BARS], symbols)


def clean(frame):
    good, bad = check(Kind.BARS, frame, "equities")
    return good.sort_values(["symbol", "event_time"], ignore_index=True)[VALUES], bad


BOTH = {"symbols": "aapl.us,SPY.US"}


@pytest.mark.parametrize("faults", ["", "429,500,cut,truncate", "stall", "duplicate,reordered"])
def test_it_is_the_facts_row_for_row(stooq, pointed, faults):
    found, bad = clean(fetch(pointed(stooq(faults), equities=BOTH)).frames[Kind.BARS])
    pd.testing.assert_frame_equal(found, clean(bars())[0], check_dtype=False)
    assert not bad


def test_a_day_is_known_when_it_is_over_everywhere(stooq, pointed):
    settings = pointed(stooq(), equities=BOTH)
    frame = fetch(settings, Window.day("2024-01-05")).frames[Kind.BARS]
    assert set(frame["event_time"]) == {pd.Timestamp("2024-01-04", tz="UTC")}
    assert set(frame["available_at"]) == {pd.Timestamp("2024-01-05", tz="UTC")}
    assert set(fetch(settings, symbols=["SPY"]).frames[Kind.BARS]["symbol"]) == {"SPY"}


def test_broken_rows_are_refused_and_counted(stooq, pointed, monkeypatch):
    spoil(monkeypatch, lambda body: body.replace(b"2024-01-03,", b"2024-01-03,,").replace(b"2024-01-04", b"4 Jan"))
    batch = fetch(pointed(stooq("nan"), equities=BOTH))
    found, bad = clean(batch.frames[Kind.BARS])
    assert len(batch.refused) == 4
    assert len(found) + len(bad) + len(batch.refused) == 20


@pytest.mark.parametrize(("said", "error", "match"), [
    (b"Exceeded the daily hits limit", SourceUnavailable, "daily limit of stooq is used up"),
    (b"<html>hello</html>\n", SourceError, "a page instead of a table"),
    (b"Date,Open,High,Low,Last,Volume\n2024-01-01,1,1,1,1,1\n", SourceError,
     "equities has changed its shape: Close is no column"),
    (b"Datum,Otwarcie\n", SourceError, "equities has changed its shape: Date heads no column"),
])
def test_other_answers_are_named(stooq, pointed, monkeypatch, said, error, match):
    spoil(monkeypatch, lambda body: said)
    with pytest.raises(error, match=match):
        fetch(pointed(stooq()))


def test_no_data_is_no_error(stooq, pointed):
    batch = fetch(pointed(stooq(), equities={"symbols": "unknown.us"}))
    assert len(batch.frames[Kind.BARS]) == 0
    assert not batch.refused


@pytest.mark.parametrize("symbols", ["", "aapl.us aapl.de"])
def test_symbols_have_to_be_clear(symbols):
    with pytest.raises(ConfigError, match="TIDEMARK_EQUITIES__SYMBOLS"):
        providers.create("equities", Settings(equities={"symbols": symbols}))
