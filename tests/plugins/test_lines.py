"""What DAG files know while they are parsed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.config import Settings
from pipelines.contracts.line import load_lines
from pipelines.features import columns
from tidemark_airflow import lines


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("TIDEMARK_LINES_DIR", "TIDEMARK_SCHEDULE_END", "TIDEMARK_SCHEDULE_INGEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    lines._stack_file.cache_clear()
    yield
    lines._stack_file.cache_clear()


def test_it_agrees_with_the_full_reader_on_every_line_we_ship() -> None:
    full = load_lines(Settings.model_fields["lines_dir"].default)
    assert {(line.name, line.title, line.owner, line.approval, line.workers, line.symbols,
             line.on_bars) for line in lines.lines()} \
        == {(line.name, line.title, line.owner, line.gate.approval, line.search.workers, line.symbols,
             line.on_bars)
            for line in full.values()}


def test_only_lines_on_bars_are_predicted_and_watched() -> None:
    assert {line.name for line in lines.lines()} - {line.name for line in lines.bar_lines()} == {
        "text_polarity", "trade_win"}


def test_its_defaults_are_those_of_the_settings() -> None:
    assert lines.schedule_ingest() == Settings.model_fields["schedule_ingest"].default
    assert lines.schedule_end() is None


@pytest.mark.parametrize(("text", "expected"), [
    ("2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
    ("2024-01-01T02:00:00+02:00", datetime(2024, 1, 1, tzinfo=UTC)),
])
def test_schedule_end_is_utc(monkeypatch: pytest.MonkeyPatch, text: str, expected: datetime) -> None:
    monkeypatch.setenv("TIDEMARK_SCHEDULE_END", text)
    assert lines.schedule_end() == expected


def test_the_environment_comes_before_the_stack_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stack.env").write_text("# a comment\nTIDEMARK_SCHEDULE_INGEST=5 0 * * *\n", encoding="utf-8")
    assert lines.schedule_ingest() == "5 0 * * *"
    monkeypatch.setenv("TIDEMARK_SCHEDULE_INGEST", "9 0 * * *")
    assert lines.schedule_ingest() == "9 0 * * *"


@pytest.mark.parametrize("text", ["name = ", "name = 'x'\n", "name='x'\ntitle='y'\nsearch=3\n"])
def test_a_broken_line_names_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"broken\.toml is not a line"):
        lines.lines()


def test_a_line_of_many_symbols_is_cut_as_the_library_cuts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    symbols = [f"S{number:03d}" for number in range(130, 0, -1)]
    for name, chosen in (("wide_1h", symbols), ("narrow_1h", symbols[:lines.CHUNK]), ("every_1h", [])):
        text = (lines.ROOT / "mlflow" / "lines" / "direction_1h.toml").read_text(encoding="utf-8")
        text = text.replace('name = "direction_1h"', f'name = "{name}"', 1).replace(
            'groups = ["returns"', 'groups = ["cross_asset", "returns"', 1)
        kept = [row for row in text.splitlines() if not row.startswith("symbols")]
        kept.insert(kept.index(f'name = "{name}"') + 1, f"symbols = {chosen}".replace("'", '"'))
        (tmp_path / f"{name}.toml").write_text("\n".join(kept), encoding="utf-8")
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(tmp_path))
    assert [line.name for line in lines.wide_lines()] == ["wide_1h"]
    parts = lines.wide_lines()[0].parts()
    assert list(parts) == columns.parts(load_lines(tmp_path)["wide_1h"], symbols)
    assert [len(part) for part in parts] == [64, 64, 2, 0]


def test_before_a_task_only_the_line_of_its_dag_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines.asked_for(lines.lines()) == lines.lines()
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "monitor_direction_1h")
    assert [line.name for line in lines.asked_for(lines.lines())] == ["direction_1h"]
