"""Daily indicators of the simulated market: fear & greed with its components, an implied volatility, a put/call ratio.

Each describes one UTC day and becomes available five minutes after that day has ended. They follow mood and volatility
loosely: like the real ones they drift with the regime and say little about the next hour.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.config import Simulator
from pipelines.ingest.simulator.prices import SHIFT_VOLATILITY, Path
from pipelines.ingest.simulator.streams import HOURS, Floats, Stream, after_shift, stream

NAMES = ("fear_greed", "put_call", "vix")
PUBLISHED_AFTER = pd.Timedelta(days=1, minutes=5)
SOURCE = "simulator"


def indicators(settings: Simulator, path: Path, mood: Floats, market_mood: Floats) -> pd.DataFrame:
    """Columns of ``Kind.INDICATORS``, three rows a day."""
    days = settings.days
    noise = _autocorrelated(np.stack([stream(settings.seed, Stream.INDICATORS, day).standard_normal(3)
                                      for day in range(days)]))
    shifted = after_shift(settings, days * HOURS)
    level = np.sqrt(path.variance.mean(axis=1)) * np.where(shifted, SHIFT_VOLATILITY, 1.0)
    level, talk = _daily(level), _daily((mood.mean(axis=1) + market_mood) / 2)
    market = np.log(path.close).mean(axis=1)[HOURS - 1::HOURS]
    three_days = market - np.concatenate([np.full(3, market[0]), market])[:days]
    parts = np.stack([_percent(three_days / 0.06), _percent(2.5 * (1 - level)), _percent(1.5 * talk)], axis=1)
    fear_greed = np.clip(np.round(parts @ [0.3, 0.3, 0.4] + 2 * noise[:, 0]), 0, 100)
    vix = np.round(np.maximum(9.0, 17 * level**0.8 * np.exp(0.12 * noise[:, 1])), 2)
    put_call = np.round(np.clip(0.85 - 0.10 * talk + 0.05 * noise[:, 2], 0.3, 2.0), 2)
    event_time = pd.date_range(settings.start, periods=days, freq="D", unit="us").repeat(len(NAMES))
    components = [{"momentum": round(a, 1), "volatility": round(b, 1), "sentiment": round(c, 1)}
                  for a, b, c in parts.tolist()]
    return pd.DataFrame({
        "name": np.tile(np.array(NAMES), days),
        "event_time": event_time,
        "available_at": event_time + PUBLISHED_AFTER,
        "value": np.stack([fear_greed, put_call, vix], axis=1).ravel(),
        "source": SOURCE,
        "components": pd.Series([item for day in components for item in (day, None, None)], dtype=object),
    })


def _daily(hourly: Floats) -> Floats:
    return np.asarray(hourly.reshape(-1, HOURS).mean(axis=1))


def _percent(score: Floats) -> Floats:
    return 100 / (1 + np.exp(-score))


def _autocorrelated(noise: Floats, rho: float = 0.7) -> Floats:
    path = np.empty_like(noise)
    path[0] = noise[0]
    for day in range(1, len(noise)):
        path[day] = rho * path[day - 1] + np.sqrt(1 - rho**2) * noise[day]
    return path
