"""The simulated world, put together once per process and settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from pipelines.config import Simulator
from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError
from pipelines.ingest.simulator import defects, dirt, mood, prices, texts
from pipelines.ingest.simulator.indicators import NAMES, indicators
from pipelines.ingest.simulator.streams import HOURS, Coin, Floats, Stream, coins, shift_hour, stream
from pipelines.ingest.simulator.truth import Truth, up_probability

SOURCE = "simulator"
INTERVAL = "1h"
_HOUR = np.timedelta64(3600, "s")


@dataclass(frozen=True)
class World:
    """Everything about one simulated market: its truth, and what its feeds delivered."""

    truth: Truth
    feeds: dict[Kind, dirt.Feed]


class Market:
    """A seeded market: same settings, same bytes; more days begin with the same rows.

    ``bars()``, ``documents()`` and ``indicators()`` are what the feeds delivered, dirt included, sorted by
    ``available_at``; ``truth`` is what is really so.
    """

    def __init__(self, settings: Simulator) -> None:
        if settings.start != settings.start.replace(hour=0, minute=0, second=0, microsecond=0):
            raise ConfigError(f"TIDEMARK_SIMULATOR__START is {settings.start}; it has to be midnight UTC")
        self._world = _world(settings.model_dump_json())

    @property
    def truth(self) -> Truth:
        return self._world.truth

    def feed(self, kind: Kind) -> dirt.Feed:
        return self._world.feeds[kind]

    def bars(self) -> pd.DataFrame:
        return self.feed(Kind.BARS).frame.copy()

    def documents(self) -> pd.DataFrame:
        return self.feed(Kind.DOCUMENTS).frame.copy()

    def indicators(self) -> pd.DataFrame:
        return self.feed(Kind.INDICATORS).frame.copy()


@lru_cache(maxsize=4)
def _world(settings_json: str) -> World:
    settings = Simulator.model_validate_json(settings_json)
    chosen = coins(settings.symbols)
    latent, market_mood = mood.latent(settings)
    written = mood.documents(settings, latent, market_mood)
    observable = mood.observable(settings, written)
    path = prices.simulate(settings, chosen, observable - mood.usual_tones(settings)[:, None])

    bars = _bars(settings, chosen, path)
    documents = _documents(settings, chosen, written)
    daily = indicators(settings, path, latent, market_mood)
    feeds = _feeds(settings, bars, documents, daily, np.bincount(written.day, minlength=settings.days).tolist())
    at = shift_hour(settings)
    truth = Truth(
        edge=settings.edge, edge_input=settings.edge_input, carriers=_carriers(settings),
        shift_time=None if at is None else (pd.Timestamp(settings.start) + pd.Timedelta(hours=at)).to_pydatetime(),
        symbols=tuple(coin.symbol for coin in chosen), bars=bars, documents=documents, indicators=daily,
        state=_state(bars, latent, observable, path), dirt=pd.concat([feed.log for feed in feeds.values()],
                                                                    ignore_index=True))
    return World(truth, feeds)


def _carriers(settings: Simulator) -> tuple[str, ...]:
    if settings.edge == 0:
        return ()
    if settings.edge_input == "sentiment":
        return (f"mean sentiment of a symbol's documents of the last {mood.CARRY_HOURS} hours",)
    return (f"return of the last {prices.MOMENTUM_HOURS} hours over its volatility",)


def _bars(settings: Simulator, chosen: tuple[Coin, ...], path: prices.Path) -> pd.DataFrame:
    hours, count = path.open.shape
    opened = pd.date_range(settings.start, periods=hours, freq="h", unit="us")
    event_time = opened.repeat(count)
    return pd.DataFrame({
        "symbol": np.tile(np.array([coin.symbol for coin in chosen]), hours),
        "interval": INTERVAL,
        "event_time": event_time,
        "available_at": event_time + pd.Timedelta(_HOUR),
        **{name: getattr(path, name).ravel() for name in ("open", "high", "low", "close", "volume")},
        "source": SOURCE,
    })


def _documents(settings: Simulator, chosen: tuple[Coin, ...], written: mood.Documents) -> pd.DataFrame:
    counts = np.bincount(written.day, minlength=settings.days)
    rngs = [stream(settings.seed, Stream.TEXTS, day) for day in range(settings.days)]
    draw = np.concatenate([rng.random((count, 3)) for rng, count in zip(rngs, counts, strict=True)])
    reactions = np.concatenate([rng.poisson(1.5, count) for rng, count in zip(rngs, counts, strict=True)])
    title, text = texts.write(chosen, written.subject, written.tone, written.news, draw)
    news = written.news == 1
    names = [f"{day:05d}-{number:05d}" for day, number in zip(written.day.tolist(), written.number.tolist(),
                                                             strict=True)]
    start = pd.Timestamp(settings.start)
    subjects = np.array([*(coin.symbol for coin in chosen), "*"])
    # Texts stay Python objects: a broken feed can hold what no other string type can.
    return pd.DataFrame({
        "source": np.where(news, f"{SOURCE}-news", f"{SOURCE}-posts"),
        "doc_id": names,
        "event_time": start + pd.to_timedelta(written.written, unit="s").as_unit("us"),
        "available_at": start + pd.to_timedelta(written.seen, unit="s").as_unit("us"),
        "kind": np.where(news, "news", "post"),
        "title": pd.Series(title, dtype=object),
        "text": pd.Series(text, dtype=object),
        "url": pd.Series([None] * len(names), dtype=object),
        "engagement": np.where(news, np.nan, reactions),
        "symbol": subjects[written.subject],
        "tone": written.tone,
    })


def _feeds(settings: Simulator, bars: pd.DataFrame, documents: pd.DataFrame, daily: pd.DataFrame,
           written_per_day: list[int]) -> dict[Kind, dirt.Feed]:
    def uniform(purpose: Stream, counts: list[int]) -> Floats:
        return dirt.draws(settings.seed, purpose, counts)

    return {
        Kind.BARS: dirt.soil(
            Kind.BARS, bars, uniform(Stream.DIRT_BARS, [HOURS * settings.symbols] * settings.days), settings.dirt,
            key="symbol", revise=defects.wrong_bar, first_is_wrong=True,
            breaks={"missing close": defects.missing_close, "negative price": defects.negative_price,
                    "high below low": defects.crossed, "off the grid": defects.off_grid}),
        Kind.DOCUMENTS: dirt.soil(
            Kind.DOCUMENTS, documents, uniform(Stream.DIRT_DOCUMENTS, written_per_day), settings.dirt, key="doc_id",
            revise=defects.edited_text, first_is_wrong=False,
            breaks={"empty text": defects.empty_text, "huge text": defects.huge_text,
                    "broken encoding": defects.broken_encoding, "NUL in text": defects.nul_in_text}),
        Kind.INDICATORS: dirt.soil(
            Kind.INDICATORS, daily, uniform(Stream.DIRT_INDICATORS, [len(NAMES)] * settings.days), settings.dirt,
            key="name", revise=defects.wrong_value, first_is_wrong=True,
            breaks={"missing value": defects.missing_value, "infinite value": defects.infinite_value}),
    }


def _state(bars: pd.DataFrame, latent: Floats, observable: Floats, path: prices.Path) -> pd.DataFrame:
    """A decision at the close of bar h is about bar h + 1; the last bar has none."""
    signal = path.signal[1:].ravel()
    rows = len(signal)
    return pd.DataFrame({
        **{name: bars[name].iloc[:rows] for name in ("symbol", "event_time", "available_at")},
        "mood": latent[1:].ravel(), "observable": observable[1:].ravel(), "signal": signal,
        "up_probability": up_probability(signal),
        "up": (path.close[1:] > path.close[:-1]).ravel(),
    })
