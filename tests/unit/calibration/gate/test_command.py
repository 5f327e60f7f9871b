"""``tidemark calibrate gate``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.calibration.gate import scenarios
from pipelines.errors import ConfigError


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["calibrate", "gate", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_rates_as_json_are_the_same_again() -> None:
    asked = ["--reps", "4", "--scenario", "null_252x1_c*", "--scenario", "edge3_c0.8", "--seed", "5", "--json"]
    found = json.loads(_run(*asked))
    assert [item["scenario"] for item in found] == ["null_252x1_c0", "null_252x1_c0.5", "null_252x1_c0.9", "edge3_c0.8"]
    assert [item["kind"] for item in found] == ["null"] * 3 + ["alternative"]
    for item in found:
        assert item["reps"] == 4
        assert 0 <= item["lower"] <= item["rate"] <= item["upper"] <= 1
    assert set(found[-1]["rules"]) == {"best_sharpe", "sharpe_and_drawdown", "plain_diebold_mariano",
                                       "deflated_sharpe", "spa_over_all"}
    assert json.loads(_run(*asked)) == found


def test_a_table_for_people() -> None:
    assert "rollback_null_ar0" in _run("--reps", "2", "--scenario", "rollback_null_ar0")


def test_the_list_says_what_needs_a_database() -> None:
    found = json.loads(_run("--list", "--scenario", "*", "--json"))
    assert [item["scenario"] for item in found] == list(scenarios())
    assert {item["scenario"] for item in found if item["needs_database"]} == {
        name for name in scenarios() if name.startswith("real_")}
    assert not any(item["needs_database"] for item in json.loads(_run("--list", "--json")))


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ConfigError, match="no scenario fits 'nul_'"):
        CliRunner().invoke(cli.app, ["calibrate", "gate", "--scenario", "nul_"], catch_exceptions=False)
