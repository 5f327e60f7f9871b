"""Scoring a partition in a real warehouse."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.sentiment import run
from pipelines.sentiment.aggregate import MARKET
from pipelines.store import Warehouse, derived, facts, loads, tables

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
TEXTS = ["bitcoin is great", "I love $ETH", "awful day for BTC", "the market sleeps", "eth and btc crash", "$SOL moon",
         "nothing to see", "terrible fear everywhere"]


def write_bars(warehouse: Warehouse, start: datetime, hours: int, symbols: tuple[str, ...]) -> None:
    opened = pd.date_range(start, periods=hours, freq="h", unit="us")
    facts.write(warehouse, Kind.BARS, pd.concat([pd.DataFrame({
        "symbol": symbol, "interval": "1h", "event_time": opened, "available_at": opened + HOUR, "open": 1.0,
        "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "source": "t"}) for symbol in symbols]))


def documents(rows: list[tuple[str, datetime, datetime, str]]) -> pd.DataFrame:
    """(doc_id, event_time, available_at, text)"""
    return pd.DataFrame({
        "source": "t", "doc_id": [row[0] for row in rows],
        "event_time": pd.to_datetime([row[1] for row in rows], utc=True).as_unit("us"),
        "available_at": pd.to_datetime([row[2] for row in rows], utc=True).as_unit("us"), "kind": "post",
        "title": None, "text": [row[3] for row in rows], "url": None, "engagement": np.nan})


def some_documents(days: int, seed: int) -> pd.DataFrame:
    rng = random.Random(seed)
    rows = []
    for number in range(days * 30):
        at = START + rng.random() * days * DAY
        rows.append((str(number), at, at + rng.choice([0, 0, 60, 90_000]) * timedelta(seconds=1), rng.choice(TEXTS)))
    return documents(rows)


def everything(warehouse: Warehouse) -> list[pd.DataFrame]:
    return [derived.read(warehouse, table) for table in (
        tables.sentiment_scores, tables.mentions, tables.sentiment_aggregates, tables.source_credibility)]


def assert_same(one: list[pd.DataFrame], other: list[pd.DataFrame]) -> None:
    for left, right in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def clear(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("TRUNCATE sentiment_scores, mentions, sentiment_aggregates, source_credibility"))


@pytest.fixture
def loaded(warehouse: Warehouse) -> Warehouse:
    write_bars(warehouse, START - DAY, 5 * 24, ("BTCUSDT", "ETHUSDT"))
    facts.write(warehouse, Kind.DOCUMENTS, some_documents(4, 1))
    return warehouse


def test_scores_mentions_and_aggregates(warehouse: Warehouse) -> None:
    write_bars(warehouse, START - DAY, 48, ("BTCUSDT", "ETHUSDT"))
    facts.write(warehouse, Kind.DOCUMENTS, documents([
        ("a", START + 0.1 * HOUR, START + 0.2 * HOUR, "bitcoin is great"),
        ("b", START + 0.1 * HOUR, START + 1.0 * HOUR, "nothing but weather"),
        ("late", START - 5 * HOUR, START + 1.5 * HOUR, "awful news for $ETH and $BTC"),
        ("before", START - 2 * HOUR, START - 1 * HOUR, "I hate btc"),
        ("tomorrow", START, START + DAY, "I love btc")]))
    report = run.run(warehouse, Window(START, START + DAY))
    assert (report.scored, report.mentions, report.aggregates) == (3, 3, 144 * 3 * 4)
    scores, mentions, aggregates, _ = everything(warehouse)
    assert scores["doc_id"].tolist() == ["a", "b", "before", "late"]
    assert set(scores["scorer"]) == {run.SCORER}
    assert mentions[["doc_id", "symbol", "label"]].to_numpy().tolist() == [
        ["a", "BTCUSDT", "bullish"], ["before", "BTCUSDT", "bearish"], ["late", "BTCUSDT", "bearish"],
        ["late", "ETHUSDT", "bearish"]]
    at = aggregates.set_index(["symbol", "window", "at"])["documents"]
    hour = {count: pd.Timestamp(START + count * HOUR) for count in (0, 1, 2, 23)}
    assert at[(MARKET, "1h", hour[0])] == 0
    assert at[(MARKET, "4h", hour[0])] == 1
    assert at[(MARKET, "1h", hour[1])] == 2
    assert at[("BTCUSDT", "1h", hour[1])] == 1
    assert at[("ETHUSDT", "1h", hour[2])] == 1
    assert at[("BTCUSDT", "1w", hour[23])] == 3


def test_again_changes_nothing(loaded: Warehouse) -> None:
    window = Window(START, START + 2 * DAY)
    first = run.run(loaded, window)
    before = everything(loaded)
    with loaded.begin() as connection:
        versions = connection.execute(text("SELECT sum(xmin::text::bigint) FROM sentiment_aggregates")).scalar_one()
    assert run.run(loaded, window) == first
    assert_same(everything(loaded), before)
    with loaded.begin() as connection:
        again = connection.execute(text("SELECT sum(xmin::text::bigint) FROM sentiment_aggregates")).scalar_one()
        assert loads.covered(connection, run.DATASET, window)
    assert again == versions  # not one row was touched


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_day_by_day_in_any_order_equals_all_at_once(loaded: Warehouse, order: list[int]) -> None:
    run.run(loaded, Window(START, START + 4 * DAY))
    whole = everything(loaded)
    clear(loaded)
    for day in order:
        run.run(loaded, Window(START + day * DAY, START + (day + 1) * DAY))
    assert_same(everything(loaded), whole)


def a_lively_world(days: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars whose prices move, and documents of several sources with copies, reactions, late ones and a dead day."""
    rng = np.random.default_rng(seed)
    opened = pd.date_range(START - DAY, periods=(days + 1) * 24, freq="h", unit="us")
    bars = pd.concat([pd.DataFrame({
        "symbol": symbol, "interval": "1h", "event_time": opened, "available_at": opened + HOUR, "open": price,
        "high": 1e9, "low": 0.0, "close": price, "volume": 1.0, "source": "t"})
        for symbol in ("BTCUSDT", "ETHUSDT") for price in [np.exp(np.cumsum(rng.normal(0, 0.01, len(opened))))]])
    size = 60 * days
    at = np.sort(rng.random(size)) * days
    at = at[(at < 8.5) | (at > 9.7)]
    long = [f"{text} and this is what {name} told everybody on the way to the market this very morning in the rain"
            for text in TEXTS for name in ("Ann", "Bob")]
    source = rng.choice(["reddit", "agency", "x"], len(at))
    event = pd.DatetimeIndex([START + day * DAY for day in at]).as_unit("us")
    frame = pd.DataFrame({
        "source": source, "doc_id": [str(number) for number in range(len(at))], "event_time": event,
        "available_at": event + pd.to_timedelta(rng.choice([0, 0, 60, 90_000], len(at)), unit="s").as_unit("us"),
        "kind": np.where(source == "agency", "news", "post"), "title": None,
        "text": rng.choice(TEXTS + long, len(at)), "url": None,
        "engagement": np.where(source == "agency", np.nan, rng.poisson(5, len(at)))})
    return bars, frame


@pytest.mark.parametrize("seed", [1, 2])
def test_any_cut_and_any_order_give_the_same_tables(warehouse: Warehouse, seed: int) -> None:
    days = 12
    bars, posts = a_lively_world(days, seed)
    facts.write(warehouse, Kind.BARS, bars)
    facts.write(warehouse, Kind.DOCUMENTS, posts)
    report = run.run(warehouse, Window(START, START + days * DAY))
    whole = everything(warehouse)
    rows, learned = whole[2], whole[3]
    # The world is lively: there is something of everything that could depend on the cut.
    assert report.duplicates > 100
    assert rows["duplicates"].max() > 5
    assert rows.loc[rows["window"] == "1h", "coverage"].min() == 0
    assert 0 < rows["confidence"].max() < 1
    assert learned["weight"].nunique() >= 8
    assert (rows["weighted"] - rows["mean"]).abs().max() > 0.1
    rng = random.Random(seed)
    for shuffled in (False, True):
        clear(warehouse)
        cuts = sorted({0, days * 1440, *rng.sample(range(days * 1440), 6)})
        windows = [Window(START + first * MINUTE, START + last * MINUTE)
                   for first, last in pairwise(cuts)]
        if shuffled:
            rng.shuffle(windows)
        for window in windows:
            run.run(warehouse, window)
        assert_same(everything(warehouse), whole)


def test_configured_sources_weigh_what_was_configured(loaded: Warehouse) -> None:
    window = Window(START, START + 2 * DAY)
    run.run(loaded, window)
    before = everything(loaded)[3]["weight"]
    run.run(loaded, window, {"t": 1.5})
    assert before.tolist() == [0.6]
    assert everything(loaded)[3]["weight"].tolist() == [1.5]


def test_what_is_learned_tomorrow_changes_nothing_today(warehouse: Warehouse) -> None:
    bars, posts = a_lively_world(8, 3)
    cut = START + 5 * DAY + 7 * HOUR
    facts.write(warehouse, Kind.BARS, bars[bars["available_at"] <= cut])
    facts.write(warehouse, Kind.DOCUMENTS, posts[posts["available_at"] <= cut])
    run.run(warehouse, Window(START, START + 8 * DAY))
    known = everything(warehouse)
    facts.write(warehouse, Kind.BARS, bars)
    facts.write(warehouse, Kind.DOCUMENTS, posts)
    clear(warehouse)
    run.run(warehouse, Window(START, START + 8 * DAY))
    for past, after in zip(known, everything(warehouse), strict=True):
        limit = pd.Timestamp(cut)
        assert len(after) > len(past[past["available_at"] <= limit]) > 0
        pd.testing.assert_frame_equal(past[past["available_at"] <= limit].reset_index(drop=True),
                                      after[after["available_at"] <= limit].reset_index(drop=True), check_exact=True)


def test_an_edited_document_keeps_its_first_score(loaded: Warehouse) -> None:
    window = Window(START, START + 4 * DAY)
    run.run(loaded, window)
    before = everything(loaded)
    edited = some_documents(4, 1).iloc[:40].copy()
    edited["available_at"] += HOUR
    edited["text"] = "wonderful bitcoin, edited"
    assert facts.write(loaded, Kind.DOCUMENTS, edited).revised == 40
    run.run(loaded, window)
    assert_same(everything(loaded), before)


@pytest.mark.parametrize("hours", [5, 30, 55, 80])
def test_the_future_changes_nothing(warehouse: Warehouse, hours: int) -> None:
    cut = START + hours * HOUR
    every = some_documents(4, 7)
    write_bars(warehouse, START - DAY, 24 + hours, ("BTCUSDT",))
    facts.write(warehouse, Kind.DOCUMENTS, every[every["available_at"] <= cut])
    run.run(warehouse, Window(START, START + 4 * DAY))
    known = everything(warehouse)
    facts.write(warehouse, Kind.DOCUMENTS, every)
    write_bars(warehouse, START - DAY, 5 * 24, ("BTCUSDT", "ETHUSDT", "SOLUSDT"))
    clear(warehouse)
    run.run(warehouse, Window(START, START + 4 * DAY))
    limit = pd.Timestamp(cut)
    for name, past, whole in zip("smwc", known, everything(warehouse), strict=True):
        keep = (whole["available_at"] <= limit)
        if name in "mw":  # symbols whose bars were written afterwards are new in the past as well
            keep &= whole["symbol"].isin(["BTCUSDT", MARKET])
        pd.testing.assert_frame_equal(past[past["available_at"] <= limit].reset_index(drop=True),
                                      whole[keep].reset_index(drop=True), check_exact=True)


def test_without_bars_only_the_market_has_rows(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    facts.write(warehouse, Kind.DOCUMENTS, documents([("a", START, START, "bitcoin is great")]))
    report = run.run(warehouse, Window(START, START + DAY))
    assert report.mentions == 0
    assert set(everything(warehouse)[2]["symbol"]) == {MARKET}
    assert "load the bars and run this partition again" in caplog.text
    write_bars(warehouse, START - DAY, 48, ("BTCUSDT",))
    assert run.run(warehouse, Window(START, START + DAY)).mentions == 1
    assert set(everything(warehouse)[2]["symbol"]) == {MARKET, "BTCUSDT"}


def test_mentions_that_are_found_no_more_are_dropped(loaded: Warehouse) -> None:
    window = Window(START, START + 4 * DAY)
    run.run(loaded, window)
    before = everything(loaded)
    with loaded.begin() as connection:
        connection.execute(text("INSERT INTO mentions SELECT source, doc_id, event_time, 'XRPUSDT', available_at, "
                                "'bullish' FROM mentions WHERE symbol = 'BTCUSDT' LIMIT 3"))
    run.run(loaded, window)
    assert_same(everything(loaded), before)


def test_an_empty_partition(warehouse: Warehouse) -> None:
    report = run.run(warehouse, Window(START, START + DAY))
    assert (report.scored, report.mentions, report.aggregates) == (0, 0, 144 * 4)


def test_the_text_of_a_document_has_its_title_once() -> None:
    frame = pd.DataFrame({"title": [None, "Up", "Up we go"], "text": ["body", "body", "Up we go and stay"]})
    assert run.text_of(frame) == ["body", "Up\nbody", "Up we go and stay"]
