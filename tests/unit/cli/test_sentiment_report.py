"""`tidemark sentiment-report` on a simulated world whose posts lead its prices, and where there is nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest import providers
from pipelines.ingest import run as ingest_run
from pipelines.sentiment import run as sentiment_run
from pipelines.store import Warehouse
from tests.unit.cli.test_by_hand import LINE, TOML

START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=44)
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def filled(shared_warehouse: Warehouse) -> Warehouse:
    settings = config.load().model_copy(update={"simulator": config.load().simulator.model_copy(update={
        "days": 45, "symbols": 2, "edge": 4.0})})
    window = Window(START, END)
    ingest_run.run(shared_warehouse, providers.create("simulator", settings), window, at=END)
    sentiment_run.run(shared_warehouse, window)
    return shared_warehouse


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / f"{LINE}.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "labelled").mkdir()
    (tmp_path / "labelled" / "own.csv").write_text("text,label\n" + "".join(
        f"item {number} is {word},{label}\n" for number in range(20)
        for word, label in (("great", "positive"), ("terrible", "negative"), ("here", "neutral"))))
    monkeypatch.chdir(tmp_path)
    for name, value in (("HOME", tmp_path), ("LINES_DIR", tmp_path / "lines")):
        monkeypatch.setenv(f"TIDEMARK_{name}", str(value))
    monkeypatch.delenv("TIDEMARK_DATABASE_URL", raising=False)

    def invoke(*arguments: str, store: Warehouse | None = None) -> Any:
        if store is not None:
            monkeypatch.setenv("TIDEMARK_DATABASE_URL", store.engine.url.render_as_string(hide_password=False))
        config.settings.cache_clear()
        result = CliRunner().invoke(cli.app, ["sentiment-report", *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    yield invoke
    config.settings.cache_clear()


def test_posts_that_lead_are_seen_to_lead_and_to_be_of_use(run: Run, filled: Warehouse, tmp_path: Path) -> None:
    found = run("--labelled", "labelled", "--as-of", END.isoformat(), "--days", "40", "--tested-days", "24", "--out",
                "report.html", "--json", store=filled)
    assert found["quality"]["rows"][0]["scorers"]["tidemark"]["value"] == 1.0
    pooled = {row["lag"]: row for row in found["lead_lag"][0]["lags"] if row["symbol"] == "pooled"}
    assert max(pooled, key=lambda lag: pooled[lag]["correlation"]) > 0
    assert "Look for a leak" in found["lead_lag"][0]["sentence"]  # it is one: the simulator's posts know the future
    (line,) = found["lines"][LINE]
    assert line["uses"]
    assert line["test"]["low"] > 0
    assert "sentiment helps" in line["sentence"]
    assert found["html"] == "report.html"
    assert (tmp_path / "report.html").read_text().count("<svg") == 2 + len(found["lead_lag"])


def test_as_of_a_time_nothing_later_counts(run: Run, filled: Warehouse) -> None:
    """As of an earlier time, the figures are those of a warehouse that ends there: asked twice, with and without the
    later facts in it."""
    early = (START + timedelta(days=30)).isoformat()
    one = run("--as-of", early, "--days", "25", "--tested-days", "20", "--json", store=filled)
    assert one["lines"][LINE] == {"absent": one["lines"][LINE]["absent"]}
    assert "at least 20 are needed" in one["lines"][LINE]["absent"]
    assert one["html"] is None
    assert all(row["n"] <= 2 * 25 * 24 for curve in one["lead_lag"] for row in curve["lags"])
    rows = [row for row in one["lead_lag"][1]["lags"] if row["symbol"] == "pooled"]
    ahead = {row["lag"]: row["n"] for row in rows}
    assert ahead[24] <= ahead[1] - 20  # the last day's future is not there


def test_without_a_warehouse_the_labels_are_read_all_the_same(run: Run, tmp_path: Path) -> None:
    said = run("--labelled", "labelled")
    assert "Reading: against people's labels" in said
    assert "Timing" not in said
    text = (tmp_path / "sentiment-report.html").read_text()
    assert text.count('class="absent"') == 2
    assert "TIDEMARK_DATABASE_URL" in text


def test_what_is_not_there_is_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a directory"):
        run("--out", "nowhere/report.html")
    with pytest.raises(ConfigError, match="unknown model family 'oracle'"):
        run("--family", "oracle")
    with pytest.raises(ConfigError, match="no line 'other'"):
        run("--lines", "other")
    assert CliRunner().invoke(cli.app, ["sentiment-report", "--labelled", "none"]).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "holds no labelled texts" in run("--labelled", "empty", "--json")["quality"]["absent"]


def test_an_empty_warehouse_is_told_on_the_page(run: Run, warehouse: Warehouse) -> None:
    found = run("--as-of", END.isoformat(), "--json", store=warehouse)
    assert "no bars" in found["lead_lag"]["absent"]
    assert "has no labelled rows" in found["lines"][LINE]["absent"]
    assert found["summary"] == []
