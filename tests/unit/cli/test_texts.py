"""Texts scored from the command line; the learned scorer itself is tested where it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.config import ROOT
from pipelines.errors import ConfigError, RegistryError
from pipelines.sentiment import score
from pipelines.store import Warehouse

TEXTS = ["hodl to the moon, BTC pump!", "an awful loss", ""]


def scored(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(cli.app, ["score", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


@pytest.mark.parametrize("lexicon", ["tidemark", "vader"])
def test_a_lexicon_scores(lexicon: str) -> None:
    expected = score(TEXTS, lexicon=lexicon).to_dict("records")
    assert scored(*TEXTS, "--lexicon", lexicon) == [
        {"text": text, **row} for text, row in zip(TEXTS, expected, strict=True)]


def test_what_cannot_score_says_why(monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, tmp_path: Path) -> None:
    for name, value in {"TIDEMARK_HOME": str(tmp_path), "TIDEMARK_LINES_DIR": str(ROOT / "mlflow" / "lines"),
                        "TIDEMARK_DATABASE_URL": warehouse.engine.url.render_as_string(hide_password=False)}.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()
    try:
        for arguments, error, words in (
                (["--lexicon", "sour"], ConfigError, "there is no lexicon 'sour'"),
                (["--line", "direction_1h"], ConfigError, "direction_1h predicts bars"),
                (["--line", "text_polarity"], RegistryError, "no version has beaten the lexicon by then"),
                (["--transformer", str(tmp_path)], ConfigError, "holds no config.json")):
            with pytest.raises(error, match=words):
                scored("a text", *arguments)
    finally:
        config.settings.cache_clear()
