"""The Crypto Fear & Greed index of alternative.me."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import FearGreed, Http
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest.gather import Gather, plausible, records, since_epoch
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider

NAME = "fear_greed"
SOURCE = "alternative.me"
_NOT_COMPONENTS = frozenset({"value", "timestamp", "time_until_update"})


class FearGreedProvider(NetworkProvider):
    """One value a UTC day, stamped with its midnight (in 2019 with 5 o'clock) and published about then.

    It counts as available from the next UTC midnight: until then it may be corrected. All history comes in one answer,
    so there are no pages. Whatever else a record holds (the classification, scores of the components where given) is
    kept beside the value.
    """

    name = "fear_greed"
    kind = Kind.INDICATORS

    def __init__(self, settings: FearGreed, http: Http) -> None:
        self._settings, self._options = settings, http

    @classmethod
    def from_settings(cls, settings: Settings) -> FearGreedProvider:
        return cls(settings.fear_greed, settings.http)

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """The days that were published in ``window``."""
        with Client(self.name, self._settings.url, self._options) as client:
            page = client.json("/fng/", {"limit": 0, "format": "json"})
        gather.read(records(self.name, page, "data", needed=("value", "timestamp")), _row)


def _row(record: Mapping[str, Any]) -> Mapping[str, Any]:
    day = datetime.combine(since_epoch(record["timestamp"]), time(0), UTC)
    beside = {name: value for name, value in record.items() if name not in _NOT_COMPONENTS}
    return {"name": NAME, "event_time": day, "available_at": day + timedelta(days=1),
            "value": plausible("value", record["value"], 0, 100), "source": SOURCE, "components": beside or None}
