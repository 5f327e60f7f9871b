"""Fetch a window, check its rows, keep the bad ones in quarantine and the good ones in the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from pipelines.config import Quality
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.records import WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest import hindsight, quality, quality_files
from pipelines.store import Warehouse, facts, loads, quarantine
from pipelines.store.digest import canonical, digest
from pipelines.store.frames import json_text


@dataclass(frozen=True)
class IngestReport:
    """What came in: per kind the facts new, revised and unchanged; rows refused, and how many of them for the first
    time; bars that are missing after a second request, findings about the series, and where the data-quality report
    lies."""

    source: str
    window: Window
    counts: Mapping[Kind, WriteCounts] = field(default_factory=dict)
    refused: int = 0
    newly_refused: int = 0
    missing_bars: int = 0
    findings: int = 0
    report: str | None = None

    @property
    def written(self) -> int:
        return sum(counts.inserted + counts.revised for counts in self.counts.values())


def run(warehouse: Warehouse, provider: Provider, window: Window, *, kinds: Iterable[Kind] | None = None,
        symbols: Sequence[str] | None = None, at: datetime, part: bool = False, reports: Path | None = None,
        deadlines: Quality | None = None) -> IngestReport:
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
        reports: directory of the data-quality reports; None: no report is made.
        deadlines: how old the newest fact of a series may be, for the report.

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
    taken = quality.take(warehouse, provider, window, batch, wanted, at=at)
    clean = taken.clean
    new = quarantine.add(warehouse, taken.refused, recorded_at=at)
    counts = {kind: _write(warehouse, kind, clean[kind], window, symbols, inferred=kind in batch.inferred)
              if kind in clean else WriteCounts() for kind in wanted}
    gaps = quality.settle(warehouse, clean.get(Kind.BARS), window, at=at)
    with warehouse.begin() as connection:
        for kind in wanted:
            rows, content = (len(clean[kind]), _digest(clean[kind])) if kind in clean else (0, None)
            for dataset in datasets(kind, symbols):
                loads.mark(connection, dataset, window, rows=rows, digest=content, at=at, part=part)
    page = None
    if reports is not None:
        page = quality_files.write(reports, quality.report(
            warehouse, provider.name, window, quality.evidence(taken, counts), quality=deadlines or Quality(),
            gaps=gaps, findings=taken.findings, again=taken.again, part=quality.part_of(provider, wanted, symbols)))
    return IngestReport(provider.name, window, counts, len(taken.refused), new, sum(gap.missing for gap in gaps),
                        len(taken.findings), None if page is None else str(page))


def datasets(kind: Kind, symbols: Sequence[str] | None = None) -> list[str]:
    """Names under which loads are marked: ``bars``, or ``bars/BTCUSDT`` for each symbol of a part of it."""
    if symbols is None or kind not in (Kind.BARS, Kind.TRADES):
        return [kind.value]
    return [f"{kind.value}/{symbol}" for symbol in sorted(set(symbols))]


def _write(warehouse: Warehouse, kind: Kind, rows: pd.DataFrame, window: Window, symbols: Sequence[str] | None, *,
           inferred: bool) -> WriteCounts:
    """Store checked rows; those of a second reading with the time at which they became news (``hindsight``)."""
    before = hindsight.readings(warehouse, _holding(kind, symbols), window) if inferred else None
    if before is None:
        return facts.write(warehouse, kind, rows, source_partition=window)
    return facts.write(warehouse, kind, hindsight.dated(warehouse, kind, rows, before),
                       source_partition=Window(window.start, max(window.end, before.until)))


def _holding(kind: Kind, symbols: Sequence[str] | None) -> list[str]:
    """Datasets of which each, if loaded, holds these rows."""
    parts = datasets(kind, symbols)
    return [kind.value, *parts] if len(parts) == 1 and parts != [kind.value] else [kind.value]


def _digest(frame: pd.DataFrame) -> str:
    if "components" in frame:
        frame = frame.assign(components=pd.Series([json_text(value) for value in frame["components"]], dtype=object))
    return digest(canonical(frame))
