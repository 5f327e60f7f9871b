"""The HTTP server: loopback only, one thread per connection, faults on demand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from infra.replay.faults import Faults
from infra.replay.speak import Request, answer
from infra.replay.world import World

HOST = "127.0.0.1"
STALL = 30.0  # seconds, unless the server stops before
HEALTH = "/health"
MOST_REQUESTS = 10_000


class Replay:
    """A running server: ``with Replay(world) as replay: replay.url``. ``requests``: the last ones it was asked.

    Args:
        clock: a file that holds the time up to which things have happened (ISO 8601), read at every request; without
            it, or while it is absent, the world shows what it was made to show.
        stall: seconds without a byte when that fault strikes.
    """

    def __init__(self, world: World, faults: Faults | None = None, *, port: int = 0, retry_after: str = "0",
                 clock: Path | None = None, stall: float = STALL) -> None:
        self.world, self.faults, self.retry_after = world, faults or Faults(), retry_after
        self.clock, self.stall = clock, stall
        self.world.faults = self.world.faults | self.faults.facts
        self.requests: deque[Request] = deque(maxlen=MOST_REQUESTS)
        self.ended = threading.Event()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"replay": self})
        self._server = ThreadingHTTPServer((HOST, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def turn(self) -> None:
        """Set the world to the time in the clock's file."""
        if self.clock is not None and self.clock.exists():
            self.world.turn_to(pd.Timestamp(self.clock.read_text(encoding="utf-8").strip()).tz_convert("UTC"))

    def __enter__(self) -> Replay:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    replay: Replay
    protocol_version = "HTTP/1.1"
    server_version = "tidemark-replay"
    # Head and body go out in two writes: Nagle's algorithm would hold the second one back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 100_000)))

    def _serve(self, sent: bytes) -> None:
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), sent,
                          self.replay.url)
        if parts.path == HEALTH:  # whoever looks after the server is told the truth
            return self._send(200, b"well", "text/plain")
        with self.replay.lock:
            self.replay.requests.append(request)
            fault = self.replay.faults.next()
        if fault == "429":
            self._send(429, b'{"msg":"slow down"}', "application/json", {"Retry-After": self.replay.retry_after})
        elif fault == "500":
            self._send(500, b"<html>down</html>", "text/html")
        elif fault == "stall":
            self.replay.ended.wait(self.replay.stall)
            self.close_connection = True
        else:
            with self.replay.lock:
                self.replay.turn()
                status, body, type_ = answer(request, self.replay.world)
            if fault == "cut":
                self._send(status, body, type_, shown=len(body) // 2)
                self.close_connection = True
            elif fault == "truncate":
                self._send(status, body[:max(1, len(body) * 2 // 3)], type_)
            else:
                self._send(status, body, type_)

    def _send(self, status: int, body: bytes, type_: str, headers: Mapping[str, str] | None = None,
              shown: int | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": type_, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:shown])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: tests read ``Replay.requests``."""
