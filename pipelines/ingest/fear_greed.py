"""The Crypto Fear & Greed index of alternative.me."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import FearGreed, Http
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.window import Window
from pipelines.ingest.gather import Gather, number, records, since_epoch
from pipelines.ingest.http import Client

NAME = "fear_greed"
SOURCE = "alternative.me"
_NOT_COMPONENTS = frozenset({"value", "timestamp", "time_until_update"})


class FearGreedProvider:
    """One value a UTC day, stamped with its midnight and published about then.

    It counts as available from the next midnight: until then it may be corrected. All history comes in one answer, so
    there are no pages. Whatever else a record holds (the classification, scores of the components where given) is
    kept beside the value.
    """

    name = "fear_greed"

    def __init__(self, settings: FearGreed, http: Http) -> None:
        self._settings, self._options = settings, http

    @classmethod
    def from_settings(cls, settings: Settings) -> FearGreedProvider:
        return cls(settings.fear_greed, settings.http)

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.INDICATORS})

    def symbols(self) -> tuple[str, ...]:
        return ()

    def span(self) -> Window | None:
        return None

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """The days that were published in ``window``.

        Raises:
            SourceError, SourceUnavailable
        """
        if Kind.INDICATORS not in set(kinds):
            return Batch()
        gather = Gather(self.name, Kind.INDICATORS, window, self._options.overlap)
        with Client(self.name, self._settings.url, self._options) as client:
            page = client.json("/fng/", {"limit": 0, "format": "json"})
        gather.read(records(self.name, page, "data", needed=("value", "timestamp")), _row)
        return Batch({Kind.INDICATORS: gather.frame()}, gather.refused)


def _row(record: Mapping[str, Any]) -> Mapping[str, Any]:
    day = since_epoch(record["timestamp"])
    beside = {name: value for name, value in record.items() if name not in _NOT_COMPONENTS}
    return {"name": NAME, "event_time": day, "available_at": day + timedelta(days=1), "value": number(record["value"]),
            "source": SOURCE, "components": beside or None}
