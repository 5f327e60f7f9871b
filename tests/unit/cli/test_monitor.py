"""``tidemark monitor``: what a person reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.cli import monitor
from pipelines.cli.output import out
from pipelines.contracts.records import UnusualRow
from tests.unit.monitoring.test_words import QUIET


def printed(capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    width, out.width = out.width, 200
    try:
        monitor.tell(replace(QUIET, **changes), "performance: cooling down until 2024-03-12 00:00 UTC.")  # type: ignore[arg-type]
    finally:
        out.width = width
    return capsys.readouterr().out


def test_the_verdict_is_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, performance_drift=True, unusual=(UnusualRow("2024-03-09T05:00:00", "BTC", {"volume": 7.0}),))
    lines = text.splitlines()
    assert lines[0].startswith("direction_1h, as of 2024-03-10 00:00 UTC, champion v3: PERFORMANCE DRIFT.")
    assert lines[1].startswith("The features look as they did in training")
    assert lines[2] == "Policy: performance: cooling down until 2024-03-12 00:00 UTC."
    places = [text.index(what) for what in (
        "what is watched", "120% of the limit", "volume_ratio", "DRIFTED", "BTC", "Realised over 1,200")]
    assert places == sorted(places)


def test_a_classifier_that_was_asked_has_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"classifier_windows": 8.0, "classifier_auc": 0.83, "classifier_limit": 0.75, "classifier_highest": 0.71,
             "classifier_days": 7.0}
    report = replace(QUIET, metrics={**QUIET.metrics, **asked}, telling=("atr_14h",))
    assert "with an AUC of 0.83" in printed(capsys, metrics=report.metrics, telling=report.telling)
    found = monitor.document(report, "nothing")
    assert found["classifier"].endswith("Most by: atr_14h.")
    assert (found["metrics"]["classifier_auc"], found["metrics"]["classifier_limit"]) == (0.83, 0.75)
    assert "classifier" not in printed(capsys)


def test_without_a_champion_one_line_says_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, champion_version=None).count("\n") == 1


def test_the_document_holds_sentences_and_figures() -> None:
    found = monitor.document(replace(QUIET, performance_drift=True), "nothing")
    assert found["verdict"].startswith("direction_1h, as of 2024-03-10")
    assert (found["alarm"], found["policy"], found["champion_version"]) == (True, "nothing", 3)
    assert found["metrics"]["label_evidence"] is None  # minus infinity is no JSON
    assert found["columns"][0]["column"] == "volume_ratio"
