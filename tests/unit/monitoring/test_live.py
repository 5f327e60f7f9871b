"""Live days against the promise, without a database: what moves is said, and only that."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring import live, promise
from pipelines.monitoring.live import Lived
from tests.unit.registry.world import make_line

LINE = make_line(drift={"window_days": 5})
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SINCE = datetime(2024, 3, 24, tzinfo=UTC)
SYMBOLS = 4


def rows(start: datetime, days: int, rng: np.random.Generator, *, edge: bool = True, shift: float = 0.0,
         sure: float = 1.0, two: bool = False) -> pd.DataFrame:
    """Predictions and outcomes. ``two``: P is at either end of what it was, with the same mean and mean distance."""
    times = pd.date_range(start - HOUR, periods=24 * days, freq="h", unit="us").repeat(SYMBOLS)
    away = np.abs(0.1 * rng.standard_normal(len(times)))
    away = np.full(len(times), 0.1 * math.sqrt(2 / math.pi)) if two else away
    p = np.clip(0.5 + shift + sure * away * rng.choice([-1, 1], len(times)), 0.01, 0.99)
    y = (rng.random(len(p)) < (p if edge else 1 - p)).astype(float)
    return pd.DataFrame({"event_time": times, "candidate": p, "y": y})


def judged(frame: pd.DataFrame, seed: int = 0, as_of: datetime | None = None) -> live.Findings:
    rng = np.random.default_rng(seed)
    promised = promise.learn(rows(SINCE - 23 * DAY, 23, rng), None, rows(SINCE - 51 * DAY, 51, rng), length=DAY,
                             bar=HOUR)
    as_of = as_of or frame["event_time"].max().to_pydatetime() + 2 * HOUR
    p = frame["candidate"]
    known = frame["event_time"] + 2 * HOUR < pd.Timestamp(as_of)
    frame = frame.assign(level=p, confidence=(p - 0.5).abs(),
                         loss=np.where(known, -np.log(np.where(frame["y"] == 1, p, 1 - p)), np.nan),
                         rate=frame["y"].where(known))
    hours = frame.groupby("event_time")[["level", "confidence", "loss", "rate"]].mean().reset_index()
    block = (frame["event_time"] + HOUR - pd.Timestamp(SINCE)) // pd.Timedelta("1D")
    bins = pd.DataFrame({"block": block, "bin": np.searchsorted(promised.edges, p, side="right")})
    counted = bins.groupby(["block", "bin"]).size().rename("rows").reset_index()
    recent = frame[frame["event_time"] >= frame["event_time"].max() - 7 * DAY]
    recent = recent.rename(columns={"candidate": "probability"}).assign(y=recent["y"].where(known))
    return live.judge(LINE, promised, Lived(SINCE, hours, counted, recent), as_of)


def test_a_healthy_champion_is_left_alone() -> None:
    for seed in range(4):
        found = judged(rows(SINCE, 20, np.random.default_rng(100 + seed)), seed)
        assert found.drifted == {"performance": False, "prediction": False, "label": False}
        assert found.metrics["performance_blocks"] == found.metrics["prediction_blocks"] == 20


@pytest.mark.parametrize(("change", "kind"), [
    ({"edge": False}, "performance"), ({"shift": 0.05}, "prediction"), ({"sure": 1.6}, "prediction"),
    ({"two": True}, "prediction")])
def test_what_moves_is_said(change: dict[str, float], kind: str) -> None:
    rng = np.random.default_rng(1)
    frame = pd.concat([rows(SINCE, 6, rng), rows(SINCE + 6 * DAY, 14, rng, **change)])  # type: ignore[arg-type]
    found = judged(frame)
    assert found.drifted[kind]
    assert found.metrics[f"{kind}_days_ago"] == pytest.approx(14, abs=2)
    if kind == "performance":
        assert not found.drifted["prediction"]


def test_a_shift_of_p_that_outcomes_follow_is_label_drift_not_performance() -> None:
    rng = np.random.default_rng(2)
    found = judged(rows(SINCE, 20, rng, shift=0.12))
    assert found.drifted["label"]
    assert not found.drifted["performance"]
    assert found.metrics["label_rate"] == pytest.approx(0.62, abs=0.03)


def test_the_last_hours_are_not_known_yet() -> None:
    frame = rows(SINCE, 3, np.random.default_rng(3))
    found = judged(frame).metrics
    assert found["performance_blocks"] == found["prediction_blocks"] == 3
    early = judged(frame[frame["event_time"] < pd.Timestamp(SINCE + 2.4 * DAY)]).metrics
    assert early["performance_blocks"] == early["prediction_blocks"] == 2


def test_nothing_lived_is_no_drift() -> None:
    empty = rows(SINCE, 1, np.random.default_rng(4)).iloc[:0]
    found = judged(empty, as_of=SINCE + HOUR)
    assert not any(found.drifted.values())
    assert found.metrics["performance_evidence"] == -math.inf
    assert math.isnan(found.metrics["loss_current"])
    assert math.isnan(found.metrics["estimated_log_loss"])


def test_a_bigger_budget_rings_earlier() -> None:
    line = LINE.model_copy(update={"drift": LINE.drift.model_copy(update={"performance_alpha": 1.0})})
    assert live.block_length(line) == DAY
    tight = judged(rows(SINCE, 5, np.random.default_rng(5))).metrics["performance_limit"]
    assert tight == pytest.approx(math.log(365 / 0.2))
