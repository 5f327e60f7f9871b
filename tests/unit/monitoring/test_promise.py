"""What a champion promised, from its out-of-sample predictions."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring import performance, promise

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def record(days: int, start: str, rng: np.random.Generator, spread: float = 0.1) -> pd.DataFrame:
    """Two symbols, hourly."""
    times = pd.date_range(start, periods=24 * days, freq="h", tz="UTC", unit="us").repeat(2)
    p = np.clip(0.5 + spread * rng.standard_normal(len(times)), 0.01, 0.99)
    return pd.DataFrame({"event_time": times, "candidate": p, "y": (rng.random(len(p)) < p).astype(float)})


def searched(days: int, rng: np.random.Generator, trials: int = 6) -> pd.DataFrame:
    frame = record(days, "2024-03-01", rng)
    frame["fold"] = np.arange(len(frame)) * 4 // len(frame)
    for number in range(trials):
        frame[f"trial_{number}"] = np.clip(frame["candidate"] + 0.05 * rng.standard_normal(len(frame)), 0.01, 0.99)
    return frame


def test_the_series_of_a_record() -> None:
    rng = np.random.default_rng(0)
    evidence, labels = record(7, "2024-03-17", rng), record(30, "2024-02-10", rng)
    found = promise.learn(evidence, None, labels, length=DAY, bar=HOUR)
    assert {name: len(series.blocks) for name, series in found.series.items()} == {
        "loss": 7, "level": 7, "confidence": 7, "shape": 7, "rate": 30}
    losses = performance.mean_log_loss(evidence, "candidate")
    assert found.series["loss"].blocks == pytest.approx(losses.to_numpy().reshape(7, 24).mean(axis=1))
    assert found.series["rate"].mean == pytest.approx(labels["y"].mean())
    assert found.realised["log_loss"] == pytest.approx(losses.mean())
    assert found.shares.sum() == pytest.approx(1)
    assert np.ptp(found.shares) < 0.01  # equally many of the reference in each bin


def test_search_folds_count_as_nobody_had_chosen() -> None:
    """In each fold the trial that wins the others: its mean loss there is not flattered; the best trial's is."""
    rng = np.random.default_rng(1)
    flattered, honest, true = [], [], []
    for _ in range(25):
        frame = record(4, "2024-03-01", rng)
        frame["fold"] = np.arange(len(frame)) * 4 // len(frame)
        for number in range(12):  # all equally good: only luck chooses
            frame[f"trial_{number}"] = np.clip(frame["candidate"] + 0.2 * rng.standard_normal(len(frame)), 0.01, 0.99)
        trials = [f"trial_{number}" for number in range(12)]
        means = [float(performance.mean_log_loss(frame, name).mean()) for name in trials]
        flattered.append(min(means))
        true.append(np.mean(means))
        honest.append(float(performance.mean_log_loss(promise.unchosen(frame), "candidate").mean()))
    gap = np.array(flattered) - np.array(true)
    assert gap.mean() < -4 * gap.std() / 5
    rest = np.array(honest) - np.array(true)
    assert abs(rest.mean()) < 3 * rest.std() / 5


def test_a_record_grows_by_the_search_folds() -> None:
    rng = np.random.default_rng(2)
    found = promise.learn(record(7, "2024-03-17", rng), searched(16, rng), record(30, "2024-02-10", rng), length=DAY,
                          bar=HOUR)
    assert len(found.series["loss"].blocks) == len(found.series["level"].blocks) == 23
    alone = promise.learn(record(7, "2024-03-17", rng), searched(16, rng, trials=0), record(30, "2024-02-10", rng),
                          length=DAY, bar=HOUR)
    assert (len(alone.series["loss"].blocks), len(alone.series["level"].blocks)) == (7, 23)


def test_bins_are_those_of_postgres() -> None:
    edges = np.array([0.4, 0.5, 0.6])
    assert promise.binned(edges, np.array([0.3, 0.4, 0.45, 0.5, 0.6, 0.9])).tolist() == [1, 2, 1, 2]


def test_the_distance_of_distributions() -> None:
    shares = np.full(4, 0.25)
    same = promise.distance(np.array([5.0, 5.0, 5.0, 5.0]), shares)
    ends = promise.distance(np.array([10.0, 0.0, 0.0, 10.0]), shares)
    assert np.exp(same) == pytest.approx(1e-4)
    assert np.exp(ends) == pytest.approx(1e-4 + (0.25 + 0 + 0.25) / 3)
    assert promise.distance(np.array([7.0]), np.ones(1)) == 0.0


def test_a_model_that_says_one_thing_only() -> None:
    rng = np.random.default_rng(3)
    evidence = record(7, "2024-03-17", rng).assign(candidate=0.5)
    found = promise.learn(evidence, None, evidence, length=DAY, bar=HOUR)
    assert np.ptp(found.series["level"].blocks) == 0
    assert np.isfinite(found.series["shape"].blocks).all()
