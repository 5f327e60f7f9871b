"""The simulated market as a provider of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import pandas as pd

from pipelines.config import Settings, Simulator
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.records import Refused
from pipelines.contracts.window import Window
from pipelines.ingest.payload import payload
from pipelines.ingest.simulator.market import SOURCE, Market
from pipelines.ingest.simulator.streams import coins
from pipelines.ingest.slices import between


class SimulatorProvider:
    """Serves ``Market`` by availability. The world is generated at the first fetch and kept by the process."""

    name = SOURCE

    def __init__(self, settings: Simulator) -> None:
        self._settings = settings

    @classmethod
    def from_settings(cls, settings: Settings) -> SimulatorProvider:
        return cls(settings.simulator)

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS})

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(coin.symbol for coin in coins(self._settings.symbols)))

    def span(self) -> Window:
        """The simulated days. Late rows of the last ones become available after it."""
        return Window(self._settings.start, self._settings.start + timedelta(days=self._settings.days))

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """What the feeds delivered in ``window``; rows with an unreadable time are refused already."""
        market = Market(self._settings)
        frames: dict[Kind, pd.DataFrame] = {}
        refused: list[Refused] = []
        for kind in Kind:
            if kind not in self.kinds() or kind not in kinds:
                continue
            feed = market.feed(kind)
            frame, lost = between(feed.frame, window), between(feed.unreadable, window)
            if symbols is not None and kind is Kind.BARS:
                frame = frame[frame["symbol"].isin(symbols)].reset_index(drop=True)
                lost = lost[lost["symbol"].isin(symbols)]
            frames[kind] = frame
            refused.extend(
                Refused(self.name, kind.value, f"event_time {row['event_time']!r} is not a time", payload(row))
                for row in lost.to_dict("records"))
        return Batch(frames, refused)
