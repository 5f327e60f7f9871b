"""The replay server without a socket: the real HTTP client talks to it inside the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import httpx

from infra.replay.speak import Request, answer
from infra.replay.world import World
from pipelines.ingest import http

URL = "http://127.0.0.1:9"
Asked = tuple[str, str]


class Wire(httpx.BaseTransport):
    """Answers for a world whose facts stay as they are.

    Attributes:
        change: what is done to an answer on its way (path, body, content type → body); None: nothing.
        served: the last answer to each request (path, query) since ``clear``.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.change: Callable[[str, bytes, str], bytes] | None = None
        self.served: dict[Asked, bytes] = {}
        self._said: dict[tuple[str, Asked], tuple[int, bytes, str]] = {}

    def clear(self) -> None:
        self.served.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        parts = urlsplit(str(request.url))
        asked = (parts.path, parts.query)
        body = request.read()
        if (request.method, asked) not in self._said:
            headers = {name.title(): value for name, value in request.headers.items()}
            said = Request(request.method, parts.path, dict(parse_qsl(parts.query)), headers, body, URL)
            self._said[request.method, asked] = answer(said, self.world)
        status, content, type_ = self._said[request.method, asked]
        if self.change is not None:
            content = self.change(parts.path, content, type_)
        self.served[asked] = content
        return httpx.Response(status, headers={"Content-Type": type_}, content=content)


@contextmanager
def connected(wire: Wire) -> Iterator[None]:
    """Every ``http.Client`` that is made inside goes over this wire."""
    def connect(**options: Any) -> httpx.Client:
        return httpx.Client(transport=wire, trust_env=False, **options)

    with patch.object(http, "connect", connect):
        yield
