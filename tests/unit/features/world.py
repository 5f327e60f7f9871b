"""Small bar worlds with the dirt of real feeds: gaps, late bars, revisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line, parse_line

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PRICES = ["open", "high", "low", "close", "volume"]


def clean(hours: int, symbols: tuple[str, ...] = ("AUSDT", "BUSDT"), seed: int = 1) -> pd.DataFrame:
    """Every bar on time, first versions only."""
    rng = np.random.default_rng(seed)
    opened = pd.date_range(START, periods=hours, freq="h", unit="us")
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(hours)))
        before = np.concatenate([[100.0], close[:-1]])
        high = np.maximum(before, close) * (1 + 0.003 * rng.random(hours))
        low = np.minimum(before, close) * (1 - 0.003 * rng.random(hours))
        frames.append(pd.DataFrame({
            "symbol": symbol, "interval": "1h", "event_time": opened, "available_at": opened + HOUR, "open": before,
            "high": high, "low": low, "close": close, "volume": np.round(1000 * rng.random(hours), 3), "source": "t",
            "revision": 0}))
    return ordered(pd.concat(frames))


def dirty(hours: int, symbols: tuple[str, ...] = ("AUSDT", "BUSDT"), seed: int = 1, rate: float = 0.05) -> pd.DataFrame:
    """The same with gaps, late bars (up to 30 h) and revisions (up to 60 h later), each at ``rate``."""
    frame = clean(hours, symbols, seed)
    rng = np.random.default_rng(seed + 1)
    late = rng.random(len(frame)) < rate
    frame.loc[late, "available_at"] += pd.to_timedelta(rng.integers(1, 30 * 60, late.sum()), unit="min")
    parts = [frame]
    for number in (1, 2):
        again = frame[rng.random(len(frame)) < rate].copy()
        delay = rng.choice([0, 1, 60, 60 * 7, 60 * 60], len(again)) + 60 * number
        again["available_at"] += pd.to_timedelta(delay, unit="min")
        again[PRICES] *= 1 + 0.02 * rng.random((len(again), 1))
        again["revision"] = number
        parts.append(again)
    frame = pd.concat(parts)
    gone = frame[["symbol", "event_time"]].drop_duplicates().sample(frac=rate / 2, random_state=seed)
    lost = frame.merge(gone, on=["symbol", "event_time"], how="left", indicator=True)["_merge"].eq("both").to_numpy()
    return ordered(frame[~lost])


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["symbol", "event_time", "available_at", "revision"], ignore_index=True)


def known(frame: pd.DataFrame, at: datetime | pd.Timestamp) -> pd.DataFrame:
    """What was there at a time."""
    return frame[frame["available_at"] <= pd.Timestamp(at)].reset_index(drop=True)


def line(kind: str = "direction", horizon: int = 1, median: int = 24,
         groups: tuple[str, ...] = ("returns", "trend", "volatility", "lags", "time", "sentiment", "indicators"),
         symbols: tuple[str, ...] = ()) -> Line:
    return parse_line(f"""
        name = "test_line"
        title = "A line for tests"
        symbols = {list(symbols)}
        [target]
        kind = "{kind}"
        horizon_bars = {horizon}
        median_bars = {median}
        [features]
        groups = {list(groups)}
        [walk_forward]
        train_days = 4
        test_days = 1
        search_folds = 2
        evidence_days = 2
        [search]
        families = ["lightgbm"]
        trials = 1
    """.replace("'", '"'))
