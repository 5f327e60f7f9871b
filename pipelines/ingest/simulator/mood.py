"""The latent mood of each coin, and the documents that make it visible.

Mood is an AR(1) of unit variance around a level, part common to all coins, part their own. People write at a rate
that follows the clock; each document's tone (-1, 0, 1) is drawn from the mood of its hour. What a reader can know at
a full hour is the *observable mood*: the mean tone of the documents about a coin that became available in the last
``CARRY_HOURS`` hours. The planted edge hangs on that, never on the latent mood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.config import Simulator
from pipelines.ingest.simulator.streams import HOURS, Floats, Ints, Stream, after_shift, stream

CARRY_HOURS = 4
COMMON_SHARE = 0.35
#: Softmax slope of tone on mood, and the weight of a neutral tone.
SLOPE, NEUTRAL = 2.0, 0.4
#: Documents an hour: posts and news about each coin, posts and news about the whole market.
POSTS, NEWS, MARKET_POSTS, MARKET_NEWS = 1.8, 0.15, 0.5, 0.3


@dataclass(frozen=True)
class Regime:
    """What a regime shift changes in the inputs."""

    persistence: float
    level: float
    volume: float


BEFORE = Regime(persistence=0.90, level=0.15, volume=1.0)
AFTER = Regime(persistence=0.95, level=-0.50, volume=1.7)


@dataclass(frozen=True)
class Documents:
    """Columns of all documents in order of day, one entry per document.

    ``subject`` is the index of the coin, or the number of coins for the whole market; ``day`` and ``number`` (within
    the day) name it; ``written`` and ``seen`` are seconds since the start of the world; ``tone`` is -1, 0 or 1.
    """

    day: Ints
    number: Ints
    subject: Ints
    news: Ints
    written: Ints
    seen: Ints
    tone: Ints


def latent(settings: Simulator) -> tuple[Floats, Floats]:
    """Mood per hour and coin, shape (hours, coins), and of the whole market, shape (hours,)."""
    hours, coins = settings.days * HOURS, settings.symbols
    noise = np.concatenate([stream(settings.seed, Stream.MOOD, day).standard_normal((HOURS, coins + 1))
                            for day in range(settings.days)])
    shifted = after_shift(settings, hours)
    rho = np.where(shifted, AFTER.persistence, BEFORE.persistence)
    fresh = np.sqrt(1 - rho**2)[:, None] * noise
    state = noise[0]
    path = np.empty_like(noise)
    path[0] = state
    for hour in range(1, hours):
        state = rho[hour] * state + fresh[hour]
        path[hour] = state
    level = np.where(shifted, AFTER.level, BEFORE.level)
    common = path[:, -1]
    own = np.sqrt(COMMON_SHARE) * common[:, None] + np.sqrt(1 - COMMON_SHARE) * path[:, :-1]
    return level[:, None] + own, level + common


def tone_shares(mood: Floats) -> tuple[Floats, Floats]:
    """P(tone = 1) and P(tone = -1) of documents written in this mood."""
    up, down = np.exp(SLOPE * mood), np.exp(-SLOPE * mood)
    total = up + down + NEUTRAL
    return up / total, down / total


def usual_tone(level: float) -> float:
    """Mean tone in the median mood. Half of all hours are above it, so the planted drift favours no direction."""
    positive, negative = tone_shares(np.array([level]))
    return float(positive[0] - negative[0])


def documents(settings: Simulator, mood: Floats, market_mood: Floats) -> Documents:
    """Who writes when, about what, in which tone."""
    coins = settings.symbols
    # More is written in the European and American day than in its night.
    clock = 1 + 0.45 * np.sin(2 * np.pi * (np.arange(HOURS) - 9) / HOURS)
    posts = np.outer(clock, [POSTS] * coins + [MARKET_POSTS])
    news = np.outer(clock, [NEWS] * coins + [MARKET_NEWS])
    shifted = after_shift(settings, settings.days * HOURS)[::HOURS]
    every = np.column_stack([mood, market_mood])
    parts = [_day(settings.seed, day, (AFTER if shifted[day] else BEFORE).volume * np.stack([posts, news]),
                  every[day * HOURS:(day + 1) * HOURS]) for day in range(settings.days)]
    return Documents(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _day(seed: int, day: int, rate: Floats, mood: Floats) -> tuple[Ints, ...]:
    rng = stream(seed, Stream.DOCUMENTS, day)
    counts = rng.poisson(rate)  # (news?, hour, subject)
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    news, hour, subject = np.unravel_index(cells, counts.shape)
    size = len(cells)
    written = (day * HOURS + hour) * 3600 + rng.integers(0, 3600, size)
    # A crawler sees a post within two minutes, an agency's story within ten.
    seen = written + np.where(news == 1, rng.integers(60, 600, size), rng.integers(5, 120, size))
    positive, negative = tone_shares(mood[hour, subject])
    draw = rng.random(size)
    tone = np.where(draw < positive, 1, np.where(draw > 1 - negative, -1, 0))
    order = np.argsort(written, kind="stable")
    return (np.full(size, day), np.arange(size), *(values[order].astype(np.int64) for values in (
        subject, news, written, seen, tone)))


def observable(settings: Simulator, written: Documents) -> Floats:
    """Mean tone per hour and coin, shape (hours, coins), of documents with ``seen`` in (hour - 4 h, hour].

    Row h is what is known when the bar opening at hour h begins. Without a document it is the regime's usual tone.
    """
    hours, coins = settings.days * HOURS, settings.symbols
    visible = -(-written.seen // 3600)  # the first full hour at which it can be read
    use = (written.subject < coins) & (visible < hours)
    cell = visible[use] * coins + written.subject[use]
    tones = np.bincount(cell, written.tone[use], hours * coins).reshape(hours, coins).astype(np.float64)
    counts = np.bincount(cell, minlength=hours * coins).reshape(hours, coins).astype(np.float64)
    total, number = _trailing_sum(tones), _trailing_sum(counts)
    return np.where(number > 0, total / np.maximum(number, 1), usual_tones(settings)[:, None])


def usual_tones(settings: Simulator) -> Floats:
    """The usual tone of each hour's regime, shape (hours,)."""
    shifted = after_shift(settings, settings.days * HOURS)
    return np.where(shifted, usual_tone(AFTER.level), usual_tone(BEFORE.level))


def _trailing_sum(values: Floats) -> Floats:
    # Whole numbers: the cumulative sum is exact, so a longer world has the same sums.
    total = np.cumsum(values, axis=0)
    total[CARRY_HOURS:] -= total[:-CARRY_HOURS].copy()
    return total
