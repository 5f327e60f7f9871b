"""Is it well? Each probe asks the real server and says in words what it found."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2

TIMEOUT = 5.0


@dataclass(frozen=True)
class Health:
    """``ok`` None: it cannot be told right now, because the server that would tell does not answer."""

    ok: bool | None
    detail: str = ""


#: Takes the start of the process (seconds since the epoch), so that a predecessor's heartbeat is not taken for its own.
Probe = Callable[[float], Health]

# Loopback is never behind a proxy, whatever http_proxy says.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, timeout: float = TIMEOUT, *, method: str = "GET", body: Mapping[str, Any] | None = None,
          token: str | None = None) -> tuple[int, bytes]:
    """Status and body of one HTTP call; answers of 400 and above are answers, not errors.

    Raises:
        OSError: nobody answered.
    """
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with _direct.open(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def http(url: str) -> Probe:
    """Well when ``url`` answers 200."""

    def probe(started: float) -> Health:
        try:
            status, _ = fetch(url)
        except OSError as error:
            return Health(False, f"no answer ({_reason(error)})")
        return Health(status == 200, "" if status == 200 else f"HTTP {status}")

    return probe


def postgres(url: str) -> Probe:
    """Well when a new connection can ``SELECT 1``."""
    dsn = url.replace("+psycopg2", "", 1)

    def probe(started: float) -> Health:
        try:
            connection = psycopg2.connect(dsn, connect_timeout=3)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connection.close()
        except psycopg2.Error as error:
            return Health(False, (str(error).strip().splitlines() or ["no answer"])[0])
        return Health(True)

    return probe


def read_monitor(payload: Mapping[str, Any], part: str, started: float) -> Health:
    """What ``/api/v2/monitor/health`` says of one part.

    ``part`` is metadatabase, scheduler, triggerer or dag_processor. All but the first must have beaten since
    ``started``, for the answer also shows the last heartbeat of a process that is gone.
    """
    item = payload.get(part) or {}
    if item.get("status") != "healthy":
        return Health(False, f"{part}: {item.get('status') or 'not seen yet'}")
    if part == "metadatabase":
        return Health(True)
    beat = item.get(f"latest_{part}_heartbeat")
    if beat is None or datetime.fromisoformat(beat).timestamp() < started:
        return Health(False, "no heartbeat yet")
    return Health(True)


class Monitor:
    """The api-server's health answer, fetched once for all who ask within ``max_age`` seconds."""

    def __init__(self, url: str, max_age: float = 0.5) -> None:
        self._url, self._max_age = f"{url}/api/v2/monitor/health", max_age
        self._lock = threading.Lock()
        self._at = 0.0
        self._answer: Mapping[str, Any] | str = "not asked yet"

    def _get(self) -> Mapping[str, Any] | str:
        with self._lock:
            if time.monotonic() - self._at > self._max_age:
                try:
                    status, body = fetch(self._url)
                    self._answer = json.loads(body) if status == 200 else f"HTTP {status}"
                except (OSError, ValueError) as error:
                    self._answer = f"no answer ({_reason(error)})"
                self._at = time.monotonic()
            return self._answer

    def probe(self, part: str) -> Probe:
        """For the api-server itself ask for ``metadatabase``; the others are unknown while it is away."""

        def ask(started: float) -> Health:
            answer = self._get()
            if isinstance(answer, str):
                own = part == "metadatabase"
                return Health(False if own else None, answer if own else f"api-server: {answer}")
            return read_monitor(answer, part, started)

        return ask


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).lower()
