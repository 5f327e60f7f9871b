"""The catalog on the command line; building features by hand is in ``test_by_hand``."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.config import ROOT
from pipelines.features import catalog


def listed(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(cli.app, ["features", "list", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    rows: list[dict[str, object]] = json.loads(result.stdout)
    return rows


def test_every_declared_feature_is_listed_with_all_that_it_declares() -> None:
    rows = listed()
    assert [(row["group"], row["feature"]) for row in rows] == [
        (group.name, feature.name) for group in catalog.GROUPS.values() for feature in group.features]
    for row in rows:
        assert list(row) == ["group", "feature", "inputs", "lookback", "unit", "availability", "source", "gaps",
                             "absent", "neutral"]
        assert all(row[name] for name in ("inputs", "unit", "availability", "source", "gaps", "absent"))


def test_groups_and_single_features_are_chosen_as_in_a_line() -> None:
    rows = listed("--group", "volatility.atr_14h", "--group", "time")
    assert [row["feature"] for row in rows] == [
        "atr_14h", *(feature.name for feature in catalog.GROUPS["time"].features)]
    assert (rows[0]["lookback"], rows[0]["absent"], rows[0]["neutral"]) == (14, "row left out", None)


def test_what_a_line_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(ROOT / "mlflow" / "lines"))
    config.settings.cache_clear()
    try:
        assert {row["group"] for row in listed("--line", "calendar_1h")} == {"time"}
    finally:
        config.settings.cache_clear()


@pytest.mark.parametrize("width", [60, 200])
def test_people_read_a_table_of_each_group(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(cli.output.out, "_width", width)
    text = CliRunner().invoke(cli.app, ["features", "list", "--group", "trend"], catch_exceptions=False).stdout
    for words in ("trend: available", "rsi_14h", "look-back", "168", "standard deviations"):
        assert words in text


@pytest.mark.parametrize(("words", "told"), [
    (["list", "--group", "astrology"], "'astrology', which is unknown"),
    (["list", "--group", "time", "--line", "calendar_1h"], "not both"),
    (["calendar_1h", "--start", "2024-01-01"], "--as-of alone"),
    (["calendar_1h"], "--as-of alone"),
    (["no_line", "--as-of", "2024-01-01"], "no line 'no_line'"),
])
def test_wrong_usage_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str],
                             told: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tidemark", "features", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
