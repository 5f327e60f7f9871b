"""How each source puts its facts into words: path → (status, body, content type)."""

from __future__ import annotations

import json
import re
import zlib
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
TOKEN = "replay-token-0123456789"


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


def words(value: Any) -> str | None:
    """A text; None for whatever else stands for nothing in a frame."""
    return value if isinstance(value, str) else None


def beside(components: Any) -> dict[str, Any]:
    return components if isinstance(components, dict) else {}


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
    if query.get("symbol") not in set(world.rows(Kind.BARS)["symbol"]):
        return said({"code": -1121, "msg": "Invalid symbol."}, 400)
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
    data = [{"value": f"{row.value:g}" if isinstance(row.value, float) else str(row.value),
             "value_classification": "Fear",
             "timestamp": str(ms(row.event_time) // 1000 + shift), **beside(row.components)}
            for row in rows.itertuples(index=False)]
    limit = int(request.query.get("limit", 1))
    return said({"name": "Fear and Greed Index", "data": turned(data[:limit or None], world),
                 "metadata": {"error": None}})


def _sheet(lines: list[str], world: World, head: str) -> Spoken:
    return 200, "\r\n".join([head, *turned(lines, world), ""]).encode(), "text/csv"


def _day(at: pd.Timestamp, world: World, pattern: str) -> str:
    """A date as a sheet writes it; the fault ``zone`` says an hour and an offset that no date has."""
    if "zone" in world.faults:
        return at.tz_convert(timezone(timedelta(hours=3))).isoformat()
    return at.strftime(pattern)


def vix(request: Request, world: World) -> Spoken:
    """CBOE: the VIX since its beginning."""
    rows = world.rows(Kind.INDICATORS)
    return _sheet([f"{_day(row.event_time, world, '%m/%d/%Y')},{row.value},{row.value},{row.value},{row.value}"
                   for row in rows[rows["name"] == "vix"].itertuples(index=False)], world, "DATE,OPEN,HIGH,LOW,CLOSE")


def put_call(request: Request, world: World) -> Spoken:
    """CBOE: put/call ratios below small print, dates without leading zeros."""
    rows = world.rows(Kind.INDICATORS)
    return _sheet([f"{_day(row.event_time, world, '%-m/%-d/%Y')},100,100,200,{row.value}"
                   for row in rows[rows["name"] == "put_call"].itertuples(index=False)], world,
                  '"Cboe Volume and Put/Call Ratio data is compiled for the convenience of site visitors, and is '
                  'furnished without responsibility for accuracy"\r\n,,PRODUCT: TOTAL\r\n'
                  "DATE,CALLS,PUTS,TOTAL,P/C Ratio")


def written(world: World, kind: str) -> pd.DataFrame:
    """Documents of a kind, newest first."""
    def make() -> pd.DataFrame:
        rows = world.rows(Kind.DOCUMENTS)
        return rows[rows["kind"] == kind].iloc[::-1]

    return world.once(f"written {kind}", make)


def rss(request: Request, world: World) -> Spoken:
    """RSS 2.0 of all news."""
    zone = timezone(timedelta(hours=3)) if "zone" in world.faults else UTC
    items = []
    for row in written(world, "news").itertuples(index=False):
        text = f"<description>{escape(row.text)}</description>" if isinstance(row.text, str) else ""
        title = f"<title>{escape(row.title)}</title>" if isinstance(row.title, str) else ""
        items.append(f"<item>{title}{text}<guid isPermaLink=\"false\">{escape(row.doc_id)}</guid>"
                     f"<pubDate>{format_datetime(row.event_time.to_pydatetime().astimezone(zone))}</pubDate></item>")
    body = ('<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Replay</title>'
            f"{''.join(turned(items, world))}</channel></rss>")
    # A broken text goes out as the broken bytes that it is.
    return 200, body.encode("utf-8", "surrogatepass"), "application/rss+xml"


def stamp(at: pd.Timestamp, world: World) -> str:
    """ISO 8601; the fault ``zone`` says the same instant in another zone."""
    if "zone" in world.faults:
        return at.tz_convert(timezone(timedelta(hours=3))).isoformat()
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def login(request: Request, world: World) -> Spoken:
    """Reddit: an application-only token."""
    if not request.headers.get("Authorization", "").startswith("Basic "):
        return said({"message": "Unauthorized", "error": 401}, 401)
    return said({"access_token": TOKEN, "token_type": "bearer", "expires_in": 86400, "scope": "*"})


def newsapi(request: Request, world: World) -> Spoken:
    """newsapi.org: newest first, between ``from`` and ``to``, one page."""
    if not request.headers.get("X-Api-Key"):
        return said({"status": "error", "code": "apiKeyMissing", "message": "Your API key is missing."}, 401)
    rows = written(world, "news")
    within = (rows["event_time"] >= pd.Timestamp(request.query["from"])) & (
        rows["event_time"] <= pd.Timestamp(request.query["to"]))
    articles = [{"source": {"id": None, "name": "Replay"}, "author": None, "title": words(row.title),
                 "description": row.text, "url": f"https://news.example/{row.doc_id}",
                 "publishedAt": stamp(row.event_time, world), "content": row.text}
                for row in rows[within].itertuples(index=False)]
    shown = articles[:int(request.query.get("pageSize", 100))]
    return said({"status": "ok", "totalResults": len(articles), "articles": turned(shown, world)})


def reddit(request: Request, world: World) -> Spoken:
    """Reddit: the listing of new posts; scores are as of now, as they are there."""
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return said({"message": "Forbidden", "error": 403}, 403)
    rows = written(world, "post")
    names = world.once("names", lambda: [f"t3_{name}" for name in rows["doc_id"]])
    after = request.query.get("after")
    start = len(names) - names[::-1].index(after) if after in names else 0
    limit = int(request.query.get("limit", 25))
    children = [{"kind": "t3", "data": {
        "id": row.doc_id, "name": f"t3_{row.doc_id}", "title": words(row.title) or (words(row.text) or "-")[:80],
        "selftext": words(row.text) or "", "created_utc": ms(row.event_time) / 1000, "edited": False,
        "subreddit": request.path.split("/")[2], "permalink": f"/comments/{row.doc_id}/", "score": 999,
        "num_comments": 99, "upvote_ratio": 0.99}} for row in rows.iloc[start:start + limit].itertuples(index=False)]
    last = names[start:start + limit][-1:]
    return said({"kind": "Listing", "data": {"after": last[0] if last and start + limit < len(names) else None,
                                             "dist": len(children), "children": turned(children, world)}})


def search_posts(request: Request, world: World) -> Spoken:
    """X, API v2: recent search."""
    if not request.headers.get("Authorization", "").startswith("Bearer "):
        return said({"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}, 401)
    rows = written(world, "post")
    rows = rows[(rows["event_time"] >= pd.Timestamp(request.query["start_time"]))
                & (rows["event_time"] < pd.Timestamp(request.query["end_time"]))]
    start, limit = int(request.query.get("next_token", "0")), int(request.query.get("max_results", 10))
    data = [{"id": row.doc_id, "text": row.text, "edit_history_tweet_ids": [row.doc_id],
             "created_at": stamp(row.event_time, world)}
            for row in rows.iloc[start:start + limit].itertuples(index=False)]
    meta = {"result_count": len(data), **({"next_token": str(start + limit)} if start + limit < len(rows) else {})}
    return said({"data": turned(data, world), "meta": meta} if data else {"meta": meta})


def message_id(at: pd.Timestamp, doc_id: str) -> int:
    """A number that grows with time, as StockTwits gives."""
    return ms(at) * 1000 + zlib.crc32(doc_id.encode()) % 1000


def stocktwits(request: Request, world: World) -> Spoken:
    """StockTwits: a symbol's stream, backwards by ``max``."""
    most = int(request.query.get("max", 1 << 62))
    found = world.once("messages", lambda: sorted(
        ((message_id(row.event_time, row.doc_id), row) for row in written(world, "post").itertuples(index=False)),
        key=lambda pair: -pair[0]))
    older = [pair for pair in found if pair[0] < most]
    shown = older[:int(request.query.get("limit", 30))]
    messages = [{"id": number, "body": row.text, "created_at": stamp(row.event_time, world),
                 "entities": {"sentiment": None}, "likes": {"total": 99}} for number, row in shown]
    return said({"response": {"status": 200}, "symbol": {"symbol": request.path.split("/")[-1].removesuffix(".json")},
                 "cursor": {"more": len(older) > len(shown), "since": shown[0][0] if shown else None,
                            "max": shown[-1][0] if shown else None}, "messages": turned(messages, world)})


def stooq(request: Request, world: World) -> Spoken:
    """stooq: daily bars of one symbol as CSV."""
    rows = world.rows(Kind.BARS)
    day = rows["event_time"].dt.strftime("%Y%m%d")
    rows = rows[(rows["symbol"] == request.query["s"].split(".")[0].upper()) & (rows["interval"] == "1d")
                & (day >= request.query["d1"]) & (day <= request.query["d2"])]
    if not len(rows):
        return 200, b"No data", "text/plain"
    return _sheet([f"{_day(row.event_time, world, '%Y-%m-%d')},{row.open},{row.high},{row.low},{row.close},{row.volume}"
                   for row in rows.itertuples(index=False)], world, "Date,Open,High,Low,Close,Volume")


ROUTES: tuple[tuple[str, Callable[[Request, World], Spoken]], ...] = (
    (r"/api/v3/exchangeInfo", exchange_info),
    (r"/api/v3/klines", klines),
    (r"/fng/", fear_greed),
    (r".*/VIX_History\.csv", vix),
    (r".*/totalpc\.csv", put_call),
    (r"/feed\.xml", rss),
    (r"/v2/everything", newsapi),
    (r"/api/v1/access_token", login),
    (r"/r/[^/]+/new\.json", reddit),
    (r"/2/tweets/search/recent", search_posts),
    (r"/api/2/streams/symbol/[^/]+\.json", stocktwits),
    (r"/q/d/l/", stooq),
)
