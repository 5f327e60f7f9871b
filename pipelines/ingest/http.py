"""The one way to the network: a small client that is polite, bounded, and says who failed.

What can help is tried again (429, 5xx, cut or stalled connections, truncated JSON), nothing else is. An error names the
provider and the path, never the query or a header, and known secrets are struck out of it.
"""

from __future__ import annotations

import json
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from pipelines.config_sources import Http
from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest import typed

#: Trying again can help: the client was too quick, or the server is in trouble.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_SHOWN, _END = 120, 20  # characters of an answer's beginning and of its end that a message shows
_READ = 10_000  # bytes that are searched for secrets for it

# httpx logs whole addresses at INFO, queries included.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class TokenBucket:
    """At most ``burst`` requests at once and ``rate`` a second in the long run."""

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._rate, self._burst, self._clock, self._sleep = rate, burst, clock, sleep
        self._tokens, self._at = float(burst), clock()

    def take(self) -> None:
        """Wait until a request may go out."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            self._sleep(-self._tokens / self._rate)


@dataclass(frozen=True)
class Answer:
    """A finished answer; ``status`` is 2xx unless the caller accepted others."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """UTF-8; what is not is marked so that the checks refuse it (see ``ingest.typed``)."""
        return self.body.decode("utf-8-sig", typed.SHOW)


class Client:
    """Talks to one provider.

    Args:
        secrets: values that no message may show.
        headers: sent with every request.
        follow: follow redirects; only without credentials, which must not travel.
        draw: a number of [0, 1), uniform; spreads the tries of many clients apart.

    Raises:
        SourceError: a header that cannot be sent, such as one made of a credential with a line break.
    """

    def __init__(self, provider: str, base: str, options: Http, *, headers: Mapping[str, str] | None = None,
                 secrets: Sequence[SecretStr | None] = (), follow: bool = False,
                 sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic,
                 draw: Callable[[], float] = random.random) -> None:
        self.provider, self.base = provider, base.rstrip("/")
        self._options, self._sleep, self._clock, self._draw = options, sleep, clock, draw
        self._secrets = [secret.get_secret_value() for secret in secrets if secret and secret.get_secret_value()]
        for name, value in (headers or {}).items():
            if not (value.isascii() and value.isprintable()):  # a library's error would show it
                raise SourceError(f"{provider}: the value of the header {name} holds characters that no header can; "
                                  "check its credentials")
        self._bucket = TokenBucket(options.rate, options.burst, clock=clock, sleep=sleep)
        self._http = connect(
            timeout=options.timeout, follow_redirects=follow, max_redirects=3,
            mounts=dict.fromkeys(LOOPBACK),  # never behind a proxy, whatever http_proxy says
            headers={"User-Agent": "tidemark/0.1", "Accept-Encoding": "gzip, deflate", **(headers or {})})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._http.close()

    def json(self, path: str, params: Mapping[str, Any] | None = None, **request: Any) -> Any:
        """The JSON of an answer. ``NaN`` and ``Infinity`` are read as such: the checks refuse their row.

        Raises:
            SourceError: not JSON, or as ``request``.
            SourceUnavailable: JSON that stays cut off, or as ``request``.
        """
        return self.json_answer(path, params, **request)[1]

    def json_answer(self, path: str, params: Mapping[str, Any] | None = None, **request: Any) -> tuple[Answer, Any]:
        """An answer and its JSON; None for an accepted error that has none. Raises as ``json``."""
        def call() -> tuple[Answer, Any]:
            answer = self._once(path, params, **request)
            return answer, self._parsed(answer, path)

        return cast(tuple[Answer, Any], self._tried(path, call))

    def text(self, path: str, params: Mapping[str, Any] | None = None, *, ending: str, **request: Any) -> Answer:
        """An answer that has to end with ``ending`` (a regular expression), white space aside: a text of which the
        end is missing looks whole otherwise, and its last number would be a wrong one. Raises as ``request``."""
        def call() -> Answer:
            answer = self._once(path, params, **request)
            if re.search(ending.encode() + rb"\Z", answer.body) is None:
                raise _Passing(f"its text is cut off: it ends with {self._said(answer, end=True)}")
            return answer

        return cast(Answer, self._tried(path, call))

    def request(self, path: str, params: Mapping[str, Any] | None = None, **request: Any) -> Answer:
        """One answer.

        Args:
            path: below the base address, or a whole address.
            params: the query.
            request: ``method``, ``headers``, ``content``, ``accept`` (statuses of errors that the caller reads
                itself).

        Raises:
            SourceError: refused for good: 4xx, too large, a redirect.
            SourceUnavailable: time-outs, cut connections, 5xx or 429 until all attempts were used up.
        """
        return cast(Answer, self._tried(path, lambda: self._once(path, params, **request)))

    def _tried(self, path: str, call: Callable[[], Any]) -> Any:
        for attempt in range(1, self._options.attempts + 1):
            try:
                return call()
            except _Passing as trouble:
                asked = trouble.wait or 0.0
                if asked > self._options.longest_wait:
                    raise SourceUnavailable(self.clean(
                        f"{self._named(path)} asks to wait {asked:.0f} s ({trouble}); try again after that, or raise "
                        "TIDEMARK_HTTP__LONGEST_WAIT")) from None
                if attempt == self._options.attempts:
                    raise SourceUnavailable(self.clean(
                        f"{self._named(path)} failed {attempt} times, at last: {trouble}; try again later")) from None
                self._sleep(asked + self._jitter(attempt))
        raise SourceUnavailable(f"{self._named(path)} was not tried")  # attempts >= 1, so never

    def _jitter(self, attempt: int) -> float:
        """Seconds between nothing and the doubled backoff, "full jitter" (M. Brooker, "Exponential Backoff and Jitter",
        AWS Architecture Blog, 2015): clients that failed together do not come back together. What a server asked for
        is waited for first, so that nobody is early and the rest still spreads."""
        return self._draw() * float(min(self._options.longest_wait, self._options.backoff * 2 ** (attempt - 1)))

    def _once(self, path: str, params: Mapping[str, Any] | None = None, *, method: str = "GET",
              headers: Mapping[str, str] | None = None, content: bytes | str | None = None,
              accept: Sequence[int] = ()) -> Answer:
        self._bucket.take()
        url = path if "://" in path else self.base + path
        until = self._clock() + self._options.deadline
        body = bytearray()
        try:
            with self._http.stream(method, url, params=params, headers=dict(headers or {}),
                                   content=content) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self._options.most_bytes:
                        raise SourceError(f"{self._named(path)} sent more than {self._options.most_bytes} bytes; ask "
                                          "for less, or raise TIDEMARK_HTTP__MOST_BYTES")
                    if self._clock() > until:
                        raise _Passing(f"no whole answer within {self._options.deadline:g} s")
        except httpx.TooManyRedirects as error:
            raise SourceError(self.clean(f"{self._named(path)} redirects without end; correct its address")) from error
        except httpx.UnsupportedProtocol:
            raise SourceError(f"{self._named(path)} has no address that begins with https://; correct it") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Passing(f"{type(error).__name__} {error}"[:_SHOWN]) from error
        except (httpx.InvalidURL, httpx.HTTPError, ValueError, OverflowError) as error:
            raise SourceError(self.clean(f"{self._named(path)}: {type(error).__name__}; correct its address")) from None
        answer = Answer(response.status_code, response.headers, bytes(body))
        if 200 <= answer.status < 300 or answer.status in accept:
            return answer
        if answer.status in PASSING:
            raise _Passing(f"HTTP {answer.status}", retry_after(answer.headers))
        raise SourceError(self.clean(f"{self._named(path)} refused: HTTP {answer.status} {self._said(answer)}"
                                     + _remedy(answer.status)))

    def _named(self, path: str) -> str:
        try:
            parts = urlsplit(path if "://" in path else self.base + path)
        except ValueError:
            return self.provider
        return f"{self.provider} ({parts.hostname or ''}{parts.path})"

    def _parsed(self, answer: Answer, path: str) -> Any:
        try:
            # What is not UTF-8 becomes half surrogates: only the text that holds them is refused, by the checks.
            return json.loads(answer.body.decode("utf-8-sig", "surrogateescape"))
        except (ValueError, RecursionError) as error:
            if answer.status >= 300:
                return None
            if answer.body.lstrip()[:1] in (b"{", b"[") and not isinstance(error, RecursionError):
                raise _Passing("its JSON is cut off or broken") from error
            raise SourceError(f"{self._named(path)} did not answer with JSON but with {self._said(answer)}; is its "
                              "address right?") from None

    def _said(self, answer: Answer, *, end: bool = False) -> str:
        """The beginning of an answer, or its end, safe for a log line. Secrets are struck out before it is cut: half a
        secret would not be known again."""
        part = answer.body[-_READ:] if end else answer.body[:_READ]
        text = "".join(char if char.isprintable() else " " for char in self.clean(part.decode("utf-8", "replace")))
        return repr(text[-_END:] if end else text[:_SHOWN])

    def clean(self, text: str) -> str:
        """The text with every known secret struck out."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def connect(**options: Any) -> httpx.Client:
    """The HTTP client underneath. Proxies come from the environment."""
    return httpx.Client(verify=_tls(), trust_env=True, **options)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes tens of milliseconds, so it is done once a process."""
    return httpx.create_ssl_context(trust_env=True)


class _Passing(Exception):
    """Trouble that may pass. ``wait``: seconds that the server asked for."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3); a date is counted from the answer's own ``Date``."""
    raw = headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit() and len(raw) < 10:
        return float(raw)
    try:
        return max(0.0, (parsedate_to_datetime(raw) - parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (TypeError, ValueError):
        return None


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "; check its credentials"
    if 300 <= status < 400:
        return "; it has moved: correct its address"
    return "; check its settings"
