"""Trade logs: bots' JSON lines, freqtrade's exports of several years, CSV. An opening is known when it happens, an
outcome when the trade has closed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError
from pipelines.ingest import run
from pipelines.ingest.checks import examine
from pipelines.ingest.files import FilesProvider, parse
from pipelines.ingest.files.freqtrade import rows
from pipelines.store import asof

EVER = Window(datetime(1980, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC))
BOT = """
name = "bot"
[[file]]
path = "trades.jsonl"
kind = "trades"
columns = { trade_id = "id", symbol = "market", side = "side", entry_price = "in", size = "qty", closed_at = "closed", \
exit_price = "out", profit_ratio = "pnl", exit_reason = "why" }
time = { column = "opened", unit = "iso" }
available = "at_open_and_close"
"""
OPEN = {"id": 7, "market": "BTCUSDT", "side": "long", "in": 100.0, "qty": 2.0, "opened": "2024-01-01T10:00:00Z"}
CLOSED = {**OPEN, "closed": "2024-01-03T12:00:00Z", "out": 110.0, "pnl": 0.1, "why": "roi"}
FREQTRADE = 'name = "ft"\n[[file]]\npath = "*.json"\nkind = "trades"\nformat = "freqtrade"\n'
TRADE = {"pair": "ADA/BTC", "stake_amount": 0.01, "amount": 300.0, "open_date": "2021-01-26 05:00:00+00:00",
         "close_date": "2021-01-26 09:00:00+00:00", "open_rate": 2.0, "close_rate": 2.2, "profit_ratio": 0.093,
         "profit_abs": 0.00093, "sell_reason": "sell_signal", "is_open": False}


def facts(tmp_path, manifest, name, text):
    """All checked versions, by availability."""
    (tmp_path / name).write_text(text)
    provider = FilesProvider(tmp_path, parse(manifest))
    batch = provider.fetch(EVER, [Kind.TRADES])
    checked = examine(Kind.TRADES, batch.frames[Kind.TRADES], provider.name)
    return checked.clean, [*batch.refused, *checked.refused], provider


def lines(*trades):
    return "\n".join(json.dumps(trade) for trade in trades)


@pytest.mark.parametrize("log", [(OPEN, CLOSED), (CLOSED,), (CLOSED, OPEN), (OPEN, OPEN, CLOSED, CLOSED)])
def test_a_trade_has_an_opening_and_an_outcome_however_the_log_tells_it(tmp_path, log):
    found, refused, _ = facts(tmp_path, BOT, "trades.jsonl", lines(*log))
    assert refused == []
    assert [str(at)[:16] for at in found["available_at"]] == ["2024-01-01 10:00", "2024-01-03 12:00"]
    opening, closing = (row for _, row in found.iterrows())
    assert opening[list(SCHEMAS[Kind.TRADES].outcomes)].isna().all()
    assert (closing["exit_price"], closing["profit_ratio"], closing["exit_reason"]) == (110.0, 0.1, "roi")
    assert str(closing["closed_at"]) == "2024-01-03 12:00:00+00:00"
    for name in ("trade_id", "symbol", "side", "entry_price", "size", "event_time"):
        assert opening[name] == closing[name]


def test_trades_that_are_all_open_have_no_outcome_yet(tmp_path):
    found, refused, _ = facts(tmp_path, BOT, "trades.jsonl", lines(OPEN, {**OPEN, "id": 8}))
    assert refused == []
    assert list(found["trade_id"]) == ["7", "8"]
    assert found["closed_at"].isna().all()


def test_in_the_warehouse_the_outcome_is_a_revision_known_when_it_closed(tmp_path, warehouse):
    _, _, provider = facts(tmp_path, BOT, "trades.jsonl", lines(CLOSED))
    counts = [run.run(warehouse, provider, Window.day(f"2024-01-0{day}"), at=EVER.end).counts[Kind.TRADES]
              for day in (1, 2, 3)]
    assert [(one.inserted, one.revised) for one in counts] == [(1, 0), (0, 0), (0, 1)]
    known = {at: asof.read(warehouse, Kind.TRADES, as_of=datetime.fromisoformat(at)) for at in (
        "2024-01-01T09:59:59Z", "2024-01-03T11:59:59Z", "2024-01-03T12:00:00Z")}
    assert [list(frame["profit_ratio"].fillna(-1)) for frame in known.values()] == [[], [-1], [0.1]]


def test_what_is_wrong_is_refused_and_the_rest_is_kept(tmp_path):
    early = {**CLOSED, "id": 9, "closed": "2023-12-31T00:00:00Z"}
    strange = {**CLOSED, "id": 10, "closed": "soon"}
    found, refused, _ = facts(tmp_path, BOT, "trades.jsonl", lines(CLOSED, early, strange) + '\n{"id": 11, "mar')
    assert sorted(zip(found["trade_id"], found["profit_ratio"].notna(), strict=True)) == [
        ("7", False), ("7", True), ("9", False)]
    assert sorted(one.reason[:28] for one in refused) == [
        "a line of trades.jsonl is no", "closed 'soon' in trades.json", "known at 2023-12-31T00:00:00"]


def test_csv_of_closed_trades_with_duplicates_keeps_both_versions(tmp_path):
    manifest = BOT.replace("jsonl", "csv") + 'duplicates = "last"\n'
    text = ("id,market,side,in,qty,opened,closed,out,pnl,why\n"
            "7,BTCUSDT,long,100,2,2024-01-01T10:00:00Z,2024-01-03T12:00:00Z,105,0.05,roi\n"
            "7,BTCUSDT,long,100,2,2024-01-01T10:00:00Z,2024-01-03T12:00:00Z,110,0.1,roi\n"
            "8,ETHUSDT,short,50,1,2024-01-02T10:00:00Z,,,,\n")
    found, refused, _ = facts(tmp_path, manifest, "trades.csv", text)
    assert refused == []
    assert [(row.trade_id, row.profit_ratio if row.profit_ratio == row.profit_ratio else None)
            for row in found.itertuples()] == [("7", None), ("8", None), ("7", 0.1)]


@pytest.mark.parametrize("wrap", [
    lambda trade: {"strategy": {"BBRSI": {"trades": [trade]}}, "strategy_comparison": []},
    lambda trade: {"trades": [trade]}, lambda trade: [trade]])
def test_freqtrade_needs_no_mapping(tmp_path, wrap):
    found, refused, _ = facts(tmp_path, FREQTRADE, "backtest.json", json.dumps(wrap(TRADE)))
    assert refused == []
    opening, closing = (row for _, row in found.iterrows())
    assert opening["trade_id"].endswith("ADA/BTC:2021-01-26 05:00:00+00:00")
    assert (opening["symbol"], opening["side"], opening["entry_price"], opening["size"]) == ("ADABTC", "long", 2.0, 300)
    assert pd.isna(opening["profit_ratio"])
    assert (closing["profit_ratio"], closing["exit_reason"], closing["exit_price"]) == (0.093, "sell_signal", 2.2)
    assert (str(opening["available_at"]), str(closing["available_at"])) == (
        "2021-01-26 05:00:00+00:00", "2021-01-26 09:00:00+00:00")


def without(*names, **more):
    return {**{name: value for name, value in TRADE.items() if name not in names}, **more}


@pytest.mark.parametrize(("trade", "column", "value"), [
    (without("profit_ratio", close_profit=0.05), "profit_ratio", 0.05),
    (without("profit_ratio", profit_percent=0.093), "profit_ratio", 0.093),  # 2020: a ratio under this name
    (without("profit_ratio", profit_percent=9.3), "profit_ratio", pytest.approx(0.093)),
    (without("profit_ratio", profit_pct=9.3), "profit_ratio", pytest.approx(0.093)),
    (without("profit_ratio"), "profit_ratio", pytest.approx(0.093)),  # profit_abs / stake_amount
    (without("profit_ratio", "profit_abs"), "profit_ratio", None),
    (without("profit_ratio", profit_ratio=0.0), "profit_ratio", 0.0),
    (without("sell_reason", exit_reason="roi"), "exit_reason", "roi"),
    (without(is_short=True), "side", "short"),
    (without(trade_id=12), "trade_id", "12"),
    (without(pair="BTC/USDT:USDT"), "symbol", "BTCUSDT"),
    (without(is_open=True, close_date=None), "profit_ratio", None),
    (without(open_timestamp=1611637200000), "open_date", 1611637200000),
])
def test_freqtrade_of_all_years(trade, column, value):
    (row,), broken = rows(json.dumps([trade]))
    assert row[column] == value
    assert broken == []


def test_an_open_trade_of_freqtrade_tells_no_outcome_and_what_is_none_is_refused(tmp_path):
    log = {"trades": [without("close_date", "sell_reason", is_open=True, close_rate=2.1), TRADE, 5,
                      without(open_date="2021-01-27 05:00:00", close_date="2021-01-27 06:00:00")]}
    found, refused, _ = facts(tmp_path, FREQTRADE, "dump.json", json.dumps(log))
    assert [one.payload for one in refused] == [{"line": "5", "file": "dump.json"}]
    assert len(found) == 4  # the open trade is the opening of the closed one; a time without zone is UTC there
    assert found["profit_ratio"].notna().sum() == 2


@pytest.mark.parametrize("text", ["{}", "[", '{"strategy": {"A": 5}}', '{"trades": 7}', "null"])
def test_what_is_no_export_is_an_error_that_names_it(tmp_path, text):
    with pytest.raises(SourceError, match=r"x.json is no export of freqtrade \(.*check the file and its format"):
        facts(tmp_path, FREQTRADE, "x.json", text)


@pytest.mark.parametrize(("manifest", "match"), [
    (FREQTRADE.replace("trades", "bars") + 'time = "t"\navailable = "at_close"\n', "freqtrade\" holds trades"),
    (BOT.replace('closed_at = "closed", ', ""), "at_open_and_close needs columns.closed_at"),
    ('name = "b"\n[[file]]\npath = "x.csv"\nkind = "bars"\ntime = "t"\navailable = "at_open_and_close"\n',
     "at_open_and_close is for trades"),
])
def test_the_manifest_is_checked(manifest, match):
    with pytest.raises(ConfigError, match=match):
        parse(manifest)
