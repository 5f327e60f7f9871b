"""Daily bars of shares, funds and indices from stooq.com: one CSV per symbol, no key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pipelines.config import Settings
from pipelines.config_sources import Equities, Http, listed
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest import sheet
from pipelines.ingest.gather import Gather, number
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider

SOURCE = "stooq"
COLUMNS = ("Date", "Open", "High", "Low", "Close", "Volume")
#: A row's end, or one of the sentences that stooq says instead of a table.
_END = r"(\n\s*|No data\.?\s*|limit[^\n]*\s*)"


class EquitiesProvider(NetworkProvider):
    """``aapl.us`` of stooq is our ``AAPL``. A day stands at its UTC midnight.

    It is available from the next UTC midnight: every session of that date is closed by then, in New York as in Tokyo.
    Prices are as adjusted for splits on the day of reading; a split therefore revises the overlap, and the history
    before it keeps the old scale.
    """

    name = "equities"
    kind = Kind.BARS

    def __init__(self, settings: Equities, http: Http) -> None:
        self._settings, self._options = settings, http
        self._listed = {symbol.split(".")[0].lstrip("^").upper(): symbol.lower()
                        for symbol in listed(settings.symbols)}
        if not self._listed or len(self._listed) < len(listed(settings.symbols)):
            raise ConfigError("the equities source needs TIDEMARK_EQUITIES__SYMBOLS such as aapl.us, and no two that "
                              "differ in their market only")

    @classmethod
    def from_settings(cls, settings: Settings) -> EquitiesProvider:
        return cls(settings.equities, settings.http)

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._listed))

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Days that were over in ``window``."""
        first = window.start - self._options.overlap - timedelta(days=1)
        with Client(self.name, self._settings.url, self._options) as client:
            for symbol in (name for name in self.symbols() if symbols is None or name in symbols):
                gather.read(self._days(client, self._listed[symbol], first, window.end), partial(_row, symbol))

    def _days(self, client: Client, symbol: str, first: datetime, end: datetime) -> list[Any]:
        said = client.text("/q/d/l/", {"s": symbol, "d1": f"{first:%Y%m%d}", "d2": f"{end:%Y%m%d}", "i": "d"},
                           ending=_END).text
        if "limit" in said[:100].lower():
            raise SourceUnavailable(f"{self.name}: the daily limit of {SOURCE} is used up; try again tomorrow")
        if said.strip().lower().startswith("no data"):
            return []
        if said.lstrip().startswith("<"):
            raise SourceError(f"{self.name}: {SOURCE} answered with a page instead of a table; check "
                              "TIDEMARK_EQUITIES__URL and __SYMBOLS")
        return sheet.rows(self.name, said, COLUMNS, heading="Date")


def _row(symbol: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    day = datetime.strptime(record["date"], "%Y-%m-%d").replace(tzinfo=UTC)
    return {"symbol": symbol, "interval": "1d", "event_time": day, "available_at": day + timedelta(days=1),
            "source": SOURCE, **{name.lower(): number(record[name.lower()]) for name in COLUMNS[1:]}}
