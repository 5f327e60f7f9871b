"""A load asks once more for what is missing, writes down what stays missing, and leaves a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.config import Quality, Simulator
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.window import Window
from pipelines.errors import SourceUnavailable, StoreError
from pipelines.ingest import quality, quality_files
from pipelines.ingest.replay import replay
from pipelines.ingest.run import run
from pipelines.ingest.simulator import SimulatorProvider
from pipelines.ingest.slices import between
from pipelines.store import Warehouse, asof, gaps
from pipelines.store import quarantine as refused_rows

START = datetime(2024, 3, 4, tzinfo=UTC)
AT = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Exchange:
    """A market of hourly bars that forgets some of them: ``forgets`` maps a symbol to the hours (from START) that it
    leaves out of its first answers, and how often."""

    name = "exchange"

    def __init__(self, hours: dict[str, Iterable[int]], forgets: dict[str, dict[int, int]] | None = None,
                 late: dict[int, int] | None = None) -> None:
        self.frame = pd.concat([self._bars(symbol, list(opens), late or {}) for symbol, opens in hours.items()])
        self.frame = self.frame.sort_values("available_at", kind="stable", ignore_index=True)
        self.forgets = forgets or {}
        self.asked: list[tuple[float, float]] = []

    @staticmethod
    def _bars(symbol: str, hours: list[int], late: dict[int, int]) -> pd.DataFrame:
        times = pd.DatetimeIndex([pd.Timestamp(START + hour * HOUR) for hour in hours]).as_unit("us")
        close = 100 + np.array([hour * 37 % 11 for hour in hours], dtype=float)
        return pd.DataFrame({
            "symbol": symbol, "interval": "1h", "event_time": times,
            "available_at": times + pd.to_timedelta([1 + late.get(hour, 0) for hour in hours], unit="h"),
            "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1.0, "source": "test"})

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.BARS})

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.frame["symbol"])))

    def span(self) -> None:
        return None

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        self.asked.append(((window.start - START) / HOUR, (window.end - START) / HOUR))
        rows = between(self.frame, window)
        keep = []
        for symbol, at in zip(rows["symbol"], rows["event_time"], strict=True):
            hour = int((at - START) / HOUR)
            left = self.forgets.get(symbol, {}).get(hour, 0)
            if left:
                self.forgets[symbol][hour] = left - 1
            keep.append(not left and (symbols is None or symbol in symbols))
        return Batch({Kind.BARS: rows[keep].reset_index(drop=True)})


def day(number: int) -> Window:
    return Window(START + timedelta(days=number), START + timedelta(days=number + 1))


def waiting(warehouse: Warehouse) -> list[tuple[str, int, int, int, bool]]:
    return sorted((row.series, int((row.start - START) / HOUR), int((row.end - START) / HOUR), row.missing,
                   row.open_ended) for row in gaps.list_rows(warehouse, waiting=True).itertuples())


ALWAYS = 10**6


def test_missing_bars_are_asked_for_once_more_and_come(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 47), "ETHUSDT": range(-1, 47)},
                        {"BTCUSDT": {5: 1, 6: 1}, "ETHUSDT": {6: 1}})
    report = run(warehouse, exchange, day(0), at=AT)
    assert exchange.asked == [(0, 24), (6, 9)]
    assert (report.missing_bars, report.counts[Kind.BARS].inserted) == (0, 48)
    assert waiting(warehouse) == []


def test_what_does_not_come_is_written_down_once_and_not_asked_for_again(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 71)}, {"BTCUSDT": dict.fromkeys((5, 6, 30), ALWAYS)})
    assert run(warehouse, exchange, day(0), at=AT).missing_bars == 2
    assert waiting(warehouse) == [("BTCUSDT 1h", 5, 7, 2, False)]
    assert exchange.asked == [(0, 24), (6, 9)]
    assert run(warehouse, exchange, day(0), at=AT + timedelta(days=1)).missing_bars == 2
    assert exchange.asked[2:] == [(0, 24)]
    assert run(warehouse, exchange, day(1), at=AT).missing_bars == 1
    assert exchange.asked[3:] == [(24, 48), (31, 33)]
    found = waiting(warehouse)
    assert found == [("BTCUSDT 1h", 5, 7, 2, False), ("BTCUSDT 1h", 30, 31, 1, False)]
    run(warehouse, exchange, day(2), at=AT)
    assert exchange.asked[5:] == [(48, 72)]
    assert waiting(warehouse) == found
    assert len(asof.read(warehouse, Kind.BARS, as_of=AT)) == 72 - 3  # nothing was invented


def test_a_gap_at_the_end_is_open_until_the_late_bars_come(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 47)}, late={21: 5, 22: 30})
    assert run(warehouse, exchange, day(0), at=AT).missing_bars == 2
    assert waiting(warehouse) == [("BTCUSDT 1h", 21, 23, 2, True)]
    assert run(warehouse, exchange, day(1), at=AT + HOUR).missing_bars == 0  # of this day
    assert waiting(warehouse) == [("BTCUSDT 1h", 22, 23, 1, False)]
    known = gaps.list_rows(warehouse, waiting=True)
    assert [time.to_pydatetime() for time in known["found_at"]] == [AT]
    exchange.frame = pd.concat([exchange.frame, Exchange._bars("BTCUSDT", list(range(47, 71)), {})])
    run(warehouse, exchange, day(2), at=AT + 2 * HOUR)
    assert waiting(warehouse) == []
    closed = gaps.list_rows(warehouse)
    assert sorted(time.to_pydatetime() for time in closed["closed_at"]) == [AT + HOUR, AT + 2 * HOUR]


def test_not_listed_yet_and_not_any_more_are_no_gaps(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 71), "NEW": range(30, 71), "OLD": range(-1, 23)})
    assert [run(warehouse, exchange, day(number), at=AT).missing_bars for number in range(3)] == [0, 0, 0]
    assert waiting(warehouse) == []
    assert len(exchange.asked) == 3


def test_what_is_still_to_come_is_not_missing(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 10)})
    assert run(warehouse, exchange, day(0), at=START + 10.5 * HOUR).missing_bars == 0
    assert run(warehouse, exchange, day(0), at=START + 14.5 * HOUR).missing_bars == 4


def test_a_day_of_silence_is_a_gap_when_the_series_speaks_again(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 71), "ETHUSDT": [*range(-1, 23), *range(50, 71)]})
    assert [run(warehouse, exchange, day(number), at=AT).missing_bars for number in range(3)] == [0, 0, 27]
    assert waiting(warehouse) == [("ETHUSDT 1h", 23, 50, 27, False)]
    assert exchange.asked[-1] == (48, 52)  # the part of it that was due on this day


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]])
def test_days_in_any_order_end_in_the_same_gaps(warehouse, order):
    exchange = Exchange({"BTCUSDT": [hour for hour in range(-1, 71) if hour not in (5, 6, 22, 23, 24, 70)]},
                        late={40: 20})
    for number in order:
        run(warehouse, exchange, day(number), at=AT)
    assert waiting(warehouse) == [("BTCUSDT 1h", 5, 7, 2, False), ("BTCUSDT 1h", 22, 25, 3, False),
                                  ("BTCUSDT 1h", 70, 71, 1, True)]


def test_a_second_request_that_fails_leaves_the_first_answer(warehouse, tmp_path, monkeypatch):
    exchange = Exchange({"BTCUSDT": range(-1, 23)}, {"BTCUSDT": {5: ALWAYS}})
    fetch = exchange.fetch
    monkeypatch.setattr(exchange, "fetch", lambda window, kinds, symbols=None: (
        fetch(window, kinds, symbols) if symbols is None else _raise(SourceUnavailable("asleep"))))
    report = run(warehouse, exchange, day(0), at=AT, reports=tmp_path)
    assert (report.counts[Kind.BARS].inserted, report.missing_bars) == (23, 1)
    document = json.loads(Path(report.report).with_suffix(".json").read_text())
    assert "then the source failed (SourceUnavailable: asleep)" in document["asked_again"]


def _raise(error: Exception) -> Batch:
    raise error


def test_a_broken_row_in_both_answers_is_refused_once_and_its_repair_closes_the_gap(warehouse):
    exchange = Exchange({"BTCUSDT": range(-1, 47)})
    exchange.frame.loc[exchange.frame["event_time"] == pd.Timestamp(START + 5 * HOUR), "close"] = np.nan
    report = run(warehouse, exchange, day(0), at=AT)
    assert (report.refused, report.newly_refused, report.missing_bars) == (1, 1, 1)
    number = int(refused_rows.list_rows(warehouse)["id"][0])
    assert replay(warehouse, [number], at=AT + HOUR, patch={"close": 109.0}).replayed == (number,)
    assert waiting(warehouse) == []


def test_the_report_of_a_load_and_of_the_warehouse_agree(warehouse, tmp_path):
    world = Simulator(days=10, dirt=0.1, symbols=2)
    window = Window(world.start, world.start + timedelta(days=3))
    made = run(warehouse, SimulatorProvider(world), window, at=AT, reports=tmp_path)
    page = Path(made.report)
    assert page == tmp_path / "simulator" / "20240101T000000Z+20240104T000000Z.html"
    document = json.loads(page.with_suffix(".json").read_text())
    assert document["version"] == 1
    kinds = {entry["kind"]: entry for entry in document["kinds"]}
    for kind, counts in made.counts.items():
        assert (kinds[kind.value]["new"], kinds[kind.value]["revised"]) == (counts.inserted, counts.revised)
        assert [entry["name"] for entry in kinds[kind.value]["columns"]] == list(SCHEMAS[kind].columns)
    assert sum(entry["refused"] for entry in kinds.values()) == made.refused
    assert sum(entry["count"] for kind in kinds.values() for entry in kind["reasons"]) == made.refused
    assert document["missing_bars"] == made.missing_bars
    assert {row["series"] for row in document["freshness"]} >= {"BTCUSDT 1h", "vix"}
    stored = quality.from_warehouse(warehouse, "simulator", window, quality=Quality(), at=AT).to_dict()
    for field in ("version", "window", "freshness", "gaps", "missing_bars", "trades"):
        assert stored[field] == document[field]
    for entry in stored["kinds"]:
        ours = kinds[entry["kind"]]
        assert [entry[name] for name in ("rows", "new", "revised", "refused", "reasons")] == [
            ours[name] for name in ("rows", "new", "revised", "refused", "reasons")]
        by_name = {column["name"]: column for column in ours["columns"]}
        assert {column["name"]: column for column in entry["columns"]} == by_name
    checks = [(item["check"], item["series"], item["start"]) for item in document["findings"]]
    assert [(item["check"], item["series"], item["start"]) for item in stored["findings"]] == [
        item for item in checks if item[0] not in ("duplicates", "order")]


def test_a_rerun_replaces_the_report(warehouse, tmp_path):
    exchange = Exchange({"BTCUSDT": range(-1, 23)})
    first = run(warehouse, exchange, day(0), at=AT, reports=tmp_path).report
    once = run(warehouse, exchange, day(0), at=AT + HOUR, reports=tmp_path).report
    content = [path.read_bytes() for path in sorted((tmp_path / "exchange").iterdir())]
    again = run(warehouse, exchange, day(0), at=AT + 9 * HOUR, reports=tmp_path).report
    assert first == once == again == str(tmp_path / "exchange" / "2024-03-04.html")
    assert [path.read_bytes() for path in sorted((tmp_path / "exchange").iterdir())] == content
    assert sorted(path.name for path in (tmp_path / "exchange").iterdir()) == ["2024-03-04.html", "2024-03-04.json"]


def test_parts_of_a_source_have_reports_of_their_own(warehouse, tmp_path):
    exchange = Exchange({name: range(-1, 23) for name in "ABCDE"})
    names = [Path(run(warehouse, exchange, day(0), symbols=symbols, kinds=kinds, at=AT, reports=tmp_path).report).stem
             for symbols, kinds in ((["A"], None), (["B", "A"], None), (list("ABCD"), None), (None, [Kind.TRADES]))]
    assert names[:2] == ["2024-03-04_bars-A", "2024-03-04_bars-A-B"]
    assert len(names[2]) == len("2024-03-04_bars-") + 12
    assert names[3] == "2024-03-04_trades"


def test_a_report_that_cannot_be_written_says_so_and_the_facts_are_there(warehouse, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written to .*the facts themselves are stored"):
        run(warehouse, Exchange({"BTCUSDT": range(-1, 23)}), day(0), at=AT, reports=tmp_path / "file")
    assert len(asof.read(warehouse, Kind.BARS, as_of=AT)) == 24


@contextmanager
def command_line(url: str, home: Path) -> Iterator[CliRunner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEMARK_DATABASE_URL", url)
        patch.setenv("TIDEMARK_HOME", str(home))
        patch.setenv("TIDEMARK_SIMULATOR__DAYS", "10")
        patch.setenv("TIDEMARK_SIMULATOR__SYMBOLS", "1")
        config.settings.cache_clear()
        yield CliRunner()
    config.settings.cache_clear()


def test_by_hand(new_database, tmp_path):
    stretch = ["--start", "2024-01-02", "--end", "2024-01-03"]
    with command_line(new_database(), tmp_path) as runner:
        report = json.loads(runner.invoke(cli.app, ["ingest", *stretch, "--json"]).stdout)[0]
        assert report["report"] == str(tmp_path / "quality" / "simulator" / "2024-01-02.html")
        assert Path(report["report"]).is_file()
        shown = runner.invoke(cli.app, ["quality", *stretch, "--json"])
        document = json.loads(shown.stdout)
        assert shown.exit_code == 0
        assert document["page"] == str(tmp_path / "quality" / "by-hand" / "simulator" / "2024-01-02.html")
        assert {entry["kind"] for entry in document["kinds"]} == {"bars", "documents", "indicators"}
        people = runner.invoke(cli.app, ["quality", *stretch])
        assert "freshness" in people.stdout
        assert json.loads(runner.invoke(cli.app, ["gaps", "list", "--json"]).stdout) == []
        declared = json.loads(runner.invoke(cli.app, ["schema", "--json"]).stdout)
        assert [(row["kind"], row["column"]) for row in declared] == [
            (kind.value, name) for kind in Kind for name in SCHEMAS[kind].columns]
        people = runner.invoke(cli.app, ["schema", "--kind", "trades"])
        assert "exit_reason" in people.stdout


def test_the_name_of_a_report_stays_below_its_root(tmp_path):
    hostile = ["../../etc/passwd", "a/../../b", "..", "", "/etc/passwd", "a\x00b", "x" * 500, "-rf", ".hidden", "ü"]
    made = [quality_files.write(tmp_path, quality.quality_report.build(name, day(0), {}, part=name))
            for name in hostile]
    assert all(page.resolve().is_relative_to(tmp_path) and page.is_file() for page in made)
    for page in made:
        assert quality_files.find(tmp_path, page.parent.name, page.name) == page.resolve()
    (tmp_path.parent / "secret.html").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path.parent)
    for source, name in (("..", "secret.html"), ("link", "secret.html"), (".", "secret.html"), ("a", "../secret.html"),
                         ("%2e%2e", "secret.html"), ("exchange", "none.html"), ("exchange", "x.txt"), ("", ""),
                         ("a\n", "b.html"), ("a", "b.html\n"), ("a" * 200, "b.html")):
        assert quality_files.find(tmp_path, source, name) is None
