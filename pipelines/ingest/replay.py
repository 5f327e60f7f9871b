"""A second chance for refused rows, after the checks or the row itself have been mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.records import WriteCounts
from pipelines.contracts.window import Window
from pipelines.ingest import quality
from pipelines.ingest.checks import check
from pipelines.store import Warehouse, facts, quarantine


@dataclass(frozen=True)
class ReplayReport:
    """``replayed``: numbers of rows that are facts now; ``refused``: number → why it is refused still."""

    replayed: tuple[int, ...] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    counts: Mapping[Kind, WriteCounts] = field(default_factory=dict)


def replay(warehouse: Warehouse, ids: Sequence[int] | None = None, *, at: datetime,
           patch: Mapping[str, Any] | None = None) -> ReplayReport:
    """Check refused rows again; those that pass become facts with their own ``available_at``.

    Args:
        ids: numbers of quarantined rows; default: all that wait. Replaying a replayed row changes nothing.
        at: wall-clock time of the caller.
        patch: columns to overwrite in every one of these rows, as a person mends them: ``{"close": 41012.5}``.

    Raises:
        StoreError: no such row.
    """
    if ids is None:
        rows = quarantine.list_rows(warehouse, waiting=True).sort_values("id").to_dict("records")
    else:
        rows = [quarantine.get(warehouse, identifier) for identifier in ids]
    replayed: list[int] = []
    refused: dict[int, str] = {}
    counts: dict[Kind, WriteCounts] = {}
    for kind in Kind:
        passed: list[pd.DataFrame] = []
        for row in (row for row in rows if row["kind"] == kind.value):
            clean, reason = _again(kind, {**row["payload"], **(patch or {})}, row["source"])
            if reason is None:
                passed.append(clean)
                replayed.append(int(row["id"]))
            else:
                refused[int(row["id"])] = reason
        if passed:
            mended = pd.concat(passed, ignore_index=True)
            counts[kind] = facts.write(warehouse, kind, mended)
            if kind is Kind.BARS:  # what is mended is not missing any more
                known = mended["available_at"]
                quality.settle(warehouse, mended, Window(known.min().to_pydatetime(), known.max().to_pydatetime()
                                                       + timedelta(microseconds=1)), at=at)
    # Marked last: a row whose fact was written but not marked is replayed again and found unchanged.
    quarantine.mark_replayed(warehouse, replayed, at)
    return ReplayReport(tuple(sorted(replayed)), refused, counts)


def _again(kind: Kind, payload: Mapping[str, Any], source: str) -> tuple[pd.DataFrame, str | None]:
    schema = SCHEMAS[kind]
    frame = pd.DataFrame({name: pd.Series([payload.get(name)], dtype=object) for name in schema.columns})
    if not any(name in payload for name in schema.key):
        return frame, "no row could be read from it: mend the source and ingest its window again"
    times = ["event_time", "available_at", *(name for name, type_ in schema.values.items() if type_ == "time")]
    for name in times:
        raw = payload.get(name)
        frame[name] = pd.to_datetime(frame[name], errors="coerce", utc=True).dt.as_unit("us")
        if raw is not None and frame[name].isna().all():
            return frame, f"{name} {str(raw)[:60]!r} is not a time"
    clean, refused = check(kind, frame, source)
    return clean, refused[0].reason if refused else None
