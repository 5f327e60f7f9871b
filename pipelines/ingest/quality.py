"""Around one load: ask again for what is missing, write down what stays missing, and report on what came.

The shell of ``series``, ``gaps``, ``freshness`` and ``quality_report``: it reads and writes the warehouse, and decides
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import Connection

from pipelines.config import Quality
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch, Provider
from pipelines.contracts.records import Gap, Refused, WriteCounts
from pipelines.contracts.window import Window
from pipelines.ingest import freshness, quality_report
from pipelines.ingest import gaps as grid
from pipelines.ingest.checks import Checked, examine, interval_length
from pipelines.ingest.quality_report import Evidence, Report
from pipelines.ingest.series import Finding, check_series, delivery
from pipelines.store import Warehouse, asof, derived, quarantine, tables
from pipelines.store import gaps as written

#: Bars of a series that are looked at on each side of a window, at most.
MOST_BARS = 10_000
#: Kinds whose series are compared with what was known before the window.
COMPARED = (Kind.BARS, Kind.INDICATORS)
_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_SYMBOLS = 3


@dataclass(frozen=True)
class Taken:
    """A batch after its checks and after a second request for what it lacked."""

    checked: Mapping[Kind, Checked]
    refused: tuple[Refused, ...]
    findings: tuple[Finding, ...]
    again: grid.Again = field(default_factory=grid.Again)

    @property
    def clean(self) -> dict[Kind, pd.DataFrame]:
        return {kind: checked.clean for kind, checked in self.checked.items()}


def take(warehouse: Warehouse, provider: Provider, window: Window, batch: Batch, kinds: Sequence[Kind], *,
         at: datetime) -> Taken:
    """Check a batch row by row and series by series; bars that are missing in the window are asked for once more, in
    the run that finds them missing and never again.

    Args:
        at: wall-clock time of the fetch.
    """
    raw = {kind: batch.frames[kind] for kind in kinds if kind in batch.frames}
    checked = {kind: examine(kind, frame, provider.name) for kind, frame in raw.items()}
    refused = [*batch.refused, *(row for result in checked.values() for row in result.refused)]
    known = {kind: _known(warehouse, kind, checked[kind].clean, window) for kind in COMPARED if kind in checked}
    again = grid.Again()
    if Kind.BARS in known and (new := _new_gaps(
            warehouse, known[Kind.BARS], checked[Kind.BARS].clean, window, at)):
        again = grid.ask_again(provider, new, window)
        if again.bars:
            # With the first answer, for contradictions between the two.
            whole = pd.concat([raw[Kind.BARS], again.answer.frames[Kind.BARS]], ignore_index=True)
            checked[Kind.BARS] = examine(Kind.BARS, whole, provider.name)
        # A row that is broken for good stands in both answers.
        seen = {quarantine.digest(row) for row in refused}
        second = {quarantine.digest(row): row for row in (*checked[Kind.BARS].refused, *again.answer.refused)}
        refused += [row for name, row in second.items() if name not in seen]
    findings = [finding for kind, result in checked.items() for finding in (
        *delivery(kind, raw[kind], result.collapsed, window),
        *check_series(kind, _first_seen(result.clean, kind, batch, window), _before(known.get(kind), window),
                      fetched=at))]
    return Taken(checked, tuple(refused), tuple(findings), again)


def _first_seen(rows: pd.DataFrame, kind: Kind, batch: Batch, window: Window) -> pd.DataFrame:
    """Without what was read again behind the window: it carries the window's last instant, which is no delay of its
    own (see ``gather.Gather``)."""
    if kind not in batch.inferred:
        return rows
    return rows[rows["available_at"] < asof.just_before(window.end)].reset_index(drop=True)


def settle(warehouse: Warehouse, bars: pd.DataFrame | None, window: Window, *, at: datetime) -> list[Gap]:
    """Write down which bars of the series in ``bars`` are missing, after they were stored, and close the gaps that
    they have filled. Returns what is missing in the window."""
    if bars is None or bars.empty:
        return []
    present, start, end = _present(bars), *_around(bars, window)
    with warehouse.begin() as connection:
        written.lock(connection, Kind.BARS.value)
        known = asof.grid(connection, start=start, end=end, symbols=sorted(set(bars["symbol"])))
        found = grid.find(known, present, _loaded(connection, bars, start, window, at))
        firsts = known.groupby(["symbol", "interval"])["event_time"].min()
        since = {f"{symbol} {interval}": first.to_pydatetime() for (symbol, interval), first in firsts.items()
                 if f"{symbol} {interval}" in present}
        written.settle(connection, Kind.BARS.value, found, since, at=at)
    return [gap for gap in found if gap.end >= window.start and gap.start < window.end]


def evidence(taken: Taken, counts: Mapping[Kind, WriteCounts]) -> dict[Kind, Evidence]:
    """What a report says about the rows of a load, by kind."""
    return {kind: Evidence(checked.clean, [row for row in taken.refused if row.kind == kind.value], counts[kind],
                           checked.collapsed) for kind, checked in taken.checked.items()}


def report(warehouse: Warehouse, source: str, window: Window, shown: Mapping[Kind, Evidence], *, quality: Quality,
           gaps: Iterable[Gap], findings: Iterable[Finding], again: grid.Again | None = None,
           part: str = "") -> Report:
    """The report of a load, with the freshness of its kinds at the end of the window."""
    fresh = freshness.read(warehouse, quality, freshness.end_of(window), list(shown))
    ordered = sorted(findings, key=lambda finding: finding.severity != "warning")
    return quality_report.build(source, window, shown, gaps=gaps, findings=ordered, freshness=fresh, part=part,
                                asked_again=None if again is None or not again.windows else _asked(again))


def from_warehouse(warehouse: Warehouse, source: str, window: Window, *, quality: Quality,
                   kinds: Sequence[Kind] = tuple(Kind), at: datetime) -> Report:
    """The report of any stretch, from what is stored: new and revised count versions, nothing is unchanged, and what
    was refused is what lies in quarantine."""
    shown: dict[Kind, Evidence] = {}
    findings: list[Finding] = []
    for kind in kinds:
        rows = asof.read(warehouse, kind, as_of=asof.just_before(window.end), start=window.start, end=window.end,
                         revisions="all", by="available_at")
        refused = _in_quarantine(warehouse, kind, source, window)
        if rows.empty and not refused:
            continue
        new = int((rows["revision"] == 1).sum())
        clean = rows.drop(columns="revision")
        shown[kind] = Evidence(clean, refused, WriteCounts(new, len(rows) - new))
        known = _known(warehouse, kind, clean, window) if kind in COMPARED else None
        findings += check_series(kind, clean, _before(known, window), fetched=at)
    missing = written.list_rows(warehouse, start=window.start - grid.LOOK_AROUND, end=window.end, waiting=True)
    gaps = [Gap(row.kind, row.series, row.start.to_pydatetime(), row.end.to_pydatetime(), row.missing, row.open_ended)
            for row in missing[missing["end"] > window.start].itertuples()]
    return report(warehouse, source, window, shown, quality=quality, gaps=gaps, findings=findings)


def part_of(provider: Provider, kinds: Sequence[Kind], symbols: Sequence[str] | None) -> str:
    """Which part of a source was loaded, as it stands in the report's name; empty for all of it."""
    if set(kinds) >= provider.kinds() and symbols is None:
        return ""
    names = sorted(set(symbols or ()))
    if len(names) > _MOST_SYMBOLS:
        names = [hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]]
    return "-".join(["+".join(kind.value for kind in kinds), *names])


def _asked(again: grid.Again) -> str:
    said = (f"missing bars were asked for once more, in {len(again.windows)} requests: {again.bars} came")
    return said if again.trouble is None else f"{said}, then the source failed ({again.trouble})"


def _known(warehouse: Warehouse, kind: Kind, clean: pd.DataFrame, window: Window) -> pd.DataFrame:
    """All versions of the same series around the window."""
    if clean.empty:
        return clean
    start, end = _around(clean, window)
    names = sorted(set(clean["symbol" if kind is Kind.BARS else "name"]))
    return asof.read(warehouse, kind, as_of=_FAR, start=start, end=end, revisions="all",
                     symbols=names if kind is Kind.BARS else None, names=names if kind is Kind.INDICATORS else None)


def _around(rows: pd.DataFrame, window: Window) -> tuple[datetime, datetime]:
    first, last = rows["event_time"].min().to_pydatetime(), rows["event_time"].max().to_pydatetime()
    steps = [interval_length(interval) for interval in set(rows["interval"])] if "interval" in rows else []
    reach = min([grid.LOOK_AROUND, *(MOST_BARS * step for step in steps if step is not None)])
    return min(first, window.start) - reach, max(last, window.end) + reach


def _before(known: pd.DataFrame | None, window: Window) -> pd.DataFrame | None:
    return None if known is None or known.empty else known[known["available_at"] < pd.Timestamp(window.start)]


def _new_gaps(warehouse: Warehouse, known: pd.DataFrame, clean: pd.DataFrame, window: Window,
              at: datetime) -> list[Gap]:
    """Gaps that are not written down yet."""
    columns = ["symbol", "interval", "event_time", "available_at"]
    if clean.empty:
        return []
    with warehouse.begin() as connection:
        loaded = _loaded(connection, clean, _around(clean, window)[0], window, at)
    found = grid.find(pd.concat([known[columns], clean[columns]]), _present(clean), loaded)
    if not found:
        return []
    old = written.list_rows(warehouse, kind=Kind.BARS.value, series=sorted({gap.series for gap in found}), waiting=True)
    seen = set(zip(old["series"], old["start"], old["end"], strict=True))
    return [gap for gap in found if (gap.series, pd.Timestamp(gap.start), pd.Timestamp(gap.end)) not in seen]


def _loaded(connection: Connection, bars: pd.DataFrame, start: datetime, window: Window, at: datetime) -> list[Window]:
    """The windows of these symbols that end after ``start`` and were asked for, this one included, as far as they are
    over at ``at``."""
    names = [Kind.BARS.value, *(f"{Kind.BARS.value}/{symbol}" for symbol in sorted(set(bars["symbol"])))]
    rows = derived.read(connection, tables.loads, columns=["window_start", "window_end"], where={"dataset": names},
                        by="window_end", start=start)
    marked = {Window(row.window_start.to_pydatetime(), row.window_end.to_pydatetime()) for row in rows.itertuples()}
    return sorted(Window(item.start, min(item.end, at)) for item in {*marked, window} if item.start < at)


def _present(bars: pd.DataFrame) -> set[str]:
    return {f"{symbol} {interval}" for symbol, interval in zip(bars["symbol"], bars["interval"], strict=True)}


def _in_quarantine(warehouse: Warehouse, kind: Kind, source: str, window: Window) -> list[Refused]:
    """Refused rows that would have become available in the window (by their event if they do not say)."""
    rows = quarantine.list_rows(warehouse, kind=kind.value, source=source)
    stated = pd.Series([row.get("available_at") for row in rows["payload"]], dtype=object, index=rows.index)
    known = pd.to_datetime(stated, utc=True, errors="coerce", format="ISO8601").fillna(rows["event_time"])
    mine = rows[((known >= pd.Timestamp(window.start)) & (known < pd.Timestamp(window.end))).to_numpy(dtype=bool)]
    return [Refused(row["source"], row["kind"], row["reason"], row["payload"]) for row in mine.to_dict("records")]
