"""How each source puts its facts into words: path → (status, body, content type)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

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


def fear_greed(request: Request, world: World) -> Spoken:
    """alternative.me: newest first, numbers as text."""
    rows = world.rows(Kind.INDICATORS)
    rows = rows[rows["name"] == "fear_greed"].iloc[::-1]
    shift = 3 * 3600 if "zone" in world.faults else 0
    data = [{"value": str(row.value) if row.value != row.value else f"{row.value:g}", "value_classification": "Fear",
             "timestamp": str(ms(row.event_time) // 1000 + shift), **(row.components or {})}
            for row in rows.itertuples(index=False)]
    limit = int(request.query.get("limit", 1))
    return said({"name": "Fear and Greed Index", "data": turned(data[:limit or None], world),
                 "metadata": {"error": None}})


def _sheet(lines: list[str], world: World, head: str) -> Spoken:
    return 200, "\r\n".join([head, *turned(lines, world), ""]).encode(), "text/csv"


def vix(request: Request, world: World) -> Spoken:
    """CBOE: the VIX since its beginning."""
    rows = world.rows(Kind.INDICATORS)
    return _sheet([f"{row.event_time:%m/%d/%Y},{row.value},{row.value},{row.value},{row.value}"
                   for row in rows[rows["name"] == "vix"].itertuples(index=False)], world, "DATE,OPEN,HIGH,LOW,CLOSE")


def put_call(request: Request, world: World) -> Spoken:
    """CBOE: put/call ratios below small print, dates without leading zeros."""
    rows = world.rows(Kind.INDICATORS)
    return _sheet([f"{row.event_time.month}/{row.event_time.day}/{row.event_time.year},100,100,200,{row.value}"
                   for row in rows[rows["name"] == "put_call"].itertuples(index=False)], world,
                  '"Cboe Volume and Put/Call Ratio data is compiled for the convenience of site visitors, and is '
                  'furnished without responsibility for accuracy"\r\n,,PRODUCT: TOTAL\r\n'
                  "DATE,CALLS,PUTS,TOTAL,P/C Ratio")


def written(world: World, kind: str) -> pd.DataFrame:
    """Documents of a kind, newest first."""
    rows = world.rows(Kind.DOCUMENTS)
    return rows[rows["kind"] == kind].iloc[::-1]


def rss(request: Request, world: World) -> Spoken:
    """RSS 2.0 of all news."""
    zone = timezone(timedelta(hours=3)) if "zone" in world.faults else UTC
    items = []
    for row in written(world, "news").itertuples(index=False):
        text = f"<description>{escape(row.text)}</description>" if row.text else ""
        title = f"<title>{escape(row.title)}</title>" if row.title else ""
        items.append(f"<item>{title}{text}<guid isPermaLink=\"false\">{escape(row.doc_id)}</guid>"
                     f"<pubDate>{format_datetime(row.event_time.to_pydatetime().astimezone(zone))}</pubDate></item>")
    body = ('<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Replay</title>'
            f"{''.join(turned(items, world))}</channel></rss>")
    return 200, body.encode(), "application/rss+xml"


ROUTES: tuple[tuple[str, Callable[[Request, World], Spoken]], ...] = (
    (r"/api/v3/exchangeInfo", exchange_info),
    (r"/api/v3/klines", klines),
    (r"/fng/", fear_greed),
    (r".*/VIX_History\.csv", vix),
    (r".*/totalpc\.csv", put_call),
    (r"/feed\.xml", rss),
)
