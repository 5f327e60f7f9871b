"""The HTTP server: loopback only, one thread per connection, faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from infra.replay.faults import Faults
from infra.replay.speak import Request, answer
from infra.replay.world import World

HOST = "127.0.0.1"
STALL = 30.0  # seconds, unless the server stops before


class Replay:
    """A running server: ``with Replay(world) as replay: replay.url``. ``requests``: what it was asked."""

    def __init__(self, world: World, faults: Faults | None = None, *, port: int = 0, retry_after: str = "0") -> None:
        self.world, self.faults, self.retry_after = world, faults or Faults(), retry_after
        self.world.faults = self.world.faults | self.faults.facts
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"replay": self})
        self._server = ThreadingHTTPServer((HOST, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

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

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 100_000)))

    def _serve(self, sent: bytes) -> None:
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), sent,
                          self.replay.url)
        with self.replay.lock:
            self.replay.requests.append(request)
            fault = self.replay.faults.next()
        if fault == "429":
            self._send(429, b'{"msg":"slow down"}', "application/json", {"Retry-After": self.replay.retry_after})
        elif fault == "500":
            self._send(500, b"<html>down</html>", "text/html")
        elif fault == "stall":
            self.replay.ended.wait(STALL)
            self.close_connection = True
        else:
            with self.replay.lock:
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
