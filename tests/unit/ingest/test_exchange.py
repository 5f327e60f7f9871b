"""Bars through ccxt: clean they equal the facts row for row; with faults nothing is lost, doubled or invented."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from tests.fixtures.replay import ALL, START, truth

VALUES = ["symbol", "interval", "event_time", "available_at", "open", "high", "low", "close", "volume"]


def clean(frame):
    """The good rows by symbol and time, and the refused ones."""
    good, bad = check(Kind.BARS, frame, "exchange")
    return good.sort_values(["symbol", "event_time"], ignore_index=True)[VALUES], bad


def expected(window=ALL):
    rows = truth(Kind.BARS)
    rows = rows[(rows["available_at"] >= window.start) & (rows["available_at"] < window.end)]
    return clean(rows)[0]


def fetch(settings, window=ALL, symbols=None):
    return providers.create("exchange", settings).fetch(window, [Kind.BARS], symbols)


def equal(found, wanted):
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_clean_it_is_the_facts_row_for_row(replay, pointed):
    server = replay()
    batch = fetch(pointed(server))
    found, bad = clean(batch.frames[Kind.BARS])
    assert not bad
    assert not batch.refused
    equal(found, expected())
    assert len([one for one in server.requests if one.path.endswith("klines")]) > 4  # it had to turn pages
    assert set(batch.frames[Kind.BARS]["source"]) == {"binance"}


def test_days_put_together_are_the_whole(replay, pointed):
    settings = pointed(replay())
    parts = [fetch(settings, day).frames[Kind.BARS] for day in ALL.days()]
    equal(clean(pd.concat(parts))[0], expected())
    assert max(map(len, parts)) == 48


@pytest.mark.parametrize("faults", ["429", "500", "stall", "cut", "truncate", "429,500,cut,truncate",
                                    "duplicate", "reordered", "duplicate,reordered,cut"])
def test_passing_faults_leave_no_trace(replay, pointed, faults):
    server = replay(faults)
    found, bad = clean(fetch(pointed(server)).frames[Kind.BARS])
    assert not bad
    equal(found, expected())
    assert set(server.faults.struck) <= set(server.faults.wire)


@pytest.mark.parametrize("fault", ["429!", "500!", "stall!", "cut!", "truncate!"])
def test_lasting_faults_are_a_clear_error_that_may_pass(replay, pointed, fault):
    with pytest.raises(SourceUnavailable, match=r"exchange \(127\.0\.0\.1/api/v3/\w+\) failed 2 times") as info:
        fetch(pointed(replay(fault), http={"attempts": 2, "timeout": 0.2, "rate": 1000, "backoff": 0}))
    assert info.value.retryable


@pytest.mark.parametrize(("fault", "reason"), [("nan", "close is missing"), ("huge", "lies outside")])
def test_broken_rows_are_refused_and_counted(replay, pointed, fault, reason):
    server = replay(fault)
    found, bad = clean(fetch(pointed(server)).frames[Kind.BARS])
    struck = server.world.struck(Kind.BARS, fault)
    assert len(bad) == len(struck) > 10
    assert all(reason in one.reason for one in bad)
    assert len(found) + len(bad) == len(expected())


def test_late_and_revised_bars_come_with_the_next_window_as_known_at_its_end(replay, pointed):
    server = replay("late,revised", phase=0)
    settings = pointed(server, http={"rate": 1000, "burst": 1000, "overlap_hours": 24})
    first, second = Window.day("2024-01-03"), Window.day("2024-01-04")
    before, _ = clean(fetch(settings, first).frames[Kind.BARS])
    server.world.phase = 1
    after, _ = clean(fetch(settings, second).frames[Kind.BARS])
    again = after[after["event_time"] < second.start - timedelta(hours=1)]
    assert set(again["available_at"]) == {pd.Timestamp(second.end - timedelta(microseconds=1))}
    key = ["symbol", "event_time"]
    both = again.merge(before, on=key, how="left", suffixes=("", "_before"))
    changed = both[both["close"] != both["close_before"]][key]
    late, revised = (server.world.struck(Kind.BARS, fault) for fault in ("late", "revised"))
    in_first = lambda rows: {(row.symbol, row.event_time) for row in rows.itertuples()  # noqa: E731
                             if first.start <= row.available_at < first.end}
    assert {tuple(row) for row in changed.itertuples(index=False)} == in_first(late) | in_first(revised)
    assert in_first(late)
    assert in_first(revised)


def test_through_the_warehouse_revisions_are_the_only_news(replay, pointed, warehouse):
    from pipelines.ingest import run

    server = replay("late,revised,429,cut", phase=0)
    provider = providers.create("exchange", pointed(server, http={"rate": 1000, "backoff": 0, "overlap_hours": 24}))
    first, second = Window.day("2024-01-03"), Window.day("2024-01-04")
    run.run(warehouse, provider, first, at=START)
    server.world.phase = 1
    counts = run.run(warehouse, provider, second, at=START).counts[Kind.BARS]
    struck = {fault: len(_closing_in(server.world.struck(Kind.BARS, fault), first)) for fault in ("late", "revised")}
    # The very first window reads the overlap before it too, so the late ones of that day come as new.
    assert counts.revised == struck["revised"]
    assert counts.inserted == 48 + struck["late"]
    repeated = run.run(warehouse, provider, second, at=START).counts[Kind.BARS]
    assert (repeated.inserted, repeated.revised) == (0, 0)


def _closing_in(rows, window):
    return rows[(rows["available_at"] >= window.start) & (rows["available_at"] < window.end)]


def test_a_shifted_clock_is_a_clear_error(replay, pointed):
    with pytest.raises(SourceError, match=r"binance has changed its shape: timestamp .* zone"):
        fetch(pointed(replay("zone")))


def test_an_interrupted_fetch_goes_on_where_it_was(replay, pointed):
    server = replay()
    settings = pointed(server, http={"attempts": 1, "rate": 1000, "burst": 1000, "overlap_hours": 0})
    whole = expected()
    asked = []
    klines = lambda: [one.query["symbol"] + one.query["startTime"] for one in server.requests  # noqa: E731
                      if one.path.endswith("klines")]
    server.faults = worlds_faults_after(4)
    for _ in range(10):
        server.requests.clear()
        try:
            batch = fetch(settings)
        except SourceUnavailable:
            asked += klines()[:-1]  # the last one failed
            server.faults = worlds_faults_after(3)
            continue
        asked += klines()
        break
    equal(clean(batch.frames[Kind.BARS])[0], whole)
    assert len(asked) == len(set(asked))  # no page twice
    assert list((settings.home / "spool").iterdir()) == []


def worlds_faults_after(count):
    """A server that fails after so many answers."""
    class After:
        wire = ("500",)
        struck: dict[str, int] = {}  # noqa: RUF012
        left = count

        def next(self):
            self.left -= 1
            return "500" if self.left < 0 else None

    return After()


@pytest.mark.parametrize(("spoil", "field"), [
    (lambda bar: bar[:4], "close"),
    (lambda bar: {"t": bar[0], "c": bar[4]}, "timestamp"),
    (lambda bar: [str(bar[0]) + "x", *bar[1:]], "timestamp"),
])
def test_another_shape_names_provider_and_field(replay, pointed, monkeypatch, spoil, field):
    import infra.replay.speak as speak

    real = speak.klines
    monkeypatch.setattr(speak, "ROUTES", tuple(
        (pattern, (lambda request, world: _spoiled(real(request, world), spoil)) if one is real else one)
        for pattern, one in speak.ROUTES))
    with pytest.raises(SourceError, match=f"binance has changed its shape: {field} is missing in all 100 bars"):
        fetch(pointed(replay()))


def _spoiled(spoken, spoil):
    import json

    status, body, type_ = spoken
    return status, json.dumps([spoil(bar) for bar in json.loads(body)]).encode(), type_


def test_one_unreadable_bar_is_refused_with_what_came(replay, pointed, monkeypatch):
    import infra.replay.speak as speak

    real = speak.klines
    broken = lambda bar: {"surprise": 1} if bar[0] == 1704153600000 else bar  # noqa: E731
    monkeypatch.setattr(speak, "ROUTES", tuple(
        (pattern, (lambda request, world: _spoiled(real(request, world), broken)) if one is real else one)
        for pattern, one in speak.ROUTES))
    batch = fetch(pointed(replay()), symbols=["BTCUSDT"])
    assert [one.payload["record"][-1] for one in batch.refused] == [{"surprise": 1}]
    assert len(batch.frames[Kind.BARS]) == len(expected()) // 2 - 1


@pytest.mark.parametrize("jump", [3, 60, 500])
def test_a_bar_with_a_wrong_time_takes_no_other_with_it(replay, pointed, monkeypatch, jump):
    import infra.replay.speak as speak

    real = speak.klines
    ends = 1704067200000 + 98 * 3_600_000  # the last of a page
    late = lambda bar: [bar[0] + jump * 3_600_000, *bar[1:]] if bar[0] == ends else bar  # noqa: E731
    monkeypatch.setattr(speak, "ROUTES", tuple(
        (pattern, (lambda request, world: _spoiled(real(request, world), late)) if one is real else one)
        for pattern, one in speak.ROUTES))
    batch = fetch(pointed(replay()), symbols=["BTCUSDT"])
    opened = set(batch.frames[Kind.BARS]["event_time"])
    wanted = set(expected()["event_time"]) - {pd.Timestamp(ends, unit="ms", tz="UTC")}
    assert wanted <= opened


@pytest.mark.parametrize(("group", "match"), [
    ({"id": "nowhere"}, "ccxt knows no exchange 'nowhere'"),
    ({"symbols": "DOGE/USDT"}, "binance has no DOGE/USDT"),
])
def test_wrong_settings_are_named(replay, pointed, group, match):
    with pytest.raises(ConfigError, match=match):
        fetch(pointed(replay(), exchange=group))


def test_only_what_was_asked_for(replay, pointed):
    server = replay()
    provider = providers.create("exchange", pointed(server))
    assert provider.symbols() == ("BTCUSDT", "ETHUSDT")
    assert provider.fetch(ALL, [Kind.DOCUMENTS]).frames == {}
    assert not server.requests
    assert set(provider.fetch(ALL, [Kind.BARS], ["ETHUSDT"]).frames[Kind.BARS]["symbol"]) == {"ETHUSDT"}




def test_a_broken_list_of_markets_is_not_kept(replay, pointed, monkeypatch):
    """It is read once for the life of a provider, so what came broken has to be forgotten."""
    import infra.replay.speak as speak

    provider = providers.create("exchange", pointed(replay(), exchange={"symbols": "BTC/USDT"}))
    with monkeypatch.context() as patch:
        patch.setattr(speak, "ROUTES", tuple((pattern, (lambda request, world: speak.said({"symbols": []}))
                                              if one is speak.exchange_info else one) for pattern, one in speak.ROUTES))
        with pytest.raises(ConfigError, match="binance has no BTC/USDT"):
            provider.fetch(ALL, [Kind.BARS])
    assert len(provider.fetch(ALL, [Kind.BARS]).frames[Kind.BARS]) == len(expected()) // 2


@pytest.mark.parametrize("digits", [10**30, "9" * 40, -10**30])
def test_a_precision_of_endless_digits_is_not_written_out(replay, pointed, monkeypatch, digits):
    import json

    import infra.replay.speak as speak

    def endless(request, world):
        markets = json.loads(speak.exchange_info(request, world)[1])
        for market in markets["symbols"]:
            market["baseAssetPrecision"] = market["quotePrecision"] = digits
        return speak.said(markets)

    monkeypatch.setattr(speak, "ROUTES", tuple(
        (pattern, endless if one is speak.exchange_info else one) for pattern, one in speak.ROUTES))
    assert len(fetch(pointed(replay()), symbols=["BTCUSDT"]).frames[Kind.BARS]) == len(expected()) // 2
