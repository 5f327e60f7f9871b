"""What is said of a report, as literal sentences; and the page and the pictures that say it with tables."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.records import ColumnDrift, DriftReport, UnusualRow
from pipelines.monitoring import page, pictures, words
from pipelines.monitoring.evidently_report import EvidentlyResult

AS_OF = datetime(2024, 3, 10, tzinfo=UTC)
MOVED = ColumnDrift("volume_ratio", "moments", 9.0, 3.0, True, effect=2.5, spread=1.1, since="2024-03-04",
                    importance=0.25)
STILL = ColumnDrift("return_<1h>", "ks", 0.1, 0.4, False, effect=0.02, spread=1.0, importance=0.75)
METRICS = {
    "loss_current": 0.71, "loss_reference": 0.66, "performance_evidence": 9.0, "performance_limit": 7.5,
    "performance_days_ago": 5.0, "prediction_level": 0.55, "prediction_level_reference": 0.5,
    "prediction_confidence": 0.2, "prediction_confidence_reference": 0.1, "prediction_evidence": 3.75,
    "prediction_limit": 7.5, "prediction_days_ago": 2.0, "label_rate": 0.61, "label_rate_reference": 0.5,
    "label_evidence": -math.inf, "label_limit": 7.5, "label_days_ago": math.nan, "matured": 1200.0, "pending": 30.0,
    "log_loss": 0.712, "accuracy": 0.5, "auc": 0.51, "promised_log_loss": 0.66, "estimated_log_loss": 0.65,
    "estimated_accuracy": 0.6, "estimated_auc": 0.65, "estimate_off_log_loss": 0.06, "estimate_error": 0.005,
    "promised_off_log_loss": 0.001}
QUIET = DriftReport("direction_1h", AS_OF, (MOVED, STILL), 0.5, False, False, False, METRICS, 3, "d", 100)


def test_the_verdict_comes_first_and_dates_the_change() -> None:
    assert words.verdict(replace(QUIET, performance_drift=True)) == (
        "direction_1h, as of 2024-03-10 00:00 UTC, champion v3: PERFORMANCE DRIFT. The champion loses 0.7100 nats a "
        "prediction over the window instead of the promised 0.6600, worse since about 2024-03-05.")
    assert words.verdict(replace(QUIET, data_drift=True, streak=3, since="2024-03-04")) == (
        "direction_1h, as of 2024-03-10 00:00 UTC, champion v3: DATA DRIFT. 1 of 2 columns lie beyond their limits "
        "since 2024-03-04, volume_ratio the furthest, in 3 checks in a row.")
    assert words.verdict(QUIET) == (
        "direction_1h, as of 2024-03-10 00:00 UTC, champion v3: no alarm. 1 of 2 columns are beyond their limits; the "
        "loss is 0.7100, promised were 0.6600.")
    nobody = DriftReport("direction_1h", AS_OF, (), 0.0, False, False, False, {}, None, None, 0)
    assert words.verdict(nobody) == "direction_1h, as of 2024-03-10 00:00 UTC: there is no champion to watch."
    assert "No column could be compared" in words.verdict(replace(nobody, champion_version=1))


def test_columns_that_move_together_are_told_although_none_does_alone() -> None:
    together = replace(QUIET, columns=(STILL,), data_drift=True, streak=3,
                       metrics={**METRICS, "levels": 3.0, "levels_limit": 2.0, "pair": 0.5})
    assert "DATA DRIFT. their levels moved together, in 3 checks in a row." in words.verdict(together)


@pytest.mark.parametrize(("changes", "said"), [
    ({"performance_drift": True}, "what follows from them has changed"),
    ({"performance_drift": True, "data_drift": True}, "sees what it was not trained on"),
    ({"data_drift": True, "impact": 0.25}, "25% of what the model looks at has moved"),
    ({"data_drift": True, "impact": 0.02}, "Little of it concerns this model"),
    ({"prediction_drift": True}, "how columns move together"),
    ({"metrics": {**METRICS, "label_drift": 1.0}}, "another rate than in training"),
    ({"over": True, "streak": 1}, "1 in a row so far"),
    ({}, "Nothing has to be done")])
def test_what_it_may_mean(changes: dict[str, object], said: str) -> None:
    assert said in words.meaning(replace(QUIET, **changes))  # type: ignore[arg-type]


def test_realised_and_estimated_stand_side_by_side() -> None:
    assert words.performance(QUIET) == [
        "Realised over 1,200 rows: log loss 0.7120 nats (promised 0.6600), accuracy 50.0%, AUC 0.510.",
        "Its own probabilities expected 0.6520 on these rows: the estimate was off by +0.0600, 12.0 standard errors "
        "(out of sample, before it took over, by +0.0010).",
        "Estimated without labels, with 30 rows still open: log loss 0.6500, accuracy 60.0%, AUC 0.650. It cannot see "
        "an edge that dies while inputs stay."]
    assert words.performance(replace(QUIET, metrics={})) == []


def test_evidence_is_a_share_of_what_raises_the_alarm() -> None:
    assert words.strength(QUIET, "performance") == pytest.approx(1.2)
    assert words.strength(QUIET, "prediction") == pytest.approx(0.5)
    assert math.isnan(words.strength(QUIET, "label"))
    assert words.since(QUIET, "label") is None


def evidently(html: str | None) -> EvidentlyResult:
    config = {"column": "volume_ratio", "method": "wasserstein", "threshold": 0.8}
    ks = {"column": "return_<1h>", "method": "ks", "threshold": 0.01}
    count = {"config": {"columns": ["volume_ratio", "return_<1h>"]}, "value": {"count": 1.0, "share": 0.5}}
    return EvidentlyResult({"metrics": [count, {"config": config, "value": 2.5}, {"config": ks, "value": 0.4}]}, html)


def test_the_page_shows_both_verdicts_side_by_side() -> None:
    seen = evidently("<html><head></head><body><div id='theirs'></div></body></html>")
    report = replace(QUIET, data_drift=True, unusual=(UnusualRow("2024-03-09T05:00:00", "B<C", {"volume_ratio": 7.0}),))
    assert page.compared(report, seen.summary) == {"volume_ratio": (2.5, 0.8, True), "return_<1h>": (0.4, 0.01, False)}
    html = page.compose(report, seen, [], 0.3)
    places = [html.index(what) for what in (
        "<body>", "DATA DRIFT", "<h2>Verdict</h2>", "our verdict beside Evidently's",
        "<td>volume_ratio</td><td>moments</td><td>9</td><td>3</td>", "<td>2.5</td><td>0.8</td>", "Rows to look at",
        "Realised over", "The same columns in Evidently's report", "id='theirs'")]
    assert places == sorted(places)
    assert "return_&lt;1h&gt;" in html
    assert "B&lt;C" in html
    assert "Evidently calls 1 drifted (50%; the line's share is 30%)" in html


def test_a_page_without_evidently_is_a_page() -> None:
    html = page.compose(replace(QUIET, columns=()), None, [], 0.3)
    assert html.startswith("<!DOCTYPE html>")
    assert html.endswith("</html>")
    json.dumps(words.verdict(QUIET))


def test_a_picture_of_a_column_and_of_one_that_is_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-02-01", periods=24 * 30, freq="h", tz="UTC")
    then = pd.DataFrame({"event_time": times, "volume_ratio": rng.standard_normal(len(times))})
    now = then.iloc[-120:].assign(volume_ratio=np.nan)
    made = pictures.column(tmp_path / "one.png", MOVED, then, then.iloc[-120:], "1")
    gone = pictures.column(tmp_path / "gone.png", replace(MOVED, method="missing"), then, now, "")
    none = pictures.column(tmp_path / "none.png", MOVED, then.iloc[:0], then.iloc[:0], "")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (made, gone, none))
    assert made.stat().st_size < 100_000
    assert pictures.span(then.iloc[:0]) == "no rows"
