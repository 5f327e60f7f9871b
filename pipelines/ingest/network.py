"""What the providers that ask a server have in common: one kind of facts, a window to fill, no known beginning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pipelines.config_sources import Http
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.window import Window
from pipelines.ingest.gather import Gather


class NetworkProvider(ABC):
    """A ``contracts.ports.Provider`` of one kind of facts.

    Attributes:
        name: under which it is registered.
        kind: what it delivers.
    """

    name: str
    kind: ClassVar[Kind]
    _options: Http

    def kinds(self) -> frozenset[Kind]:
        return frozenset({self.kind})

    def symbols(self) -> tuple[str, ...]:
        """None: documents and indicators belong to no symbol."""
        return ()

    def span(self) -> Window | None:
        """Not known: a server does not say where its history begins."""
        return None

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """What became available in ``window``, and what of the overlap before it has changed.

        Raises:
            SourceError, SourceUnavailable
        """
        if self.kind not in set(kinds):
            return Batch()
        gather = Gather(self.name, self.kind, window, self._options.overlap)
        self._read(gather, window, symbols)
        return Batch({self.kind: gather.frame()}, gather.refused, frozenset({self.kind}))

    @abstractmethod
    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Hand every record that could belong to the window or its overlap to ``gather``."""
