"""Random numbers and coins of the simulated market.

Every day of every purpose has a stream of its own, seeded by (seed, purpose, day). So a longer world begins with
the same rows as a shorter one, and changing one thing (the edge, the rate of dirt) leaves all others as they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import Simulator

HOURS = 24

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Objects = NDArray[Any]


class Stream(IntEnum):
    """What the numbers are for. Values are part of the seed: never renumber, only append."""

    MOOD = 1
    RETURNS = 2
    VOLUME = 3
    DOCUMENTS = 4
    TEXTS = 5
    INDICATORS = 6
    DIRT_BARS = 7
    DIRT_DOCUMENTS = 8
    DIRT_INDICATORS = 9
    CLIMATE = 10


def stream(seed: int, purpose: Stream, day: int) -> np.random.Generator:
    """The generator of one day (counted from the start of the world) for one purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(purpose), day])))


def shift_hour(settings: Simulator) -> int | None:
    """Index of the first hour after the regime shift, None when there is none inside the world."""
    if settings.shift_day is None or settings.shift_day >= settings.days:
        return None
    return settings.shift_day * HOURS


def after_shift(settings: Simulator, hours: int) -> Flags:
    """Shape (hours,): which hours lie after the regime shift."""
    at = shift_hour(settings)
    return np.zeros(hours, dtype=bool) if at is None else np.arange(hours) >= at


@dataclass(frozen=True)
class Coin:
    """One simulated coin.

    Attributes:
        code: ticker without the quote currency (BTC).
        name: how texts call it besides the cashtag; None: only by cashtag.
        price: first price in USDT.
        volatility: standard deviation of hourly log returns in the quiet regime.
        beta: correlation of its shocks with the market factor.
        volume: typical hourly volume in coins.
    """

    code: str
    name: str | None
    price: float
    volatility: float
    beta: float
    volume: float

    @property
    def symbol(self) -> str:
        return f"{self.code}USDT"

    @property
    def decimals(self) -> int:
        """Decimals of quoted prices: seven significant digits at the first price, so ties practically never occur."""
        return 6 - math.floor(math.log10(self.price))


_NAMED = (
    Coin("BTC", "Bitcoin", 42_000.0, 0.0050, 0.72, 9_000.0),
    Coin("ETH", "Ethereum", 2_300.0, 0.0062, 0.68, 90_000.0),
    Coin("SOL", "Solana", 100.0, 0.0088, 0.60, 700_000.0),
    Coin("ADA", "Cardano", 0.58, 0.0078, 0.60, 60_000_000.0),
    Coin("XRP", "Ripple", 0.62, 0.0074, 0.55, 80_000_000.0),
)
_OTHERS = (
    "BNB", "DOGE", "DOT", "LTC", "AVAX", "LINK", "MATIC", "TRX", "UNI", "ATOM", "XLM", "ETC", "XMR", "BCH", "ALGO",
    "VET", "FIL", "ICP", "HBAR", "EGLD", "THETA", "AXS", "SAND", "MANA", "AAVE", "EOS", "XTZ", "GRT", "FTM", "NEO",
    "KSM", "ZEC", "MKR", "DASH", "CHZ", "ENJ", "BAT", "ZIL", "COMP", "IOTA", "QTUM", "OMG", "ANKR", "CRV", "SNX",
)


def coins(count: int) -> tuple[Coin, ...]:
    """The first ``count`` coins (at most 50); the order never changes."""
    others = (Coin(code, None, 3.0 + 7.0 * (i % 11), 0.0070 + 0.0004 * (i % 7), 0.50 + 0.02 * (i % 8), 400_000.0)
              for i, code in enumerate(_OTHERS))
    return (*_NAMED, *others)[:count]
