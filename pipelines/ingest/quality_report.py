"""The data-quality report of a window: a pure builder, from frames to one record that JSON and the page are made of.

Nothing in it depends on the clock of the machine: the same load gives the same report.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.records import Gap, Refused, WriteCounts
from pipelines.contracts.window import Window
from pipelines.ingest.freshness import Freshness, sentence
from pipelines.ingest.payload import printable
from pipelines.ingest.series import Finding

#: Of the JSON document; raised when a field changes its meaning or goes away.
VERSION = 1
#: Most rows of a table; what is beyond is counted.
MOST = 50
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|(?<!\w)-?\d[\w:.+-]*")


@dataclass(frozen=True)
class Evidence:
    """What the report of one kind is made of.

    Attributes:
        rows: clean rows that became available in the window (contract columns, all versions).
        refused: rows that did not pass.
        counts: what storing them did; from the warehouse: what is stored.
        collapsed: doubled deliveries; None when it is not known any more.
    """

    rows: pd.DataFrame
    refused: Sequence[Refused] = ()
    counts: WriteCounts = field(default_factory=WriteCounts)
    collapsed: int | None = None


@dataclass(frozen=True)
class ColumnReport:
    """One column over the window; ``low`` and ``high`` as JSON-safe numbers or ISO times, ``distinct`` of texts."""

    name: str
    type: str
    unit: str
    missing: int
    missing_share: float
    low: float | str | None
    high: float | str | None
    distinct: int | None


@dataclass(frozen=True)
class Reason:
    """Rows refused for one rule; ``reason`` has ``#`` for what was particular to a row."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class KindReport:
    """Rows of one kind in the window."""

    kind: Kind
    rows: int
    new: int
    revised: int
    unchanged: int
    collapsed: int | None
    refused: int
    reasons: tuple[Reason, ...]
    columns: tuple[ColumnReport, ...]


@dataclass(frozen=True)
class Trades:
    """Closed trades of the window and the share of winners with its 95 % interval (Wilson 1927, eq. as in Brown, Cai
    and DasGupta 2001, section 3.1.1). A trade wins if its ``profit_ratio`` is positive; without one, if its prices say
    so before costs."""

    closed: int
    wins: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Report:
    """Everything about the data of a window. ``to_dict`` is the JSON document."""

    source: str
    window: Window
    kinds: tuple[KindReport, ...]
    gaps: tuple[Gap, ...] = ()
    findings: tuple[Finding, ...] = ()
    freshness: tuple[Freshness, ...] = ()
    trades: Trades | None = None
    asked_again: str | None = None
    part: str = ""
    version: int = field(default=VERSION)

    @property
    def missing_bars(self) -> int:
        return sum(gap.missing for gap in self.gaps)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that somebody should read."""
        said = [f"{gap.series}: {gap.missing} bars from {gap.start:%Y-%m-%d %H:%M} UTC are missing"
                for gap in self.gaps]
        said += [f"{finding.series}: {finding.sentence}" for finding in self.findings if finding.severity == "warning"]
        return (*said, *(sentence(row) for row in self.freshness if row.stale))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types; times ISO 8601 in UTC."""
        shown: dict[str, Any] = _json(self)
        for entry, row in zip(shown["freshness"], self.freshness, strict=True):
            entry["stale"] = row.stale
        return {"version": shown.pop("version"), **shown, "missing_bars": self.missing_bars,
                "warnings": [printable(text) for text in self.warnings]}


def build(source: str, window: Window, evidence: Mapping[Kind, Evidence], *, gaps: Iterable[Gap] = (),
          findings: Iterable[Finding] = (), freshness: Iterable[Freshness] = (), asked_again: str | None = None,
          part: str = "") -> Report:
    """Put a report together.

    Args:
        gaps: what is still missing in the window or around it.
        asked_again: a sentence about the second request for missing bars.
        part: which part of the source was loaded, such as ``bars-BTCUSDT``; empty for all of it.
    """
    trades = evidence[Kind.TRADES].rows if Kind.TRADES in evidence else None
    return Report(source, window, tuple(_kind(kind, evidence[kind]) for kind in Kind if kind in evidence),
                  tuple(gaps), tuple(findings), tuple(freshness),
                  None if trades is None or trades.empty else win_rate(trades), asked_again, part)


def _kind(kind: Kind, evidence: Evidence) -> KindReport:
    counts = evidence.counts
    return KindReport(kind, len(evidence.rows), counts.inserted, counts.revised, counts.unchanged, evidence.collapsed,
                      len(evidence.refused), tuple(reasons(evidence.refused)), tuple(columns(kind, evidence.rows)))


def reasons(refused: Iterable[Refused]) -> list[Reason]:
    """Refusals by rule, the most frequent first; beyond ``MOST`` rules the rest is one."""
    found: dict[str, list[str]] = {}
    for row in refused:
        found.setdefault(_PARTICULAR.sub("#", row.reason), []).append(row.reason)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    rest = sum(len(rows) for _, rows in ordered[MOST:])
    return [*(Reason(reason, len(rows), rows[0]) for reason, rows in ordered[:MOST]),
            *([Reason("other reasons", rest, ordered[MOST][1][0])] if rest else [])]


def columns(kind: Kind, rows: pd.DataFrame) -> list[ColumnReport]:
    """Missing values and range of every declared column."""
    found = []
    for name, column in SCHEMAS[kind].declared.items():
        values = rows[name] if name in rows else pd.Series([None] * len(rows), dtype=object)
        there, distinct = values.dropna(), None
        low: float | str | None = None
        high: float | str | None = None
        if column.type == "str":
            distinct = int(there.nunique())
        elif len(there) and column.type == "float":
            low, high = float(there.min()), float(there.max())
        elif len(there) and column.type == "time":
            low, high = there.min().isoformat(), there.max().isoformat()
        missing = len(values) - len(there)
        share = missing / len(values) if len(values) else 0.0
        found.append(ColumnReport(name, column.type, column.unit, missing, share,
                                  low, high, distinct))
    return found


def win_rate(trades: pd.DataFrame) -> Trades:
    """The share of winners among the closed trades of a frame, the last version of each."""
    latest = trades.sort_values("available_at", kind="stable").drop_duplicates(
        list(SCHEMAS[Kind.TRADES].key), keep="last")
    direction = np.where(latest["side"] == "long", 1.0, -1.0)
    moved = direction * (latest["exit_price"] - latest["entry_price"]) / latest["entry_price"]
    profit = latest["profit_ratio"].fillna(moved)[latest["closed_at"].notna()].dropna()
    wins, closed = int((profit > 0).sum()), len(profit)
    return Trades(closed, wins, wins / closed if closed else None, *wilson(wins, closed))


def wilson(wins: int, n: int, z: float = 1.959963984540054) -> tuple[float | None, float | None]:
    """Wilson's score interval of a proportion; None twice for n = 0."""
    if n == 0:
        return None, None
    share = wins / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return printable(str(value)) if isinstance(value, str) else value
