"""`tidemark shadow` and `tidemark history` on a challenger under way."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.config import ROOT
from pipelines.contracts.records import Outcome
from tests.unit.monitoring.test_looks import live
from tests.unit.registry.conftest import world
from tests.unit.registry.test_promotion import apply
from tests.unit.registry.world import DAY, START, World

__all__ = ["world"]

Run = Callable[..., Any]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    apply(world, world.candidate(1), Outcome.PROMOTE)
    apply(world, world.candidate(2, START + DAY), Outcome.INCONCLUSIVE, champion=1)
    live(world, {1: 0.4, 2: 0.4}, START, 20)
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", world.warehouse.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(ROOT / "mlflow" / "lines"))
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    config.settings.cache_clear()

    def invoke(*arguments: str, as_json: bool = True) -> Any:
        result = CliRunner().invoke(cli.app, [*arguments, *(["--json"] if as_json else [])], catch_exceptions=False)
        assert result.exit_code == 0
        return json.loads(result.stdout) if as_json else result.stdout

    return invoke


@pytest.fixture(autouse=True)
def fresh_settings() -> Any:
    yield
    config.settings.cache_clear()


def test_the_shadow_is_shown_and_its_looks_can_be_made_by_hand(run: Run) -> None:
    day = {number: (START + timedelta(days=number)).isoformat() for number in (2, 8)}
    (row,) = run("shadow", "direction_1h", "--as-of", day[2])
    assert (row["purpose"], row["version"], row["champion"], row["made"], row["of"]) == ("shadow", 2, 1, 0, 4)
    assert row["next"] == (START + 8 * DAY).isoformat()
    assert row["futility"] < 0 < row["boundary"]
    assert row["looks"] == []
    (row,) = run("shadow", "direction_1h", "--as-of", day[8])  # looking at it makes no look
    assert row["made"] == 0
    (row,) = run("shadow", "direction_1h", "--as-of", day[8], "--look")
    assert (row["made"], row["next"]) == (1, (START + 15 * DAY).isoformat())
    assert row["looks"][0]["decision"] == "continue"
    assert row["looks"][0]["reasons"][0].startswith("Look 1 of 4 cannot tell: ")
    assert "shadow 1/4" in {item["action"] for item in run("history", "direction_1h")}
    assert "cannot tell" in run("shadow", "direction_1h", "--as-of", day[8], as_json=False)
    assert run("shadow", "calendar_1h") == []
