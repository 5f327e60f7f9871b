"""A directory as a provider: what became available when, for whom, and only what was asked for is read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError
from pipelines.ingest.files import FilesProvider, parse

MANIFEST = """
name = "mine"
[[file]]
path = "*_1h.csv"
kind = "bars"
symbol_from_path = '([A-Z]+)_1h'
constants = { interval = "1h" }
time = "t"
available = "at_close"
[[file]]
path = "posts.csv"
kind = "documents"
constants = { kind = "post" }
columns = { doc_id = "id" }
time = "t"
available = "at_event"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for symbol in ("AAA", "BBB"):
        (tmp_path / f"{symbol}_1h.csv").write_text(
            "t,open,high,low,close,volume\n"
            + "".join(f"2021-06-10 {hour:02d}:00,1,2,1,2,{hour}\n" for hour in range(24)))
    (tmp_path / "posts.csv").write_text(
        "t,id,text\n2021-06-10 12:00,a,hello\nnever,b,lost\n2021-06-11 12:00,c,bye\n")
    return tmp_path


def test_it_is_a_provider(directory):
    provider = FilesProvider(directory, parse(MANIFEST))
    assert isinstance(provider, Provider)
    assert provider.name == "mine"
    assert provider.kinds() == {Kind.BARS, Kind.DOCUMENTS}
    assert provider.symbols() == ("AAA", "BBB")


def test_a_window_holds_what_became_available_in_it(directory):
    provider = FilesProvider(directory, parse(MANIFEST))
    frame = provider.fetch(Window.day("2021-06-10"), [Kind.BARS]).frames[Kind.BARS]
    assert len(frame) == 2 * 23  # the bar of 23:00 closes on the next day
    assert frame["available_at"].min() == datetime(2021, 6, 10, 1, tzinfo=UTC)
    assert frame["available_at"].is_monotonic_increasing
    late = provider.fetch(Window.day("2021-06-11"), [Kind.BARS]).frames[Kind.BARS]
    assert list(late["volume"]) == [23, 23]
    assert len(provider.fetch(Window.day("2021-06-12"), [Kind.BARS]).frames[Kind.BARS]) == 0


def test_symbols_limit_bars_and_not_documents(directory):
    batch = FilesProvider(directory, parse(MANIFEST)).fetch(Window.day("2021-06-10"), list(Kind), ["BBB"])
    assert set(batch.frames) == {Kind.BARS, Kind.DOCUMENTS}
    assert set(batch.frames[Kind.BARS]["symbol"]) == {"BBB"}
    assert list(batch.frames[Kind.DOCUMENTS]["doc_id"]) == ["a"]


def test_files_of_kinds_that_nobody_asked_for_stay_shut(directory):
    (directory / "posts.csv").write_text("")
    provider = FilesProvider(directory, parse(MANIFEST))
    assert len(provider.fetch(Window.day("2021-06-10"), [Kind.BARS], ["AAA"]).frames[Kind.BARS]) == 23
    with pytest.raises(SourceError):
        provider.fetch(Window.day("2021-06-10"), [Kind.DOCUMENTS])


def test_an_unreadable_row_is_reported_by_one_window_only(directory):
    provider = FilesProvider(directory, parse(MANIFEST))
    refused = [provider.fetch(Window.day(day), list(Kind)).refused for day in ("2021-06-10", "2021-06-11")]
    assert [len(rows) for rows in refused] == [1, 0]
    assert refused[0][0].payload["text"] == "lost"


def test_span_covers_everything(directory):
    provider = FilesProvider(directory, parse(MANIFEST))
    span = provider.span()
    assert span.start == datetime(2021, 6, 10, 1, tzinfo=UTC)
    assert span.end == datetime(2021, 6, 11, 12, 0, 0, 1, tzinfo=UTC)
    batch = provider.fetch(span, list(Kind))
    assert {kind: len(frame) for kind, frame in batch.frames.items()} == {Kind.BARS: 48, Kind.DOCUMENTS: 2}


def test_symbols_inside_a_file(directory):
    (directory / "all.csv").write_text("t,pair,open,high,low,close,volume\n2021-06-10,X/Y,1,2,1,2,3\n")
    provider = FilesProvider(directory, parse("""
name = "mine"
[[file]]
path = "all.csv"
kind = "bars"
constants = { interval = "1h" }
columns = { symbol = "pair" }
symbols = { "X/Y" = "XY" }
time = "t"
available = "at_close"
"""))
    assert provider.symbols() == ("XY",)
    day = Window.day("2021-06-10")
    assert len(provider.fetch(day, [Kind.BARS], ["XY"]).frames[Kind.BARS]) == 1
    assert len(provider.fetch(day, [Kind.BARS], ["other"]).frames[Kind.BARS]) == 0


def test_no_symbol_left_is_an_empty_frame(directory):
    frame = FilesProvider(directory, parse(MANIFEST)).fetch(Window.day("2021-06-10"), [Kind.BARS], []).frames[Kind.BARS]
    assert len(frame) == 0
    assert "event_time" in frame


def test_empty_files_have_no_span(directory):
    for path in directory.glob("*_1h.csv"):
        path.write_text("t,open,high,low,close,volume\n")
    (directory / "posts.csv").write_text("t,id,text\n")
    assert FilesProvider(directory, parse(MANIFEST)).span() is None


def test_a_pattern_that_matches_nothing(directory):
    with pytest.raises(ConfigError, match=r"no file matches 'none\.csv' in .*; correct the path"):
        FilesProvider(directory, parse(MANIFEST.replace("posts.csv", "none.csv")))


def test_settings_say_where(directory, tmp_path_factory):
    (directory / "source.toml").write_text(MANIFEST)
    assert FilesProvider.from_settings(Settings(data_dir=directory)).symbols() == ("AAA", "BBB")
    elsewhere = tmp_path_factory.mktemp("manifests") / "my.toml"
    elsewhere.write_text(MANIFEST.replace('"mine"', '"other"'))
    assert FilesProvider.from_settings(Settings(data_dir=directory, manifest=elsewhere)).name == "other"


def test_settings_that_lead_nowhere(directory):
    with pytest.raises(ConfigError, match="TIDEMARK_DATA_DIR is not set"):
        FilesProvider.from_settings(Settings(data_dir=None))
    with pytest.raises(ConfigError, match="is not a directory"):
        FilesProvider.from_settings(Settings(data_dir=directory / "nowhere"))
    with pytest.raises(ConfigError, match="no manifest"):
        FilesProvider.from_settings(Settings(data_dir=directory))
