"""How each source puts its facts into words: path → (status, body, content type)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from infra.replay.world import World
from pipelines.contracts.columns import Kind

Spoken = tuple[int, bytes, str]
QUOTES = ("USDT", "USDC", "USD", "BTC", "EUR")
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Request:
    """One request; ``base`` is the server's own address."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    base: str


def answer(request: Request, world: World) -> Spoken:
    """What the source at this path says; 404 where none is."""
    for pattern, speak in ROUTES:
        if re.fullmatch(pattern, request.path):
            return speak(request, world)
    return 404, b'{"error":"no such path"}', "application/json"


def said(value: Any, status: int = 200) -> Spoken:
    return status, json.dumps(value).encode(), "application/json"


def ms(at: pd.Timestamp) -> int:
    return int(at.value // 1_000_000) if at.unit == "ns" else int(at.timestamp() * 1000)


def turned(items: list[Any], world: World) -> list[Any]:
    """The page in a wrong order."""
    return [*items[1::2], *items[::2]] if "reordered" in world.faults else items


def exchange_info(request: Request, world: World) -> Spoken:
    """Binance: the markets there are."""
    markets = []
    for symbol in sorted(set(world.rows(Kind.BARS)["symbol"])):
        quote = next((quote for quote in QUOTES if symbol.endswith(quote)), "USDT")
        markets.append({"symbol": symbol, "status": "TRADING", "baseAsset": symbol.removesuffix(quote),
                        "baseAssetPrecision": 8, "quoteAsset": quote, "quotePrecision": 8, "orderTypes": ["LIMIT"],
                        "isSpotTradingAllowed": True, "permissions": ["SPOT"], "filters": []})
    return said({"timezone": "UTC", "serverTime": 0, "rateLimits": [], "exchangeFilters": [], "symbols": markets})


def klines(request: Request, world: World) -> Spoken:
    """Binance: bars from ``startTime`` on, oldest first, prices as text."""
    query = request.query
    rows = world.rows(Kind.BARS)
    rows = rows[(rows["symbol"] == query.get("symbol")) & (rows["interval"] == query.get("interval"))]
    start, end = int(query.get("startTime", 0)), int(query.get("endTime", 1 << 60))
    limit = min(int(query.get("limit", 500)), 1000)
    shift = 3 * HOUR_MS if "zone" in world.faults else 0
    bars = []
    for row in rows.itertuples(index=False):
        opened = ms(row.event_time)
        if start <= opened <= end and len(bars) < limit:
            opened -= shift
            values = [str(getattr(row, name)) for name in ("open", "high", "low", "close", "volume")]
            bars.append([opened, *values, ms(row.available_at) - 1 - shift, "0", 0, "0", "0", "0"])
    return said(turned(bars, world))


ROUTES: tuple[tuple[str, Callable[[Request, World], Spoken]], ...] = (
    (r"/api/v3/exchangeInfo", exchange_info),
    (r"/api/v3/klines", klines),
)
