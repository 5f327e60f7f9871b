"""Bars of any exchange that ccxt knows: the one door to ccxt.

ccxt knows each exchange's addresses and words; the requests themselves go through our client, so that time-outs, rate
limits and retries are the same as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pipelines.config import Settings
from pipelines.config_sources import Exchange, Http, listed
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest.checks import interval_length
from pipelines.ingest.gather import Gather, changed, since_epoch
from pipelines.ingest.http import PASSING, Client
from pipelines.ingest.spool import Spool

FIELDS = ("timestamp", "open", "high", "low", "close", "volume")


class ExchangeProvider:
    """Klines of the configured symbols. ``BTC/USDT`` of ccxt is our ``BTCUSDT``; ``source`` is the exchange's id.

    A bar becomes available at its close, so a window holds the bars that closed in it: ask for windows that are over.
    Bars of the ``overlap`` before are read again, for corrections.
    """

    name = "exchange"

    def __init__(self, settings: Exchange, http: Http, spool: Spool) -> None:
        self._settings, self._options, self._spool = settings, http, spool
        self._door: _Door | None = None
        self._listed = {symbol.split(":")[0].replace("/", ""): symbol for symbol in listed(settings.symbols)}
        step = interval_length(settings.interval)
        if step is None or not self._listed:
            raise ConfigError("the exchange source needs TIDEMARK_EXCHANGE__SYMBOLS and __INTERVAL such as 1h")
        self._step: timedelta = step.to_pytimedelta()

    @classmethod
    def from_settings(cls, settings: Settings) -> ExchangeProvider:
        return cls(settings.exchange, settings.http, Spool(cls.name, settings.home / "spool"))

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.BARS})

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._listed))

    def span(self) -> Window | None:
        """Not known: an exchange does not say where its history begins."""
        return None

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """Bars that closed in ``window``, page by page; pages of an interrupted fetch are not asked for again.

        Raises:
            ConfigError: ccxt knows no such exchange, or the exchange no such symbol or interval.
            SourceError, SourceUnavailable
        """
        if Kind.BARS not in set(kinds):
            return Batch()
        gather = Gather(self.name, Kind.BARS, window, self._options.overlap)
        first = _floor(window.start - self._options.overlap - self._step, self._step)
        # Made once: the markets it has loaded are good for the life of a process.
        door = self._door = self._door or _Door(self._settings, Client(self.name, self._settings.url, self._options))
        try:
            with self._spool.session():
                for symbol in (name for name in self.symbols() if symbols is None or name in symbols):
                    asked = [self._settings.id, self._settings.url, self._listed[symbol], self._settings.interval,
                             self._settings.page, first.isoformat(), window.end.isoformat()]
                    pages = self._spool.walk(asked, self._pages(door, self._listed[symbol], window), _ms(first))
                    for page in pages:
                        gather.read(page, partial(self._row, symbol))
        except (ConfigError, SourceError):
            self._door = None  # it may be its list of markets that came broken
            raise
        return Batch({Kind.BARS: gather.frame()}, gather.refused, frozenset({Kind.BARS}))

    def _pages(self, door: _Door, symbol: str, window: Window) -> Any:
        step, last = _ms(self._step), _ms(window.end - self._step)

        def page(since: int) -> tuple[list[Any], int | None]:
            bars = door.klines(symbol, self._settings.interval, since, self._settings.page)
            times = [bar[0] for bar in bars if isinstance(bar[0], int)]
            early = [time for time in times if time < since - step]
            if 2 * len(early) > len(times):
                raise changed(self._settings.id, "timestamp", f"{min(times)} lies before {since}, where the page was "
                              "asked to begin: paging or its zone are not what they were")
            # A few stray ones are refused by themselves: dropped as outside of the window they would be lost.
            bars = [[f"timestamp {bar[0]} lies before {since}, where the page was asked to begin", *bar[1:]]
                    if bar[0] in early else bar for bar in bars]
            ahead = sorted({time for time in times if time >= since})
            if not ahead:
                # Nothing here: a gap in trading, not the end.
                after = since + step * self._settings.page
            elif len(ahead) > 1 and ahead[-1] - ahead[-2] > step:
                # The last one stands alone: before a gap is believed it is asked for again, in case its time is wrong.
                after = ahead[-2] + step
            else:
                after = ahead[-1] + step
            return bars, after if after < last else None

        return page

    def _row(self, symbol: str, bar: Sequence[Any]) -> Mapping[str, Any]:
        if isinstance(bar[0], str):
            raise ValueError(bar[0])
        opened = since_epoch(bar[0], "ms")
        return {"symbol": symbol, "interval": self._settings.interval, "event_time": opened,
                "available_at": opened + self._step, "source": self._settings.id,
                **dict(zip(FIELDS[1:], bar[1:6], strict=True))}


class _Door:
    """ccxt with its transport replaced by ours."""

    def __init__(self, settings: Exchange, client: Client) -> None:
        import ccxt

        known = getattr(ccxt, settings.id, None)
        if settings.id not in ccxt.exchanges or known is None:
            raise ConfigError(f"ccxt knows no exchange {settings.id!r}; see ccxt.exchanges for TIDEMARK_EXCHANGE__ID")
        self._ccxt, self._id, self._client = ccxt, settings.id, client
        self._mirror = settings.url
        # Our bucket waits; ccxt's own throttle would wait a second time.
        self._exchange = known({"enableRateLimit": False,
                                "options": {"fetchMarkets": {"types": list(listed(settings.markets))}}})
        self._exchange.fetch = self._fetch
        self._exchange.parse_ohlcvs = self._parse
        # We place no orders. ccxt writes a precision out digit by digit: for a number of 30 digits it would never end.
        self._exchange.parse_precision = lambda precision: None
        self._exchange.session.close()

    def klines(self, symbol: str, interval: str, since: int, limit: int) -> list[Any]:
        """One page: for each bar ``FIELDS`` and what it was read from; unsorted, none left out.

        Raises:
            ConfigError, SourceError, SourceUnavailable
        """
        try:
            bars: list[Any] = self._exchange.fetch_ohlcv(symbol, interval, since, limit)
        except self._ccxt.BadSymbol as error:
            raise ConfigError(f"{self._id} has no {symbol}; correct TIDEMARK_EXCHANGE__SYMBOLS") from error
        except self._ccxt.OperationFailed as error:
            raise SourceUnavailable(f"exchange {self._id}: {_short(error)}; try again later") from error
        except self._ccxt.BaseError as error:
            raise SourceError(f"exchange {self._id} refused: {_short(error)}; check TIDEMARK_EXCHANGE__*") from error
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise changed(self._id, "answer", f"cannot be read by ccxt ({_short(error)})") from error
        for place, name in enumerate(FIELDS):
            if bars and all(bar[place] is None for bar in bars):
                raise changed(self._id, name, f"is missing in all {len(bars)} bars of {symbol}")
        return bars

    def _parse(self, ohlcvs: Any, market: Any = None, *_: Any, **__: Any) -> list[Any]:
        """Instead of ccxt's: nothing is sorted, cut or left out, so that a broken row can be refused by us."""
        if not isinstance(ohlcvs, list):
            raise changed(self._id, "klines", f"are {type(ohlcvs).__name__}, not a list")
        return [[*self._read(raw, market), raw] for raw in ohlcvs]

    def _read(self, raw: Any, market: Any) -> list[Any]:
        nothing = [None] * len(FIELDS)
        try:
            return [*self._exchange.parse_ohlcv(raw, market), *nothing][:len(FIELDS)]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError):
            return nothing

    def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """ccxt's transport: the same reading of errors, our way to the network."""
        if self._mirror:
            parts = urlsplit(url)
            url = self._mirror + parts.path + (f"?{parts.query}" if parts.query else "")
        # ccxt knows what an exchange means by its refusals better than we do.
        accept = tuple(code for code in range(300, 600) if code not in PASSING)
        answer, parsed = self._client.json_answer(url, method=method, headers=headers, content=body, accept=accept)
        reason, said = str(answer.status), answer.body.decode("utf-8", "replace")
        self._exchange.handle_errors(answer.status, reason, url, method, dict(answer.headers), said, parsed,
                                     headers or {}, body)
        if answer.status >= 300:
            self._exchange.handle_http_status_code(answer.status, reason, url, method, said)
            raise SourceError(f"exchange {self._id}: HTTP {answer.status}; check TIDEMARK_EXCHANGE__*")
        return parsed


def _short(error: Exception) -> str:
    return "".join(char if char.isprintable() else " " for char in f"{type(error).__name__}: {error}")[:200]


def _floor(at: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // step * step


def _ms(value: datetime | timedelta) -> int:
    length = value - datetime(1970, 1, 1, tzinfo=UTC) if isinstance(value, datetime) else value
    return length // timedelta(milliseconds=1)
