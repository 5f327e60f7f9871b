"""Each rule refuses what it should, nothing else, and no row is ever lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.errors import ContractError
from pipelines.ingest.checks import check, examine, interval_length, probable_unit

T = pd.Timestamp("2024-03-01 10:00", tz="UTC")
HOUR = pd.Timedelta(hours=1)
GOOD: dict[Kind, dict[str, Any]] = {
    Kind.BARS: {"symbol": "BTCUSDT", "interval": "1h", "event_time": T, "available_at": T + HOUR, "open": 10.0,
                "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0, "source": "test"},
    Kind.DOCUMENTS: {"source": "test", "doc_id": "a", "event_time": T, "available_at": T, "kind": "post",
                     "title": None, "text": "hello", "url": None, "engagement": 3.0},
    Kind.INDICATORS: {"name": "vix", "event_time": T, "available_at": T + HOUR, "value": 17.5, "source": "test",
                      "components": {"a": 1}},
    Kind.TRADES: {"source": "test", "trade_id": "1", "event_time": T, "available_at": T + HOUR, "symbol": "ADABTC",
                  "side": "long", "entry_price": 2.0, "size": 1.0, "closed_at": T + HOUR, "exit_price": 2.1,
                  "profit_ratio": 0.05, "exit_reason": "target"},
    Kind.LABELS: {"source": "test", "doc_id": "a", "event_time": T, "available_at": T + HOUR, "text": "hello",
                  "label": -0.5, "raters": 3.0},
}


def frame(kind: Kind, *changes: dict[str, Any]) -> pd.DataFrame:
    """Good rows of a kind with changes; times are zoned even where a row has none."""
    rows = [{**GOOD[kind], **change} for change in changes]
    made = {}
    for name in GOOD[kind]:
        values = [row[name] for row in rows]
        made[name] = (pd.Series(pd.to_datetime(values, utc=True)) if name.endswith(("_time", "_at"))
                      else pd.Series(values, dtype=object))
    return pd.DataFrame(made)


@pytest.mark.parametrize("kind", list(Kind))
def test_good_rows_pass_with_the_contract_s_types(kind):
    clean, refused = check(kind, frame(kind, {}), "test")
    assert refused == []
    assert tuple(clean.columns) == SCHEMAS[kind].columns
    types = {**dict.fromkeys(SCHEMAS[kind].key, "str"), **SCHEMAS[kind].values, "event_time": "time",
             "available_at": "time"}
    wanted = {"str": "str", "float": "float64", "time": "datetime64[us, UTC]", "json": "object"}
    assert {name: str(clean[name].dtype) for name in clean} == {name: wanted[type_] for name, type_ in types.items()}


BAD_ROWS = [
    (Kind.BARS, {"close": np.nan}, "close is missing"),
    (Kind.BARS, {"close": None}, "close is missing"),
    (Kind.BARS, {"close": "n/a"}, "close n/a is not a number"),
    (Kind.BARS, {"volume": np.inf}, "volume is infinite"),
    (Kind.BARS, {"low": -9.0}, "low -9.0 is not positive"),
    (Kind.BARS, {"open": 0.0}, "open 0.0 is not positive"),
    (Kind.BARS, {"volume": -1.0}, "volume -1.0 is negative"),
    (Kind.BARS, {"high": 8.0}, "high 8.0 is below low 9.0"),
    (Kind.BARS, {"close": 12.5}, "close 12.5 lies outside low 9.0 to high 12.0"),
    (Kind.BARS, {"open": 8.5}, "open 8.5 lies outside low 9.0 to high 12.0"),
    (Kind.BARS, {"symbol": None}, "symbol is missing"),
    (Kind.BARS, {"symbol": " "}, "symbol is empty"),
    (Kind.BARS, {"symbol": 7}, "symbol 7 is not a text"),
    (Kind.BARS, {"symbol": "B\x00TC"}, "symbol holds a NUL character"),
    (Kind.BARS, {"symbol": "B" * 501}, "symbol has 501 characters; at most 500 are taken"),
    (Kind.BARS, {"interval": "hour"}, "interval hour is unknown; write a number and m, h or d, such as 1h"),
    (Kind.BARS, {"interval": "0h"}, "interval 0h is unknown; write a number and m, h or d, such as 1h"),
    (Kind.BARS, {"event_time": T + pd.Timedelta(minutes=17), "available_at": T + 2 * HOUR},
     "event_time 2024-03-01T10:17:00+00:00 is not on the grid of 1h bars"),
    (Kind.BARS, {"interval": "1d"}, "event_time 2024-03-01T10:00:00+00:00 is not on the grid of 1d bars"),
    (Kind.BARS, {"available_at": T + pd.Timedelta(minutes=59)},
     "known at 2024-03-01T10:59:00+00:00, before the bar that opens at 2024-03-01T10:00:00+00:00 has closed"),
    (Kind.BARS, {"available_at": T - HOUR},
     "known at 2024-03-01T09:00:00+00:00, before it happened at 2024-03-01T10:00:00+00:00"),
    (Kind.BARS, {"event_time": pd.NaT}, "event_time is missing"),
    (Kind.BARS, {"available_at": pd.NaT}, "available_at is missing"),
    (Kind.BARS, {"event_time": pd.Timestamp("1970-01-20T17:00Z")},
     "event_time 1970-01-20T17:00:00+00:00 lies outside 1980 to 2100; it looks like seconds read as milliseconds, and "
     "would be 2023-12-17T08:00:00+00:00"),
    (Kind.BARS, {"event_time": pd.Timestamp("1970-01-01T00:28:24Z")},
     "event_time 1970-01-01T00:28:24+00:00 lies outside 1980 to 2100; it looks like seconds read as microseconds, and "
     "would be 2023-12-31T05:20:00+00:00"),
    (Kind.BARS, {"available_at": pd.Timestamp("2100-01-01T00:00Z")},
     "available_at 2100-01-01T00:00:00+00:00 lies outside 1980 to 2100; is its unit right?"),
    (Kind.LABELS, {"label": 4}, "label 4.0 lies outside -1 to 1; divide it by its scale"),
    (Kind.LABELS, {"label": "good"}, "label good is not a number"),
    (Kind.LABELS, {"label": None}, "label is missing"),
    (Kind.LABELS, {"raters": 0.0}, "raters 0.0 is below 1"),
    (Kind.LABELS, {"text": " "}, "text is empty"),
    (Kind.LABELS, {"available_at": T},
     "judged at 2024-03-01T10:00:00+00:00, not after it was written at 2024-03-01T10:00:00+00:00: nobody has read it "
     "yet"),
    (Kind.DOCUMENTS, {"text": ""}, "text is empty"),
    (Kind.DOCUMENTS, {"text": "\n\t "}, "text is empty"),
    (Kind.DOCUMENTS, {"text": None}, "text is missing"),
    (Kind.DOCUMENTS, {"text": 5}, "text 5 is not a text"),
    (Kind.DOCUMENTS, {"text": "x" * 100_001}, "text has 100001 characters; at most 100000 are taken"),
    (Kind.DOCUMENTS, {"title": "a\x00b"}, "title holds a NUL character"),
    (Kind.DOCUMENTS, {"text": "half \ud83d"}, "text is not valid Unicode; is its encoding right?"),
    (Kind.DOCUMENTS, {"url": "\udc00"}, "url is not valid Unicode; is its encoding right?"),
    (Kind.DOCUMENTS, {"kind": "tweet"}, "kind tweet is neither news nor post"),
    (Kind.DOCUMENTS, {"engagement": -1.0}, "engagement -1.0 is negative"),
    (Kind.DOCUMENTS, {"engagement": np.inf}, "engagement is infinite"),
    (Kind.DOCUMENTS, {"doc_id": None}, "doc_id is missing"),
    (Kind.INDICATORS, {"value": np.nan}, "value is missing"),
    (Kind.INDICATORS, {"value": -np.inf}, "value is infinite"),
    (Kind.INDICATORS, {"components": "text"}, "components text are not a JSON object"),
    (Kind.TRADES, {"side": "up"}, "side up is neither long nor short"),
    (Kind.TRADES, {"entry_price": 0.0}, "entry_price 0.0 is not positive"),
    (Kind.TRADES, {"size": -1.0}, "size -1.0 is not positive"),
    (Kind.TRADES, {"closed_at": T - HOUR}, "closed at 2024-03-01T09:00:00+00:00, before it was opened"),
    (Kind.TRADES, {"available_at": T, "closed_at": T + HOUR},
     "its outcome is known at 2024-03-01T10:00:00+00:00, before it was closed at 2024-03-01T11:00:00+00:00"),
]


@pytest.mark.parametrize(("kind", "change", "reason"), BAD_ROWS)
def test_a_bad_row_is_refused_with_its_reason(kind, change, reason):
    good, bad = {"symbol": "OTHER"} if "symbol" in GOOD[kind] else {"source": "other", "name": "other"}, change
    good = {name: value for name, value in good.items() if name in GOOD[kind]}
    if kind is Kind.TRADES:
        good["trade_id"] = "2"
    checked = examine(kind, frame(kind, good, bad), "feed")
    assert [row.reason for row in checked.refused] == [reason]
    assert (checked.refused[0].source, checked.refused[0].kind) == ("feed", kind.value)
    assert len(checked.clean) == 1


@pytest.mark.parametrize(("factor", "said"), [
    (10**-3, "seconds read as milliseconds"), (10**-6, "seconds read as microseconds"),
    (10**-9, "seconds read as nanoseconds"), (10**3, "milliseconds read as seconds"),
    (1, "is its unit right?"), (10, "is its unit right?")])
def test_a_time_in_the_wrong_unit_says_which(factor, said):
    at = pd.Timestamp(np.datetime64(round(T.timestamp() * 1e6 * factor), "us")).tz_localize("UTC")
    if factor == 1:
        at += pd.Timedelta(days=365 * 80)
    assert said in probable_unit(at)
    if factor not in (1, 10):
        assert "would be 2024-03-01T" in probable_unit(at)


@pytest.mark.parametrize(("kind", "change"), [
    (Kind.BARS, {"high": 10.0, "low": 10.0, "open": 10.0, "close": 10.0, "volume": 0.0}),
    (Kind.BARS, {"interval": "15m", "event_time": T + pd.Timedelta(minutes=15)}),
    (Kind.BARS, {"interval": "1d", "event_time": T.normalize(), "available_at": T + 30 * HOUR}),
    (Kind.BARS, {"available_at": T + 500 * HOUR}),
    (Kind.DOCUMENTS, {"text": "x" * 100_000}),
    (Kind.DOCUMENTS, {"text": "Ünïcödé 🚀 价格"}),
    (Kind.DOCUMENTS, {"engagement": None, "title": "", "url": ""}),
    (Kind.INDICATORS, {"value": -3.0, "components": None}),
    (Kind.TRADES, {"closed_at": None, "exit_price": None, "profit_ratio": None, "exit_reason": None,
                   "available_at": T}),
    (Kind.TRADES, {"profit_ratio": -0.4, "side": "short", "size": None}),
])
def test_unusual_rows_that_are_good(kind, change):
    checked = examine(kind, frame(kind, change), "test")
    assert [row.reason for row in checked.refused] == []
    assert len(checked.clean) == 1


def test_optional_columns_may_be_missing_and_others_not():
    documents = frame(Kind.DOCUMENTS, {})
    clean, _ = check(Kind.DOCUMENTS, documents.drop(columns=["title", "url", "engagement"]), "test")
    assert clean["title"].isna().all()
    with pytest.raises(ContractError, match=r"documents lack the columns \['text'\]; the contract has"):
        check(Kind.DOCUMENTS, documents.drop(columns="text"), "test")
    with pytest.raises(ContractError, match=r"have unknown columns \['score'\]"):
        check(Kind.DOCUMENTS, documents.assign(score=1), "test")


def test_times_without_a_zone_are_no_times():
    bars = frame(Kind.BARS, {})
    with pytest.raises(ContractError, match=r"bars\.event_time is datetime64\[.s\]; it has to be zoned times"):
        check(Kind.BARS, bars.assign(event_time=bars["event_time"].dt.tz_localize(None)), "test")


@pytest.mark.parametrize("kind", list(Kind))
def test_an_empty_frame_is_fine(kind):
    clean, refused = check(kind, pd.DataFrame({name: [] for name in SCHEMAS[kind].columns}), "test")
    assert (len(clean), refused) == (0, [])
    assert tuple(clean.columns) == SCHEMAS[kind].columns


def test_refused_rows_are_kept_whole_and_safe_for_json():
    row = check(Kind.DOCUMENTS, frame(Kind.DOCUMENTS, {"text": "half \ud83d", "engagement": np.inf}), "test")[1][0]
    assert row.event_time == T.to_pydatetime()
    assert row.payload == {
        "source": "test", "doc_id": "a", "event_time": "2024-03-01T10:00:00+00:00",
        "available_at": "2024-03-01T10:00:00+00:00", "kind": "post", "title": None, "text": "half \\ud83d",
        "url": None, "engagement": "inf"}


def test_deliveries_of_one_bar():
    """Same again: collapses. Other values later: a revision. Other values at the same time: nobody knows."""
    rows = frame(Kind.BARS, {}, {}, {"available_at": T + 2 * HOUR}, {"close": 10.5, "available_at": T + 3 * HOUR},
                 {"available_at": T + 4 * HOUR}, {"close": 9.5, "available_at": T + 4 * HOUR})
    checked = examine(Kind.BARS, rows, "test")
    assert [(row.available_at - T) / HOUR for row in checked.clean.itertuples()] == [1, 3, 4]
    assert list(checked.clean["close"]) == [11.0, 10.5, 11.0]
    assert checked.collapsed == 2
    assert [(row.payload["close"], row.reason.split(";")[0]) for row in checked.refused] == [
        (9.5, "a different row of the same fact claims the same available_at")]


def test_missing_values_and_components_compare_by_content():
    rows = frame(Kind.INDICATORS, {"components": {"a": 1, "b": 2}}, {"components": {"b": 2, "a": 1}})
    assert examine(Kind.INDICATORS, rows, "test").collapsed == 1
    assert examine(Kind.DOCUMENTS, frame(Kind.DOCUMENTS, {"engagement": None}, {"engagement": np.nan}),
                   "test").collapsed == 1


def test_clean_rows_come_by_availability():
    rows = frame(Kind.BARS, {"available_at": T + 5 * HOUR}, {"symbol": "ETHUSDT"})
    assert list(check(Kind.BARS, rows, "test")[0]["symbol"]) == ["ETHUSDT", "BTCUSDT"]


@pytest.mark.parametrize(("text", "hours"), [("1h", 1), ("15m", 0.25), ("1d", 24), ("4h", 4), ("1w", None), ("h", None),
                                             ("0m", None), ("1h ", None), ("1h\n", None)])
def test_interval_lengths(text, hours):
    length = interval_length(text)
    assert (None if length is None else length / HOUR) == hours


PRICE = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.5, 2.0), st.just("x"), st.none())
MINUTE = st.integers(-90, 300)


@st.composite
def raw_bars(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.lists(st.fixed_dictionaries({
        "symbol": st.sampled_from(["A", "B", "", None, "C\x00", "\ud800"]), "interval": st.sampled_from(["1h", "1x"]),
        "event": st.sampled_from([0, 60, 120, 17]), "delay": MINUTE, "open": PRICE, "high": PRICE, "low": PRICE,
        "close": PRICE, "volume": PRICE}), max_size=25))
    if draw(st.booleans()):
        rows = [*rows, *rows]
    made = [{**{name: row[name] for name in ("symbol", "interval", "open", "high", "low", "close", "volume")},
             "event_time": T + pd.Timedelta(minutes=row["event"]),
             "available_at": T + pd.Timedelta(minutes=row["event"] + row["delay"]), "source": "s"} for row in rows]
    return frame(Kind.BARS, *made) if made else frame(Kind.BARS, {}).iloc[:0]


@settings(max_examples=50)
@given(raw_bars())
def test_no_row_is_lost(raw):
    checked = examine(Kind.BARS, raw, "test")
    assert len(checked.clean) + len(checked.refused) + checked.collapsed == len(raw)
    again = examine(Kind.BARS, checked.clean, "test")
    assert (len(again.refused), again.collapsed) == (0, 0)
    pd.testing.assert_frame_equal(again.clean, checked.clean)
    clean = checked.clean
    assert (clean["high"] >= clean[["open", "low", "close"]].max(axis=1)).all()
    assert (clean["low"] > 0).all()
    assert (clean["available_at"] >= clean["event_time"] + HOUR).all()
    assert not clean.duplicated(["symbol", "interval", "event_time", "available_at"]).any()


TEXT = st.one_of(st.none(), st.integers(), st.text(max_size=20),
                 st.text(st.characters(codec=None, categories=["Cs", "Lu", "Cc"]), max_size=5))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), TEXT, TEXT, st.integers(0, 2)), max_size=25))
def test_no_document_is_lost_and_every_clean_one_can_be_stored(rows):
    raw = frame(Kind.DOCUMENTS, *({"doc_id": doc, "title": title, "text": text, "available_at": T + hours * HOUR}
                                  for doc, title, text, hours in rows)) if rows else frame(Kind.DOCUMENTS, {}).iloc[:0]
    checked = examine(Kind.DOCUMENTS, raw, "test")
    assert len(checked.clean) + len(checked.refused) + checked.collapsed == len(raw)
    for text in [*checked.clean["text"], *checked.clean["title"].dropna()]:
        assert "\x00" not in text
        text.encode("utf-8")
