"""``tidemark calibrate drift``, from end to end and small."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.calibration.drift import rivals, scenarios
from pipelines.calibration.drift.outcome import Figures, Rate
from pipelines.calibration.drift.page import BEGIN, END, insert, render
from pipelines.calibration.scenario import Interval
from pipelines.errors import ConfigError, ContractError

SMALL = "mean1_all_28d"


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["calibrate", "drift", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_figures_as_json_are_the_same_again_in_another_process(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    found = json.loads(_run("--reps", "1", "--scenario", SMALL, "--json"))
    assert [(item["scenario"], item["kind"], item["reps"]) for item in found] == [(SMALL, "alternative", 1)]
    item = found[0]
    assert (item["rate"], item["per_year"]["rate"], item["on"]) == (1.0, 0.0, 0.0)  # a standard deviation, everywhere
    assert 1 <= item["delay_days"] <= 12
    assert set(item["rules"]) == set(rivals.RIVALS)
    assert item["rules"]["ks_any"]["on"] == 1.0
    again = _run("--reps", "1", "--scenario", SMALL, "--json", "--workers", "2", "--page", str(page))
    assert json.loads(again) == found
    text = page.read_text()
    assert f"| `{SMALL}` | 1 | 100 " in text
    assert "1 lines a scenario, seed 0" in text
    assert "old" not in text


def test_the_list_says_what_there_is_and_what_counts() -> None:
    found = json.loads(_run("--list", "--scenario", "*", "--json"))
    assert [item["scenario"] for item in found] == list(scenarios())
    assert {item["kind"] for item in found} == {"null", "alternative"}
    usual = {item["scenario"] for item in json.loads(_run("--list", "--json"))}
    assert set(scenarios()) - usual == {"coins_halves", "coins_2021_2022"} == {
        item["scenario"] for item in found if item["needs_data"]}


def test_without_real_bars_their_scenarios_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMARK_DATA_DIR", raising=False)
    result = CliRunner().invoke(cli.app, ["calibrate", "drift", "--scenario", "coins_halves", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert "Skipped: coins_halves. TIDEMARK_DATA_DIR is not set" in " ".join(result.stderr.split())


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ConfigError, match="no scenario fits 'nul_'"):
        CliRunner().invoke(cli.app, ["calibrate", "drift", "--scenario", "nul_"], catch_exceptions=False)


def _rate(name: str, kind: str, delay: float, *rules: str) -> Rate:
    yearly = Interval(0.25, 0.1, 0.5)
    return Rate(name, kind, 8, 0.5, 0.2, 0.8, "counted", yearly, 0.012, delay,  # type: ignore[arg-type]
                {rule: Figures(0.75, 0.4, 0.9, Interval(12.34, 10, 14), 0.61, 3.0) for rule in rules})


def test_tables_by_what_was_asked() -> None:
    text = render([_rate("null_a", "null", math.nan, *rivals.RIVALS), _rate("mean", "alternative", 4.0, *rivals.RIVALS),
                   _rate("dies", "alternative", math.nan, "weekly")], "Told.")
    assert text.startswith("Told.\n\n### False alarms of the data\n\n| scenario | lines | alarms a year |")
    assert "| `null_a` | 8 | 0.25 (0.10-0.50) | 50 (20-80) | 1.2 |" + " 12.3, 61 |" * 5 in text
    assert "| `mean` | 8 | 50 (20-80) | 4 | 1 |" + " 75, 3, 61 |" * 5 in text
    assert "### The edge dies, the inputs stay" in text
    assert "| `dies` | 8 | 50 (20-80) | - | 1 | 75, 3, 61 |" in text
    assert "performance test" not in text


def test_a_page_without_marks_is_refused() -> None:
    assert insert(f"a {BEGIN} b {END} c", " new ") == f"a {BEGIN}\nnew\n{END} c"
    for page in ("nothing", f"{BEGIN} only", f"{END} {BEGIN}"):
        with pytest.raises(ContractError, match="has no marks"):
            insert(page, "new")


def test_scenarios_have_names_words_and_a_count() -> None:
    found = scenarios()
    assert len(found) > 50
    assert all(item.name == name and item.what and item.counts for name, item in found.items())
