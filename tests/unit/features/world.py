"""Small worlds with the dirt of real feeds: bars with gaps, late bars and revisions; texts, indices and trades."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, parse_line
from pipelines.contracts.window import Window
from pipelines.features import catalog
from pipelines.sentiment import run as sentiment_run
from pipelines.store import Warehouse, facts

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PRICES = ["open", "high", "low", "close", "volume"]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
TEXTS = ["bitcoin is great", "I love $ETH", "awful day for BTC", "the market sleeps", "eth and btc crash", "fear again"]
#: Groups whose rows are bars.
ON_BARS = tuple(name for name, group in catalog.GROUPS.items() if group.from_texts is None)


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


def everything(days: int, alive: int, seed: int = 11) -> dict[Kind, pd.DataFrame]:
    """Facts of all kinds from ``START`` on: bars of all ``days``, texts and trades of the last ``alive``."""
    rng = random.Random(seed)
    end = START + days * DAY
    bars = dirty(days * 24, SYMBOLS, seed=seed, rate=0.01)
    written = [end - rng.random() * alive * DAY for _ in range(alive * 40)]
    documents = pd.DataFrame({
        "source": "t", "doc_id": [str(number) for number in range(len(written))],
        "event_time": pd.to_datetime(written, utc=True).as_unit("us"), "kind": "post", "title": None,
        "text": [rng.choice(TEXTS) for _ in written], "url": None, "engagement": np.nan})
    documents["available_at"] = documents["event_time"] + pd.to_timedelta(
        [rng.choice([0, 60, 9000]) for _ in written], unit="s")
    dates = pd.date_range(end - (alive + 3) * DAY, end, freq="D", unit="us")
    indicators = pd.concat([pd.DataFrame({
        "name": name, "event_time": dates, "available_at": dates + DAY + timedelta(minutes=5),
        "value": [rng.uniform(10, 90) for _ in dates], "source": "t", "components": None})
        for name in ("fear_greed", "vix")])
    return {Kind.BARS: bars.drop(columns="revision"), Kind.DOCUMENTS: documents, Kind.INDICATORS: indicators,
            Kind.TRADES: _trades(rng, end - alive * DAY, alive * 24)}


def _trades(rng: random.Random, start: datetime, hours: int) -> pd.DataFrame:
    """One opens every other hour; it closes within a day, and the log of that comes up to three hours late."""
    log = []
    for number in range(hours // 2):
        opened = start + timedelta(hours=2 * number, minutes=rng.randrange(60))
        closed = opened + timedelta(minutes=rng.randrange(10, 24 * 60))
        entry, profit = rng.uniform(50, 150), rng.gauss(0, 0.02)
        trade = {"source": "bot", "trade_id": str(number), "event_time": opened, "symbol": rng.choice(SYMBOLS),
                 "side": rng.choice(["long", "short"]), "entry_price": entry, "size": 1.0}
        log.append({**trade, "available_at": opened, "closed_at": pd.NaT, "exit_price": np.nan, "profit_ratio": np.nan,
                    "exit_reason": None})
        log.append({**trade, "available_at": closed + timedelta(minutes=rng.choice([0, 0, 20, 180])),
                    "closed_at": closed, "exit_price": entry * (1 + profit), "profit_ratio": profit,
                    "exit_reason": "signal"})
    times = dict.fromkeys(("event_time", "available_at", "closed_at"), "datetime64[us, UTC]")
    return pd.DataFrame(log).astype(times)


def load(warehouse: Warehouse, frames: dict[Kind, pd.DataFrame]) -> None:
    """Store the facts and score the texts."""
    for kind, frame in frames.items():
        facts.write(warehouse, kind, frame)
    written = frames[Kind.DOCUMENTS]["event_time"]
    first, last = (at.to_pydatetime() for at in (written.min().floor("D"), frames[Kind.BARS]["event_time"].max()))
    sentiment_run.run(warehouse, Window(first, last + 2 * HOUR))


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


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Bit for bit."""
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True)
