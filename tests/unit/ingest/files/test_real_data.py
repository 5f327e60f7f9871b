"""The development data by our manifests: every row accounted for, and known facts about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import ROOT
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest.checks import examine
from pipelines.ingest.files import FilesProvider, load, parse

DATA = ROOT.parent / "shared" / "data"
pytestmark = [pytest.mark.realdata,
              pytest.mark.skipif(not DATA.is_dir(), reason=f"no development data in {DATA}")]


EVER = Window(datetime(1980, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def provider(name: str) -> FilesProvider:
    return FilesProvider(DATA, load(Path(__file__).parents[3] / "data" / f"{name}.toml"))


def whole(name: str) -> dict[Kind, pd.DataFrame]:
    """All clean rows by kind; nothing may be refused or collapsed unseen."""
    source = provider(name)
    batch = source.fetch(EVER, list(Kind))
    assert list(batch.refused) == []
    clean = {}
    for kind, frame in batch.frames.items():
        checked = examine(kind, frame, source.name)
        assert [row.reason for row in checked.refused] == []
        clean[kind] = checked.clean
        assert len(checked.clean) + checked.collapsed == len(frame)
    return clean


def test_the_main_manifest():
    facts = whole("shared")
    bars, documents, indicators = (facts[kind] for kind in (Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS))
    assert bars.groupby("symbol").size().to_dict() == dict.fromkeys(
        ["ADAUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"], 14_776)
    assert bars["event_time"].agg(["min", "max"]).astype(str).tolist() == [
        "2020-10-23 08:00:00+00:00", "2022-06-30 23:00:00+00:00"]
    assert documents.groupby("source").size().to_dict() == {"cryptonews": 7_384, "reddit": 92_645}
    assert documents["engagement"].isna().all()  # known only since the crawl
    assert set(indicators["name"]) == {"fear_greed", "vix", "put_call", "cnn_fear_greed"}
    assert (indicators["available_at"] - indicators["event_time"]).min() >= pd.Timedelta(hours=23)
    assert (facts[Kind.TRADES]["available_at"] == facts[Kind.TRADES]["closed_at"]).all()


def test_the_published_times_of_news_agree_with_the_source_s_reading():
    documents = whole("shared")[Kind.DOCUMENTS]
    mine = documents[documents["source"] == "cryptonews"]["event_time"].sort_values(ignore_index=True)
    theirs = pd.read_parquet(DATA / "crypto_news_2021_2022/cryptonews.parquet")["published_at"]
    assert (mine == theirs.sort_values(ignore_index=True)).all()


def test_bars_as_found_on_a_local_clock_equal_the_cleaned_ones():
    found, clean = whole("as_found")[Kind.BARS], whole("shared")[Kind.BARS]
    columns = ["event_time", "available_at", "open", "high", "low", "close", "volume"]
    one, other = (frame[(frame["symbol"] == "BTCUSDT") & (frame["event_time"] < "2022-07-01")][columns]
                  .sort_values("event_time", ignore_index=True) for frame in (found, clean))
    common = one.merge(other, on="event_time", suffixes=("", "_clean"))
    assert len(common) == len(one) == 14_773  # it ends three hours earlier
    for column in columns[2:]:
        assert (common[column] == common[f"{column}_clean"]).all()


def test_newest_first_spot_bars():
    bars = whole("as_found")[Kind.BARS]
    spot = bars[bars["source"] == "binance-spot"]
    assert spot.groupby("symbol").size().to_dict() == {"ADAUSDT": 7_478, "BNBUSDT": 7_478}
    assert spot["available_at"].is_monotonic_increasing


def test_daily_shares_and_tweets():
    facts = whole("stocknet")
    assert facts[Kind.BARS]["symbol"].nunique() == 30
    assert len(facts[Kind.BARS]) == 36_264  # two rows without any price
    assert 53_800 < len(facts[Kind.DOCUMENTS]) < 53_917  # exact duplicates inside a ticker


def test_the_span_is_that_of_the_market():
    """The volatility index begins in 1990; nobody wants to bootstrap from there."""
    span = provider("shared").span()
    assert span.start == datetime(2020, 10, 23, 9, tzinfo=UTC)
    assert span.end > datetime(2022, 7, 1, tzinfo=UTC)


def test_days_are_cut_at_their_availability():
    source = provider("shared")
    day = Window.day("2022-05-10")
    batch = source.fetch(day, list(Kind))
    assert len(batch.frames[Kind.BARS]) == 5 * 24
    for frame in batch.frames.values():
        assert frame["available_at"].between(day.start, day.end, inclusive="left").all()


def test_the_trade_log_as_its_export_is_the_same_trades(tmp_path):
    """The table that we were given, written back in the shape of the export that it was made from."""
    table = pd.read_parquet(DATA / "trade_log_bbrsi_2021" / "trades.parquet")
    for name in ("open_date", "close_date"):
        table[name] = table[name].astype(str)
    trades = json.loads(table.to_json(orient="records"))
    (tmp_path / "export.json").write_text(json.dumps({"strategy": {"BBRSI": {"trades": trades}}}))
    source = FilesProvider(tmp_path, parse(
        'name = "ft"\n[[file]]\npath = "export.json"\nkind = "trades"\nformat = "freqtrade"\n'))
    batch = source.fetch(EVER, [Kind.TRADES])
    checked = examine(Kind.TRADES, batch.frames[Kind.TRADES], "ft")
    assert (list(batch.refused), list(checked.refused)) == ([], [])
    closed = checked.clean[checked.clean["closed_at"].notna()]
    assert (len(checked.clean), len(closed), checked.collapsed) == (2 * 779, 779, 0)
    given = whole("shared")[Kind.TRADES]
    same = ["event_time", "available_at", "entry_price", "exit_price", "size", "profit_ratio", "exit_reason"]
    pd.testing.assert_frame_equal(*(frame[same].sort_values(same[:4], ignore_index=True) for frame in (closed, given)),
                                  check_dtype=False)
    assert round((closed["profit_ratio"] > 0).mean(), 3) == 0.479
    openings = checked.clean[checked.clean["closed_at"].isna()]
    assert (openings["available_at"] == openings["event_time"]).all()


def test_labelled_texts():
    labels = whole("labelled")[Kind.LABELS]
    assert labels.groupby("source").size().to_dict() == {"phrasebank": 2_259, "taborda": 1_300, "vader-tweets": 4_200}
    assert labels["label"].abs().max() <= 1
    assert labels["event_time"].between(pd.Timestamp("2020-04-04", tz="UTC"),
                                        pd.Timestamp("2020-07-17", tz="UTC")).all()
