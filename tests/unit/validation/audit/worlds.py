"""Facts of the simulator (without its dirt) and training frames without an edge, for planting leaks into."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from pipelines.config import Simulator
from pipelines.ingest.simulator import Market

HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)
META = ["symbol", "event_time", "available_at"]


@lru_cache(maxsize=2)
def _market(days: int) -> Market:
    return Market(Simulator(days=days, symbols=2, dirt=0, edge=0))


def facts(days: int = 12) -> dict[str, pd.DataFrame]:
    """Bars of two symbols, documents with a score and a crawl-time count, a daily index and a trade log."""
    truth = _market(days).truth
    bars = truth.bars.sort_values(["symbol", "event_time"], ignore_index=True)
    written = truth.documents.sort_values("available_at", ignore_index=True)
    rng = np.random.default_rng(5)
    posts = pd.DataFrame({
        "doc_id": written["doc_id"], "event_time": written["event_time"], "available_at": written["available_at"],
        "compound": np.round(rng.uniform(-1, 1, len(written)), 4), "likes": rng.poisson(3, len(written)) * 1.0,
        "revision": 0})
    posts["available_at"] = posts[["available_at", "event_time"]].max(axis=1)
    edited = posts[40:len(posts) - 40:97].assign(revision=1)
    edited["available_at"] += 7 * HOUR
    edited["compound"] = -edited["compound"] - 0.5
    daily = pd.date_range(bars["event_time"].min().normalize(), periods=days, freq="D", unit="us")
    index = pd.DataFrame({"event_time": daily, "available_at": daily + DAY + 5 * pd.Timedelta(minutes=1),
                          "value": rng.uniform(10, 90, days)})
    opened = bars.iloc[rng.choice(len(bars) - 200, 300, replace=False)].sort_values("event_time")
    trades = pd.DataFrame({
        "symbol": opened["symbol"], "event_time": opened["event_time"] + HOUR,
        "available_at": opened["event_time"] + HOUR, "entry_price": opened["close"],
        "profit_ratio": rng.normal(0, 0.02, 300)}).drop_duplicates(["symbol", "event_time"])
    return {"bars": bars, "posts": pd.concat([posts, edited]).sort_values("available_at", ignore_index=True),
            "index": index, "trades": trades.reset_index(drop=True)}


def end(given: dict[str, pd.DataFrame]) -> pd.Timestamp:
    return max(frame["available_at"].max() for frame in given.values())


def rows(given: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of the bars, with an honest column beside the planted one."""
    frame = given["bars"][[*META, "close"]].sort_values(["symbol", "event_time"], ignore_index=True)
    frame["honest"] = frame.groupby("symbol")["close"].pct_change()
    return frame


def training(seed: int = 0, hours: int = 24 * 40, symbols: int = 2, horizon: int = 1,
             persistent: bool = False) -> pd.DataFrame:
    """A snapshot without any edge: labels of a random walk, features of its past and of nothing."""
    rng = np.random.default_rng([seed, 77])
    times = pd.date_range("2024-01-01", periods=hours, freq="h", unit="us", tz="UTC")
    parts = []
    common = 0.5 * rng.standard_normal(hours + horizon)
    for symbol in range(symbols):
        step = common + rng.standard_normal(hours + horizon)
        price = np.cumsum(step)
        forward = price[horizon:] - price[:-horizon]
        slow = np.zeros(hours)
        for at in range(1, hours):
            slow[at] = 0.99 * slow[at - 1] + rng.standard_normal()
        y = forward > 0
        if persistent:  # a label that hangs together over days, as volatility does
            level = np.convolve(rng.standard_normal(hours + 71), np.ones(72) / 8, "valid")
            y = level + 0.3 * rng.standard_normal(hours) > 0
        parts.append(pd.DataFrame({
            "symbol": f"S{symbol}", "event_time": times, "available_at": times + HOUR,
            "return_1": step[:hours], "trend": pd.Series(step[:hours]).rolling(24, min_periods=1).mean().to_numpy(),
            "slow": slow, "noise": rng.standard_normal(hours), "group": rng.integers(0, 40, hours) * 1.0,
            "y": y.astype(float), "label_end": times + HOUR * (1 + horizon), "forward_return": 0.001 * forward}))
    frame = pd.concat(parts).sort_values(["event_time", "symbol"], ignore_index=True)
    return frame
