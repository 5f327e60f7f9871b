"""What people see: a table where it can be read, blocks where it cannot, times without clutter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from pipelines.cli import output


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "out", Console(width=60, highlight=False))


def test_a_few_short_columns_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([{"line": "tide_1h", "since": datetime(2024, 5, 20, tzinfo=UTC)}], as_json=False, title="lines")
    shown = capsys.readouterr().out
    assert "│ tide_1h │ 2024-05-20 00:00 │" in shown


def test_what_no_terminal_holds_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    why = "Better than the base rate " * 8
    output.show([{"action": "promote", "why": why, "replaced": None}], as_json=False, title="history")
    shown = capsys.readouterr().out
    assert "│" not in shown
    assert f"  why  {why}".rstrip() in shown.replace(" \n", "\n")
    assert "replaced" not in shown


def test_nothing_is_said_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([], as_json=False, title="verdicts")
    assert capsys.readouterr().out == "verdicts: none\n"


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), (0.123456, "0.1235"), ({"a": 1.0, "b": None}, "a=1, b=-"), (["x", 2], "x\n2"),
    ("2024-05-20T07:30:00+00:00", "2024-05-20 07:30"), ("2024-05-20T07:30:15+00:00", "2024-05-20T07:30:15+00:00"),
    ("[bold]", "\\[bold]")])
def test_cells(value: object, text: str) -> None:
    assert output._cell(value) == text


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    output.show({"p": float("nan"), "at": datetime(2024, 5, 20, tzinfo=UTC)}, as_json=True)
    assert capsys.readouterr().out == '{\n  "p": null,\n  "at": "2024-05-20T00:00:00+00:00"\n}\n'
