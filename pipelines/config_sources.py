"""The settings of the sources that live on the network, one group each (``TIDEMARK_EXCHANGE__ID`` and so on).

Lists are one text, separated by spaces or commas, so that a shell can write them. Credentials are ``SecretStr``.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, Field, SecretStr, field_validator


def listed(text: str) -> tuple[str, ...]:
    """The parts of a list: ``"BTC/USDT, ETH/USDT"`` → two."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


class Http(BaseModel):
    """What all network sources share.

    Attributes:
        timeout: seconds without a byte.
        deadline: seconds for one whole answer.
        rate: requests a second, per provider; bursts up to ``burst``.
        attempts: tries of one request, the first included.
        backoff: at most so many seconds before the second try, twice as many before each next one; how many of
            them is drawn at random (full jitter).
        longest_wait: the longest ``Retry-After`` in seconds that is waited for here; a longer one is the scheduler's.
        most_bytes: of one answer, after decompression.
        overlap_hours: how far behind a window is read again, for revisions and what was published late.
    """

    timeout: float = Field(default=10.0, gt=0, le=300)
    deadline: float = Field(default=60.0, gt=0, le=3600)
    rate: float = Field(default=4.0, gt=0, le=1000)
    burst: int = Field(default=4, ge=1, le=1000)
    attempts: int = Field(default=5, ge=1, le=20)
    backoff: float = Field(default=0.5, ge=0, le=60)
    longest_wait: float = Field(default=60.0, ge=0, le=3600)
    most_bytes: int = Field(default=32_000_000, ge=1000)
    overlap_hours: float = Field(default=24.0, ge=0, le=24 * 31)

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.overlap_hours)


class _Source(BaseModel):
    @field_validator("url", check_fields=False)
    @classmethod
    def _web(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("has to begin with https:// or http://")
        if "@" in value.split("://", 1)[-1].split("/", 1)[0]:
            raise ValueError("holds a user or password; credentials have settings of their own")
        return value.rstrip("/")


class Exchange(_Source):
    """Bars of any exchange that ccxt knows. ``symbols`` as ccxt writes them; ``url`` only to go through a mirror."""

    id: str = Field(default="binance", pattern=r"^[a-z0-9_]+$")
    symbols: str = "BTC/USDT ETH/USDT SOL/USDT ADA/USDT XRP/USDT"
    interval: str = Field(default="1h", pattern=r"^[1-9]\d{0,3}[mhd]$")
    page: int = Field(default=500, ge=2, le=5000)
    markets: str = "spot"
    url: str = ""


class FearGreed(_Source):
    """Crypto Fear & Greed of alternative.me."""

    url: str = "https://api.alternative.me"


class Cboe(_Source):
    """Daily history of the VIX and of put/call ratios as CSV; ``put_call = "-"``: only the VIX."""

    url: str = "https://cdn.cboe.com"
    vix: str = "/api/global/us_indices/daily_prices/VIX_History.csv"
    put_call: str = "/resources/options/volume_and_call_put_ratios/totalpc.csv"


class Rss(BaseModel):
    """News by RSS or Atom: the addresses of the feeds."""

    feeds: str = ""


class NewsApi(_Source):
    """newsapi.org ``/v2/everything``."""

    url: str = "https://newsapi.org"
    query: str = "bitcoin OR ethereum OR crypto"
    language: str = "en"
    page: int = Field(default=100, ge=10, le=100)
    key: SecretStr | None = None


class Reddit(_Source):
    """Newest posts of subreddits; with a client (script or web app) over OAuth, without over the public listing."""

    url: str = "https://oauth.reddit.com"
    login: str = "https://www.reddit.com"
    subreddits: str = "CryptoCurrency Bitcoin ethereum"
    page: int = Field(default=100, ge=1, le=100)
    client_id: str | None = None
    client_secret: SecretStr | None = None
    user_agent: str = "tidemark/0.1 (market research; one reader)"


class X(_Source):
    """Recent search of X, API v2."""

    url: str = "https://api.x.com"
    query: str = "(bitcoin OR ethereum OR $BTC OR $ETH) lang:en -is:retweet"
    page: int = Field(default=100, ge=10, le=100)
    token: SecretStr | None = None


class StockTwits(_Source):
    """Streams of symbols as StockTwits names them."""

    url: str = "https://api.stocktwits.com"
    symbols: str = "BTC.X ETH.X"


class Equities(_Source):
    """Daily bars of stooq. ``symbols`` as stooq names them: ``aapl.us``."""

    url: str = "https://stooq.com"
    symbols: str = "spy.us qqq.us"


class Replay(BaseModel):
    """The local server that plays the sources' part (``infra/replay``): with ``serve``, `tidemark up` starts it and
    points exchange, newsapi, x, fear_greed and cboe at it. ``faults``: what goes wrong on purpose, one request in
    ``every``."""

    serve: bool = False
    faults: str = ""
    every: int = Field(default=3, ge=2, le=1000)
