"""Small files in every shape the manifest knows, against the rows they hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.errors import ConfigError, SourceError
from pipelines.ingest.checks import examine
from pipelines.ingest.files.manifest import Entry
from pipelines.ingest.files.reader import map_table, read


def entry(**words: object) -> Entry:
    return Entry.model_validate({
        "path": "x.csv", "kind": "bars", "time": {"column": "t", "unit": "auto"}, "available": "at_close",
        "constants": {"symbol": "BTCUSDT", "interval": "1h"}, **words})


def rows(path: Path, item: Entry) -> list[list[object]]:
    """Event time, availability (both without zone) and close of each row."""
    frame = map_table(path, item, "test").frame
    return [[f"{event:%m-%d %H:%M}", f"{known:%m-%d %H:%M}", close]
            for event, known, close in zip(frame["event_time"], frame["available_at"], frame["close"], strict=True)]


@pytest.fixture
def bars(tmp_path: Path):
    """Write a CSV of bars from (time, close) pairs."""
    def write(*pairs: tuple[object, object], name: str = "x.csv") -> Path:
        text = "t,open,high,low,close,volume\n" + "".join(f"{t},1,9,1,{close},5\n" for t, close in pairs)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path
    return write


def test_newest_first_with_seconds_and_milliseconds_mixed(bars):
    path = bars((1623283200000, 3), (1623279600, 2), (1623276000000, 1), name="x.csv.gz")
    assert rows(path, entry()) == [
        ["06-09 22:00", "06-09 23:00", 1], ["06-09 23:00", "06-10 00:00", 2], ["06-10 00:00", "06-10 01:00", 3]]


def test_offsets_of_a_clock_change(bars):
    path = bars(("2020-10-25 01:00:00+03:00", 1), ("2020-10-25 01:00:00+02:00", 2), ("2020-10-25 02:00:00+02:00", 3))
    assert [row[0] for row in rows(path, entry())] == ["10-24 22:00", "10-24 23:00", "10-25 00:00"]


@pytest.mark.parametrize(("winner", "closes"), [("first", [2, 1]), ("last", [2, 3])])
def test_duplicates_have_a_winner_in_file_order(bars, winner, closes):
    path = bars((1623279600, 1), (1623276000, 2), (1623279600, 3))
    assert [row[2] for row in rows(path, entry(duplicates=winner))] == closes


def test_without_a_winner_a_contradiction_is_refused(bars):
    path = bars(("2021-06-10 02:00", 1), ("2021-06-10 01:00", 2), ("2021-06-10 02:00", 3))
    checked = examine(entry().kind, map_table(path, entry(), "test").frame, "test")
    assert list(checked.clean["close"]) == [2, 1]
    assert [row.payload["close"] for row in checked.refused] == [3]
    assert "state a winner" in checked.refused[0].reason


@pytest.mark.parametrize(("available", "expected"), [
    ("at_event", "06-10 00:00"), ("at_close", "06-10 01:00"), ("next_day", "06-11 00:00"),
    ({"delay": "36h"}, "06-11 12:00"), ({"at": "2022-12-01T05:00:00Z"}, "12-01 05:00"),
    ({"column": "close", "unit": "s"}, "06-12 00:00")])
def test_availability(bars, available, expected):
    path = bars(("2021-06-10", 1623456000))
    assert rows(path, entry(available=available, columns={"volume": "close"}))[0][1] == expected


def test_next_day_follows_the_clock_of_its_zone(bars):
    path = bars(("2021-11-07", 1), ("2021-11-08", 2))
    zone = {"column": "t", "unit": "date", "zone": "America/New_York"}
    assert [row[:2] for row in rows(path, entry(time=zone, available="next_day"))] == [
        ["11-07 04:00", "11-08 05:00"], ["11-08 05:00", "11-09 05:00"]]


def test_unreadable_times_are_refused_whole_and_once(bars):
    path = bars(("2021-06-10 00:00", 1), ("soon", 2), ("2021-06-10 02:00", 3), ("", 4))
    facts = map_table(path, entry(), "test")
    assert list(facts.frame["close"]) == [1, 3]
    first, second = facts.refused["row"]
    assert first.reason == "t 'soon' in x.csv names no instant (read as auto in UTC)"
    assert (first.payload["close"], first.payload["event_time"]) == (2, "soon")
    assert second.payload["close"] == 4
    # Each is placed with the row before it, so that one window alone reports it.
    assert [f"{at:%H:%M}" for at in facts.refused["available_at"]] == ["01:00", "03:00"]


@pytest.mark.parametrize(("unit", "odd", "reason"), [
    ("s", 1623279600000, "t '1623279600000' in x.csv names no instant (read as s in UTC; it looks like ms)"),
    ("s", 1623279, "event_time 1970-01-19T18:54:39+00:00 in x.csv lies outside 1980 to 2100; it looks like seconds "
                   "read as milliseconds, and would be 2021-06-09T22:50:00+00:00"),
    ("s", 162327960, "event_time 1975-02-22T19:06:00+00:00 in x.csv lies outside 1980 to 2100; is its unit right?"),
])
def test_a_time_in_another_unit_is_refused_in_the_window_of_its_neighbours(bars, unit, odd, reason):
    """Its own window is one that nobody asks for: left among the facts, it would be lost without a word."""
    path = bars((1623276000, 1), (odd, 2), (1623283200, 3))
    facts = map_table(path, entry(time={"column": "t", "unit": unit}), "test")
    assert list(facts.frame["close"]) == [1, 3]
    assert [row.reason for row in facts.refused["row"]] == [reason]
    assert [f"{at:%m-%d %H:%M}" for at in facts.refused["available_at"]] == ["06-09 23:00"]


def test_a_file_without_one_readable_time_is_refused_as_a_whole(bars):
    with pytest.raises(SourceError, match=r"no row of .*x\.csv can be read: t 'soon'.*correct the manifest"):
        map_table(bars(("soon", 1), ("later", 2)), entry(), "test")


def test_an_empty_file_has_no_rows(bars):
    facts = map_table(bars(), entry(), "test")
    assert len(facts.frame) == len(facts.refused) == 0


def test_words_where_numbers_should_be_reach_the_checks(bars):
    path = bars(("2021-06-10 02:00", "n/a"), ("2021-06-10 03:00", "twelve"))
    frame = map_table(path, entry(), "test").frame
    reasons = [row.reason for row in examine(entry().kind, frame, "test").refused]
    assert reasons == ["close is missing", "close twelve is not a number"]


def test_a_wrong_column_is_named_with_the_file(bars):
    path = bars((1609466400, 1))
    with pytest.raises(ConfigError, match=r"x\.csv has no column 'Volume BTC'; it has \['t', 'open'"):
        map_table(path, entry(columns={"volume": "Volume BTC"}), "test")
    with pytest.raises(ConfigError, match="has no column 'when'"):
        map_table(path, entry(time="when"), "test")


def test_a_line_with_too_many_fields_is_refused_not_lost(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("t,open,high,low,close,volume\n1609462800,1,9,1,2,5\n1609466400,1,9,1,2,5,SURPLUS\n1609470000,1,9,1,2\n")
    facts = map_table(path, entry(time={"column": "t", "unit": "s"}), "test")
    assert len(facts.frame) == 2  # the short line is a row without volume, which the checks refuse
    assert facts.frame["volume"].isna().tolist() == [False, True]
    assert "SURPLUS" in facts.refused["row"][0].payload["line"]


def test_a_header_that_is_too_short(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("t,open,high,low,close,volume\n1609462800,1,9,1,2,5,7\n1609466400,1,9,1,2,5,7\n")
    with pytest.raises(SourceError, match="more fields than its header"):
        map_table(path, entry(), "test")


def test_separator_and_encoding(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_bytes("t;text\n2021-06-10;Tiefe für Käufer\n".encode("latin-1"))
    words = {"kind": "documents", "constants": {"kind": "news"}, "available": "at_event", "separator": ";"}
    good = map_table(path, entry(**words, encoding="latin-1"), "test").frame
    assert good["text"][0] == "Tiefe für Käufer"
    bad = examine(entry(**words).kind, map_table(path, entry(**words), "test").frame, "test")
    assert len(bad.clean) == 0
    assert bad.refused[0].reason == "text is not valid Unicode; is its encoding right?"
    assert r"\xfcr K" in bad.refused[0].payload["text"]


def test_json_lines_and_their_broken_lines(tmp_path: Path):
    path = tmp_path / "posts.jsonl.gz"
    good = [{"when": 1623283200 + i, "body": f"text {i}", "n": i} for i in range(3)]
    lines = [json.dumps(good[0]), '{"when": 162328', "", "[1, 2]", json.dumps(good[1]), json.dumps(good[2])]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    item = entry(path="posts.jsonl.gz", kind="documents", constants={"kind": "post"}, columns={"text": "body"},
                 time="when", available={"delay": "1min"}, identity=["n"])
    facts = map_table(path, item, "test")
    assert list(facts.frame["text"]) == ["text 0", "text 1", "text 2"]
    assert list(facts.frame["doc_id"]) == ["0", "1", "2"]
    assert [row.payload["line"] for row in facts.refused["row"]] == ['{"when": 162328', "[1, 2]"]
    assert facts.refused["available_at"].nunique() == 1


def test_documents_without_identity_are_named_by_their_content(tmp_path: Path):
    path = tmp_path / "news.csv"
    path.write_text("t,title,text\n2021-06-10,A,one\n2021-06-10,A,two\n2021-06-10,A,one\n2021-06-11,,one\n")
    item = entry(kind="documents", constants={"kind": "news"}, columns={"title": "title"}, available="at_event",
                 text_limit=2)
    frame = map_table(path, item, "test").frame
    names = list(frame["doc_id"])
    assert names[0] == names[2]
    assert len(set(names)) == 3
    assert list(map_table(path, item, "test").frame["doc_id"]) == names
    assert list(frame["text"]) == ["on", "tw", "on", "on"]
    assert list(frame["source"]) == ["test"] * 4


def test_a_named_document_without_a_name_is_refused(tmp_path: Path):
    path = tmp_path / "news.csv"
    path.write_text("t,id,text\n2021-06-10,007,one\n2021-06-10,,two\n")
    item = entry(kind="documents", constants={"kind": "news"}, columns={"doc_id": "id"}, available="at_event")
    checked = examine(item.kind, map_table(path, item, "test").frame, "test")
    assert list(checked.clean["doc_id"]) == ["007"]
    assert [row.reason for row in checked.refused] == ["doc_id is missing"]


def test_wide_indicators_become_long(tmp_path: Path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"t": ["2021-06-10", "2021-06-11"], "bull": [0.4, None], "bear": [0.3, 0.2],
                  "note": ["a", None]}).to_parquet(path)
    words = {"path": "x.parquet", "kind": "indicators", "constants": {"source": "aaii"}, "available": "next_day",
             "wide": {"aaii_bull": "bull", "aaii_bear": "bear"}, "components": ["note"]}
    frame = map_table(path, entry(**words, skip_missing=True), "test").frame
    assert sorted(zip(frame["name"], frame["value"], strict=True)) == [
        ("aaii_bear", 0.2), ("aaii_bear", 0.3), ("aaii_bull", 0.4)]
    assert [value["note"] for value in frame["components"]] == ["a", "a", None]
    assert len(examine(entry(**words).kind, map_table(path, entry(**words), "test").frame, "test").refused) == 1


def test_trades_are_known_when_they_close(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("opened,closed,pair,px,out\n2021-06-10 00:00,2021-06-10 05:00,ADA/BTC,1.5,1.6\n"
                    "2021-06-10 01:00,,ADA/BTC,1.5,\n2021-06-10 02:00,soon,ADA/BTC,1.5,1.7\n")
    item = entry(kind="trades", constants={"side": "long"}, time="opened", symbols={"ADA/BTC": "ADABTC"},
                 columns={"symbol": "pair", "entry_price": "px", "exit_price": "out", "closed_at": "closed"})
    facts = map_table(path, item, "test")
    assert [f"{at:%H:%M}" for at in facts.frame["available_at"]] == ["05:00"]
    assert list(facts.frame["symbol"]) == ["ADABTC"]
    assert [row.reason for row in facts.refused["row"]] == [
        "nothing in x.csv says when the row could be known", "closed 'soon' in x.csv names no instant (read as auto "
        "in UTC)"]


def test_a_changed_file_is_read_again(bars):
    path = bars((1609466400, 1))
    assert list(read(path, entry(), "test").frame["close"]) == [1]
    assert read(path, entry(), "test") is read(path, entry(), "test")
    bars((1609466400, 1), (1609470000, 2))
    assert list(read(path, entry(), "test").frame["close"]) == [1, 2]


@pytest.mark.parametrize(("name", "content"), [
    ("x.parquet", b"not parquet"), ("x.csv.gz", b"not gzip"), ("x.csv", b""), ("x.jsonl.gz", b"not gzip")])
def test_a_broken_file_is_a_source_error(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read as"):
        map_table(path, entry(path=name), "test")


def test_a_symbol_that_the_path_does_not_hold(bars):
    item = entry(constants={"interval": "1h"}, symbol_from_path="([A-Z]{5})_1h")
    with pytest.raises(ConfigError, match="finds nothing in"):
        map_table(bars((1609466400, 1)), item, "test")


def test_judgements_come_as_words_or_on_another_scale(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("t,id,what,said,stars\n2021-06-10,1,fine,pos,4\n2021-06-10,2,ugly,neg,-2\n2021-06-10,3,hm,meh,x\n")
    shared = {"kind": "labels", "constants": {}, "time": "t", "available": {"delay": "1h"}}
    words = entry(**shared, columns={"doc_id": "id", "text": "what", "label": "said"}, judgements={"pos": 1, "neg": -1})
    stars = entry(**shared, columns={"doc_id": "id", "text": "what", "label": "stars"}, scale=4)
    for item, numbers, reason in ((words, [1.0, -1.0], "label meh is not a number"),
                                  (stars, [1.0, -0.5], "label x is not a number")):
        checked = examine(item.kind, map_table(path, item, "test").frame, "test")
        assert checked.clean["label"].tolist() == numbers
        assert [row.reason for row in checked.refused] == [reason]
        assert (checked.clean["available_at"] - checked.clean["event_time"] == pd.Timedelta("1h")).all()


def test_labels_without_a_name_are_named_by_what_they_say(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("t,text,label\n2021-06-10,one,1\n2021-06-10,one,1\n2021-06-10,two,-1\n")
    item = entry(kind="labels", constants={}, time="t", available={"delay": "1h"})
    checked = examine(item.kind, map_table(path, item, "test").frame, "test")
    assert (len(checked.clean), checked.collapsed) == (2, 1)
