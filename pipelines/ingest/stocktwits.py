"""Messages of StockTwits, by symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import Http, StockTwits, listed
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.gather import Gather, changed, following, iso, readable, records, text
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider
from pipelines.ingest.spool import Spool


class StockTwitsProvider(NetworkProvider):
    """Messages of symbol streams; ``source`` is ``stocktwits``. A message in two streams is one document.

    A message is available from its creation. Likes are as of the crawl, so they are not taken. The streams are read
    backwards by ``max`` until the window has been passed.
    """

    name = "stocktwits"
    kind = Kind.DOCUMENTS

    def __init__(self, settings: StockTwits, http: Http, spool: Spool) -> None:
        self._settings, self._options, self._spool = settings, http, spool
        self._streams = listed(settings.symbols)
        if not self._streams:
            raise ConfigError("the stocktwits source needs TIDEMARK_STOCKTWITS__SYMBOLS such as BTC.X")

    @classmethod
    def from_settings(cls, settings: Settings) -> StockTwitsProvider:
        return cls(settings.stocktwits, settings.http, Spool(cls.name, settings.home / "spool"))

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Messages created in ``window``."""
        oldest = window.start - self._options.overlap
        with Client(self.name, self._settings.url, self._options) as client, self._spool.session():
            for stream in self._streams:
                def page(cursor: int, stream: str = stream) -> tuple[list[Any], int | None]:
                    return self._page(client, stream, cursor, oldest)

                asked = [self._settings.url, stream, oldest.isoformat(), window.end.isoformat()]
                for messages in self._spool.walk(asked, page, 0):
                    gather.read(messages, _row)

    def _page(self, client: Client, stream: str, cursor: int, oldest: datetime) -> tuple[list[Any], int | None]:
        answer = client.json(f"/api/2/streams/symbol/{stream}.json",
                             {"limit": 30, **({"max": cursor} if cursor else {})})
        messages = records(self.name, answer, "messages", needed=("id", "body", "created_at"))
        times = readable(messages, "created_at", iso)
        place = answer.get("cursor") or {}
        if not isinstance(place, Mapping):
            raise changed(self.name, "cursor", f"is {type(place).__name__}, not an object")
        after = following(self.name, "cursor.max", place.get("max"), int) if place.get("more") else None
        return messages, after if times and max(times) >= oldest else None


def _row(message: Mapping[str, Any]) -> Mapping[str, Any]:
    created, number = iso(message["created_at"]), message["id"]
    if not isinstance(number, int | str) or isinstance(number, bool) or number == "":
        raise ValueError(f"id {str(number)[:60]!r} is no name")
    return {"source": "stocktwits", "doc_id": str(number), "event_time": created, "available_at": created,
            "kind": "post", "text": text(message["body"])}
