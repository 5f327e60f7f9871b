"""VIX and put/call ratio of the CBOE, from its own CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.config import Settings
from pipelines.config_sources import Cboe, Http
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest import sheet
from pipelines.ingest.gather import Gather, plausible
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider

SOURCE = "cboe"
#: Neither has been near it: the VIX closed at 82.69 at most (16 March 2020), the ratio far below.
HIGHEST = 1000
ZONE = ZoneInfo("America/New_York")


class CboeProvider(NetworkProvider):
    """Daily values ``vix`` (the close) and ``put_call``.

    A day begins at midnight in New York; its value counts as available from the next midnight there, after all
    sessions and corrections of that day. The files hold all history, so there are no pages.
    """

    name = "cboe"
    kind = Kind.INDICATORS

    def __init__(self, settings: Cboe, http: Http) -> None:
        self._settings, self._options = settings, http

    @classmethod
    def from_settings(cls, settings: Settings) -> CboeProvider:
        return cls(settings.cboe, settings.http)

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """The days whose values became available in ``window``."""
        with Client(self.name, self._settings.url, self._options) as client:
            for indicator, path, column in (("vix", self._settings.vix, "CLOSE"),
                                            ("put_call", self._settings.put_call, "P/C Ratio")):
                if path != "-":
                    text = client.text(path, ending=r"\n\s*").text
                    found = sheet.rows(f"{self.name} {indicator}", text, ("DATE", column), heading="DATE")
                    gather.read(found, partial(_row, indicator, column.lower()))


def _row(indicator: str, column: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    day = datetime.strptime(record["date"], "%m/%d/%Y")
    return {"name": indicator, "event_time": day.replace(tzinfo=ZONE).astimezone(UTC),
            "available_at": (day + timedelta(days=1)).replace(tzinfo=ZONE).astimezone(UTC),
            "value": plausible(column, record[column], 0, HIGHEST), "source": SOURCE}
