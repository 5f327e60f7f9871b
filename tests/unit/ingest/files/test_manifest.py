"""A manifest that is wrong says what is wrong and what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError
from pipelines.ingest.files.manifest import At, Delay, TimeSpec, load, parse

BARS = """
name = "mine"
[[file]]
path = "*.csv"
kind = "bars"
constants = { symbol = "X", interval = "1h" }
time = "t"
available = "at_close"
"""


def with_line(line: str, text: str = BARS) -> str:
    return f"{text}\n{line}\n"


def test_a_small_manifest():
    manifest = parse(BARS)
    entry = manifest.entries[0]
    assert (manifest.name, entry.kind, entry.time, entry.file_format) == (
        "mine", Kind.BARS, TimeSpec(column="t"), "csv")


@pytest.mark.parametrize(("available", "expected"), [
    ('"next_day"', "next_day"),
    ('{ delay = "1d" }', Delay(delay="1d")),
    ('{ at = 2022-12-01T00:00:00Z }', At(at=datetime(2022, 12, 1, tzinfo=UTC))),
    ('{ column = "seen", unit = "ms" }', TimeSpec(column="seen", unit="ms")),
])
def test_availability_rules(available, expected):
    assert parse(BARS.replace('"at_close"', available)).file[0].available == expected


def test_disabled_entries_are_left_out():
    assert parse(with_line("enabled = false")).entries == ()


def test_delay_is_a_length_of_time():
    assert Delay(delay="90min").length == timedelta(minutes=90)


@pytest.mark.parametrize(("line", "message"), [
    ("colums = { open = 'o' }", r"file\.0\.colums: unknown key; did you mean 'columns'\?"),
    ("zzz = 1", r"file\.0\.zzz: unknown key; known are \['path'"),
    ("columns = { opn = 'o' }", r"columns names \['opn'\], which bars do not have; they have"),
    ("columns = { available_at = 'o' }", r"times are set by time and available"),
    ("columns = { symbol = 's' }", r"\['symbol'\] are both a column and a constant"),
    ("wide = { vix = 'close' }", r"wide and components are for indicators"),
    ("identity = ['a']", r"identity is for documents, labels and trades"),
    ("judgements = { good = 1 }", r"judgements and scale are for labels"),
    ("scale = 4", r"judgements and scale are for labels"),
    ("symbol_from_path = '([A-Z]+'", r"is not a regular expression"),
    ("symbol_from_path = '[A-Z]+'", r"has 0 groups; put the symbol in exactly one"),
    ("symbol_from_path = '([A-Z]+)'", r"the symbol is stated twice"),
    ("duplicates = 'middle'", r"file\.0\.duplicates: Input should be 'first' or 'last'"),
    ("format = 'xml'", r"file\.0\.format: Input should be 'csv', 'parquet', 'jsonl' or 'freqtrade'"),
    ("text_limit = 0", r"file\.0\.text_limit"),
])
def test_a_wrong_key_is_named(line, message):
    with pytest.raises(ConfigError, match=message):
        parse(with_line(line), "x.toml")


@pytest.mark.parametrize(("old", "new", "message"), [
    ('path = "*.csv"', 'path = "../x.csv"', r"leaves the data directory"),
    ('path = "*.csv"', 'path = "/x.csv"', r"leaves the data directory"),
    ('time = "t"', 'time = { column = "t", zone = "Mars/Base" }', r"no time zone 'Mars/Base'; write an IANA name"),
    ('time = "t"', 'time = { column = "t", colunm = "t" }', r"time\.colunm: unknown key; did you mean 'column'"),
    ('time = "t"', 'time = { column = "t", unit = "s", format = "%Y" }', r"format and unit exclude each other"),
    ('time = "t"', 'time = { column = "t", unit = "shuffled" }', r"start and over belong to unit = .shuffled., which"),
    ('time = "t"', 'time = { column = "t", over = "9d" }', r"start and over belong to unit = .shuffled."),
    ('time = "t"', 'time = { column = "t", unit = "shuffled", start = 2020-01-01T00:00:00Z, over = "long" }',
     r"'long' is not a delay"),
    ('time = "t"', 'time = { column = "t", unit = "shuffled", start = 2020-01-01T00:00:00, over = "9d" }',
     r"has no zone"),
    ('time = "t"', "", r"file\.0\.time: Field required"),
    ('"at_close"', '{ delay = "soon" }', r"'soon' is not a delay; write a whole number and d, h, min or s"),
    ('"at_close"', '{ delay = "-1d" }', r"'-1d' is not a delay"),
    ('"at_close"', '{ at = "2022-12-01T00:00:00" }', r"has no zone"),
    ('"at_close"', '"at_opening"', r"file\.0\.available"),
    ('kind = "bars"', 'kind = "candles"', r"file\.0\.kind: Input should be"),
    ('name = "mine"', 'name = "Not Mine"', r"name: String should match"),
    ('name = "mine"', 'name = "mine', r"x\.toml is not TOML"),
    ('[[file]]', '[[files]]', r"files: unknown key; did you mean 'file'"),
])
def test_a_wrong_value_is_named(old, new, message):
    with pytest.raises(ConfigError, match=message):
        parse(BARS.replace(old, new), "x.toml")


@pytest.mark.parametrize(("body", "message"), [
    ('kind = "documents"\navailable = "at_close"', r"at_close is for bars and trades"),
    ('kind = "labels"\navailable = "at_event"', r"nobody judges a text in the moment it is written"),
    ('kind = "trades"\navailable = "at_close"', r"at_close needs columns.closed_at"),
    ('kind = "indicators"\navailable = "next_day"\nwide = { a = "b" }\nconstants = { name = "x" }',
     r"wide already says names and values"),
])
def test_contradictions_of_other_kinds(body, message):
    with pytest.raises(ConfigError, match=message):
        parse(f'name = "mine"\n[[file]]\npath = "x.csv"\ntime = "t"\n{body}')


@pytest.mark.parametrize(("path", "expected"), [
    ("a.csv", "csv"), ("a.csv.gz", "csv"), ("b/c.PARQUET", "parquet"), ("d.jsonl.gz", "jsonl"), ("e.ndjson", "jsonl")])
def test_the_name_says_the_format(path, expected):
    assert parse(BARS.replace("*.csv", path)).file[0].file_format == expected


def test_a_name_without_format_needs_one():
    entry = parse(BARS.replace("*.csv", "prices")).file[0]
    with pytest.raises(ConfigError, match="does not say its format; add format"):
        entry.file_format  # noqa: B018
    assert parse(with_line("format = 'jsonl'", BARS.replace("*.csv", "prices"))).file[0].file_format == "jsonl"


def test_a_missing_manifest(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no manifest .*source\.toml; write one"):
        load(tmp_path / "source.toml")


@pytest.mark.parametrize("name", ["shared", "as_found", "stocknet", "labelled"])
def test_our_own_manifests_are_good(name):
    assert load(Path(__file__).parents[3] / "data" / f"{name}.toml").entries
