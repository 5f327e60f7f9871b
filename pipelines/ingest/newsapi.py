"""News of newsapi.org."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import Http, NewsApi
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.gather import Gather, iso, readable, records, text
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider
from pipelines.ingest.spool import Spool


class NewsApiProvider(NetworkProvider):
    """Articles that match a query; ``source`` is ``newsapi/<publisher>``, ``doc_id`` a digest of the address.

    An article is available from its publication. (The free plan shows it a day later: with it, load a day late.)
    Pages go back in time by narrowing the end of the query, not by page numbers: those stop at 100 results on the free
    plan, and shift when something new appears.
    """

    name = "newsapi"
    kind = Kind.DOCUMENTS

    def __init__(self, settings: NewsApi, http: Http, spool: Spool) -> None:
        if settings.key is None:
            raise ConfigError("the newsapi source needs TIDEMARK_NEWSAPI__KEY")
        self._settings, self._options, self._spool, self._key = settings, http, spool, settings.key

    @classmethod
    def from_settings(cls, settings: Settings) -> NewsApiProvider:
        return cls(settings.newsapi, settings.http, Spool(cls.name, settings.home / "spool"))

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Articles published in ``window``."""
        start = (window.start - self._options.overlap).isoformat()
        asked = [self._settings.url, self._settings.query, self._settings.language, self._settings.page, start]
        with Client(self.name, self._settings.url, self._options, secrets=[self._key],
                    headers={"X-Api-Key": self._key.get_secret_value()}) as client, self._spool.session():
            end = window.end.isoformat()
            for page in self._spool.walk([*asked, end], lambda cursor: self._page(client, start, cursor), end):
                gather.read(page, _row)

    def _page(self, client: Client, start: str, end: str) -> tuple[list[Any], str | None]:
        answer = client.json("/v2/everything", {
            "q": self._settings.query, "from": start, "to": end, "language": self._settings.language,
            "sortBy": "publishedAt", "pageSize": self._settings.page})
        articles = records(self.name, answer, "articles", needed=("publishedAt", "title", "url"))
        times = readable(articles, "publishedAt", iso)
        times = sorted(time for time in times if iso(start) <= time <= iso(end))
        if len(articles) < self._settings.page or not times:
            return articles, None
        # The second of the last but one is asked for again, as it may go on (the last one's time may be wrong); what
        # comes twice is one row.
        oldest = times[1] if len(times) > 1 else times[0]
        return articles, (oldest if oldest < iso(end) else oldest - timedelta(seconds=1)).isoformat()


def _row(article: Mapping[str, Any]) -> Mapping[str, Any]:
    published = iso(article["publishedAt"])
    publisher = text((article.get("source") or {}).get("name")) or "unknown"
    title = text(article["title"])
    return {"source": f"newsapi/{publisher}", "doc_id": hashlib.sha256(article["url"].encode()).hexdigest(),
            "event_time": published, "available_at": published, "kind": "news", "title": title,
            "text": text(article.get("content")) or text(article.get("description")) or title, "url": article["url"]}
