"""Posts of X (Twitter), API v2 recent search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import Http, X
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.gather import Gather, changed, following, iso, records, text
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider
from pipelines.ingest.spool import Spool


class XProvider(NetworkProvider):
    """Posts that match a query; ``source`` is ``x``.

    A post is available from its creation. Its public metrics are as of the crawl, so they are not asked for. Recent
    search reaches seven days back; an older window is refused by X, and its words are passed on.
    """

    name = "x"
    kind = Kind.DOCUMENTS

    def __init__(self, settings: X, http: Http, spool: Spool) -> None:
        if settings.token is None:
            raise ConfigError("the x source needs TIDEMARK_X__TOKEN, an app's bearer token")
        self._settings, self._options, self._spool, self._token = settings, http, spool, settings.token

    @classmethod
    def from_settings(cls, settings: Settings) -> XProvider:
        return cls(settings.x, settings.http, Spool(cls.name, settings.home / "spool"))

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Posts created in ``window``, following ``next_token``."""
        query = {"query": self._settings.query, "start_time": _stamp(window.start - self._options.overlap),
                 "end_time": _stamp(window.end), "max_results": self._settings.page, "tweet.fields": "created_at"}
        with Client(self.name, self._settings.url, self._options, secrets=[self._token],
                    headers={"Authorization": f"Bearer {self._token.get_secret_value()}"}) as client, \
                self._spool.session():
            pages = self._spool.walk([self._settings.url, query], lambda token: self._page(client, query, token), "")
            for page in pages:
                gather.read(page, _row)

    def _page(self, client: Client, query: Mapping[str, Any], token: str) -> tuple[list[Any], str | None]:
        answer = client.json("/2/tweets/search/recent", {**query, **({"next_token": token} if token else {})})
        meta = answer.get("meta") if isinstance(answer, Mapping) else None
        if not isinstance(meta, Mapping):
            raise changed(self.name, "meta", "is missing")
        after = following(self.name, "meta.next_token", meta.get("next_token"), str)
        if "data" not in answer and meta.get("result_count") == 0:
            return [], after
        return records(self.name, answer, "data", needed=("id", "text", "created_at")), after


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(post: Mapping[str, Any]) -> Mapping[str, Any]:
    created = iso(post["created_at"])
    return {"source": "x", "doc_id": post["id"], "event_time": created, "available_at": created, "kind": "post",
            "text": text(post["text"])}
