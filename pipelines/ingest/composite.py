"""Several providers as one source: ``TIDEMARK_SOURCE=exchange,rss,fear_greed``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Batch, Provider
from pipelines.contracts.records import Refused
from pipelines.contracts.window import Window


class CompositeProvider:
    """Asks each for the kinds it has. If one fails the whole fetch fails: a window half loaded would pass for whole."""

    def __init__(self, parts: Sequence[Provider]) -> None:
        self._parts = tuple(parts)
        self.name = ",".join(part.name for part in parts)

    def kinds(self) -> frozenset[Kind]:
        return frozenset().union(*(part.kinds() for part in self._parts))

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({symbol for part in self._parts for symbol in part.symbols()}))

    def span(self) -> Window | None:
        """From the first to the last that any of them knows of; None if one does not know."""
        spans = [part.span() for part in self._parts]
        known = [span for span in spans if span is not None]
        if not known or len(known) < len(spans):
            return None
        return Window(min(span.start for span in known), max(span.end for span in known))

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """Everything that became available with any of them. Raises what they raise."""
        asked = set(kinds)
        frames: dict[Kind, list[pd.DataFrame]] = {}
        refused: list[Refused] = []
        inferred: set[Kind] = set()
        for part in self._parts:
            mine = asked & part.kinds()
            if not mine:
                continue
            own = None if symbols is None else [symbol for symbol in symbols if symbol in part.symbols()]
            batch = part.fetch(window, mine, own)
            refused.extend(batch.refused)
            inferred |= batch.inferred
            for kind, frame in batch.frames.items():
                frames.setdefault(kind, []).append(frame)
        return Batch({kind: _together(kind, found) for kind, found in frames.items()}, refused, frozenset(inferred))


def _together(kind: Kind, parts: list[pd.DataFrame]) -> pd.DataFrame:
    present = [name for name in SCHEMAS[kind].columns if any(name in part for part in parts)]
    filled = [part.reindex(columns=present) for part in parts if len(part)] or [parts[0]]
    if len(filled) == 1:
        return filled[0]
    return pd.concat(filled, ignore_index=True).sort_values("available_at", kind="stable", ignore_index=True)
