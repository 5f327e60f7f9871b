"""Fetch a window, check its rows, keep the bad ones in quarantine and the good ones in the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.records import Refused, WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest import hindsight
from pipelines.ingest.checks import check
from pipelines.store import Warehouse, facts, loads, quarantine
from pipelines.store.digest import canonical, digest
from pipelines.store.frames import json_text


@dataclass(frozen=True)
class IngestReport:
    """What came in: per kind the facts new, revised and unchanged; rows refused, and how many of them for the first
    time."""

    source: str
    window: Window
    counts: Mapping[Kind, WriteCounts] = field(default_factory=dict)
    refused: int = 0
    newly_refused: int = 0

    @property
    def written(self) -> int:
        return sum(counts.inserted + counts.revised for counts in self.counts.values())


def run(warehouse: Warehouse, provider: Provider, window: Window, *, kinds: Iterable[Kind] | None = None,
        symbols: Sequence[str] | None = None, at: datetime, part: bool = False) -> IngestReport:
    """Take in everything that became available in ``window``. Running it again changes nothing, unless the source has
    changed its mind: what it says differently then becomes a revision of the time up to which has been loaded by then.

    Quarantine is written before the facts and the mark of the load comes last, so whatever is interrupted is simply
    done again.

    Args:
        kinds: only these; default: all the provider has. Of one that it has not, there is nothing: the window is
            marked as loaded, so that nobody waits for it.
        symbols: only bars and trades of these; documents and indicators belong to no symbol.
        at: wall-clock time of the caller, for the records.
        part: the window is a slice of a partition that is under way and will be read as a whole later.

    Raises:
        ConfigError: the provider has no such symbol.
        SourceError, SourceUnavailable, ContractError, StoreError
    """
    offered = provider.kinds()
    wanted = [kind for kind in Kind if kind in (offered if kinds is None else {Kind(kind) for kind in kinds})]
    if symbols is not None and (strange := sorted(set(symbols) - set(provider.symbols()))):
        raise ConfigError(f"{provider.name} has no bars of {', '.join(strange)}; "
                          f"it has: {', '.join(provider.symbols()) or 'none'}")
    batch = provider.fetch(window, [kind for kind in wanted if kind in offered], symbols)
    refused: list[Refused] = list(batch.refused)
    clean: dict[Kind, pd.DataFrame] = {}
    for kind in wanted:
        if kind in batch.frames:
            clean[kind], bad = check(kind, batch.frames[kind], provider.name)
            refused.extend(bad)
    new = quarantine.add(warehouse, refused, recorded_at=at)
    counts = {kind: WriteCounts() for kind in wanted}
    for kind, rows in clean.items():
        partition = window
        if kind in batch.inferred and (before := hindsight.readings(warehouse, _holding(kind, symbols), window)):
            rows = hindsight.dated(warehouse, kind, rows, before)
            partition = Window(window.start, max(window.end, before.until))
        counts[kind] = facts.write(warehouse, kind, rows, source_partition=partition)
    with warehouse.begin() as connection:
        for kind in wanted:
            rows, content = (len(clean[kind]), _digest(clean[kind])) if kind in clean else (0, None)
            for dataset in datasets(kind, symbols):
                loads.mark(connection, dataset, window, rows=rows, digest=content, at=at, part=part)
    return IngestReport(provider.name, window, counts, len(refused), new)


def datasets(kind: Kind, symbols: Sequence[str] | None = None) -> list[str]:
    """Names under which loads are marked: ``bars``, or ``bars/BTCUSDT`` for each symbol of a part of it."""
    if symbols is None or kind not in (Kind.BARS, Kind.TRADES):
        return [kind.value]
    return [f"{kind.value}/{symbol}" for symbol in sorted(set(symbols))]


def _holding(kind: Kind, symbols: Sequence[str] | None) -> list[str]:
    """Datasets of which each, if loaded, holds these rows."""
    parts = datasets(kind, symbols)
    return [kind.value, *parts] if len(parts) == 1 and parts != [kind.value] else [kind.value]


def _digest(frame: pd.DataFrame) -> str:
    if "components" in frame:
        frame = frame.assign(components=pd.Series([json_text(value) for value in frame["components"]], dtype=object))
    return digest(canonical(frame))
