from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.line import Line

START = pd.Timestamp("2024-01-01", tz="UTC")
FEATURES = ("ret_1h", "ret_24h", "sentiment_4h", "vol_24h", "hour_sin", "noise_a", "noise_b", "gappy")


def make_line(**overrides: object) -> Line:
    values: dict[str, object] = {
        "name": "direction_1h", "title": "Sign of the next hour's return",
        "target": {"kind": "direction", "horizon_bars": 1}, "features": {"groups": ["returns", "sentiment"]},
        "walk_forward": {"scheme": "rolling", "train_days": 10, "test_days": 2, "search_folds": 3, "evidence_days": 4,
                         "evidence_fold_days": 1, "embargo_bars": 1},
        "search": {"families": ["logistic_regression", "lightgbm"], "trials": 4, "workers": 2, "nested_runs": 2},
        "costs": {"fee_bps": 1.0, "slippage_bps": 0.5, "band": 0.05}}
    return Line.model_validate(values | overrides)


def make_frame(days: int = 20, symbols: int = 3, edge: float = 1.0, seed: int = 0, extra: int = 0) -> pd.DataFrame:
    """A training snapshot as ``features.snapshot.training`` gives it, with an edge planted in ``sentiment_4h``."""
    rng = np.random.default_rng(seed)
    hours = days * 24
    times = pd.date_range(START, periods=hours, freq="h", unit="us").repeat(symbols)
    rows = len(times)
    columns = {name: rng.standard_normal(rows) for name in (*FEATURES, *(f"extra_{n}" for n in range(extra)))}
    columns["gappy"][rng.random(rows) < 0.05] = np.nan
    forward = 0.004 * (0.35 * edge * columns["sentiment_4h"] + rng.standard_normal(rows))
    y = (forward > 0).astype(float)
    names = np.tile([f"COIN{number}" for number in range(symbols)], hours)
    frame = pd.DataFrame({"symbol": names, "event_time": times, "available_at": times + timedelta(hours=1), **columns,
                          "y": y, "label_end": times + timedelta(hours=2), "forward_return": forward})
    frame["base_prev_label"] = frame.groupby("symbol")["y"].shift(2)
    return frame


@pytest.fixture
def line() -> Line:
    return make_line()


@pytest.fixture
def frame() -> pd.DataFrame:
    return make_frame()


@pytest.fixture(autouse=True)
def _mlflow_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``record.connect`` puts into the environment ends with the test."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
                 "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
