"""Has the world of the features moved? Pure: two frames and a policy in, a report out.

Fixed limits and p-values for independent rows alarm without end on market features, which are strongly
autocorrelated. Here each column gets its own limit from its own past: windows as long as the current one are slid
over the training reference day by day, each is compared with the rest, and the policy's quantile of those
distances is what this column does anyway. Only more than that counts as drift.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.contracts.line import Drift
from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.errors import ContractError, InsufficientData
from pipelines.monitoring.distances import Bins
from pipelines.monitoring.norm import ColumnNorm, Norm
from pipelines.monitoring.windows import day_numbers, slide

#: A window slid over the reference counts when it holds at least this share of the usual number of rows.
WHOLE_WINDOW = 0.5
#: Missing values up to this share are never an alarm by themselves.
MISSING_FLOOR = 0.05
MISSING = "missing"
Array = np.ndarray[Any, np.dtype[np.float64]]


def detect(reference: pd.DataFrame, current: pd.DataFrame, policy: Drift, *, ignore: Collection[str] = (),
           line: str = "", as_of: datetime | None = None, champion_version: int | None = None,
           reference_digest: str | None = None, streak: int = 0,
           importance: Mapping[str, float] | None = None) -> DriftReport:
    """`learn` from ``reference``, then `compare` ``current`` with it. ``as_of`` defaults to the last event_time.

    Raises:
        ContractError, InsufficientData: see there.
    """
    norm = learn(reference, policy, ignore=ignore)
    if as_of is None:
        as_of = (current if len(current) else reference)["event_time"].max().to_pydatetime()
    return compare(norm, current, as_of=as_of, line=line, champion_version=champion_version,
                   reference_digest=reference_digest, streak=streak, importance=importance)


def learn(reference: pd.DataFrame, rules: Drift, *, ignore: Collection[str] = ()) -> Norm:
    """What the columns of a training reference do anyway: the slow part, once a champion.

    Args:
        reference: training rows, at least twice ``rules.window_days`` long; ``event_time`` (UTC) and numeric columns.
        rules: the line's ``[drift]`` table.
        ignore: columns not to look at, such as the calendar, which a window always covers unevenly.

    Raises:
        InsufficientData: the reference is too short to slide windows over it.
    """
    names = tuple(name for name in columns_of(reference) if name not in set(ignore))
    days = day_numbers(reference["event_time"])
    span = int(days.max()) + 1 if len(days) else 0
    if span < 2 * rules.window_days:
        raise InsufficientData(
            f"the reference spans {span} days; sliding windows of {rules.window_days} days over it needs at least "
            f"{2 * rules.window_days}; shorten drift.window_days or lengthen walk_forward")
    found = (_learn(name, reference[name].to_numpy(dtype=np.float64), days, rules) for name in names)
    return Norm(rules, tuple(column for column in found if column is not None), names, span)


def compare(norm: Norm, current: pd.DataFrame, *, as_of: datetime, line: str = "",
            champion_version: int | None = None, reference_digest: str | None = None, streak: int = 0,
            importance: Mapping[str, float] | None = None) -> DriftReport:
    """Are the rows of the last days what the reference has led to expect? The fast part, once a check.

    Args:
        norm: from `learn`.
        current: the rows of the last ``window_days`` days, with the reference's columns.
        as_of: the time of the check (UTC).
        line, champion_version, reference_digest: passed on to the report.
        streak: how many checks of this norm directly before this one, in a row, were ``over``.
        importance: column to weight, of any scale, for ``impact``.

    Raises:
        ContractError: a column of the reference is missing in ``current``.
    """
    absent = [name for name in norm.names if name not in current]
    if absent:
        raise ContractError(f"current rows of {line or 'this line'} lack the columns {absent[:5]}; build them with the "
                            "line's present feature groups, or retrain so that the reference follows the line")
    columns: tuple[ColumnDrift, ...] = ()
    if len(current):
        columns = tuple(_compare(column, current[column.name].to_numpy(dtype=np.float64)) for column in norm.columns)
    drifted = sum(column.drifted for column in columns)
    share = drifted / len(columns) if columns else 0.0
    over = bool(columns) and share >= norm.rules.share
    streak = streak + 1 if over else 0
    weights = importance or {}
    total = sum(weights.get(column.column, 0.0) for column in columns)
    return DriftReport(
        line=line, as_of=as_of, columns=columns, share=share, data_drift=streak >= norm.rules.persistence,
        prediction_drift=False, performance_drift=False,
        metrics={"columns": float(len(columns)), "drifted": float(drifted),
                 "constant": float(len(norm.names) - len(columns)) if len(current) else 0.0},
        champion_version=champion_version, reference_digest=reference_digest, rows=len(current), over=over,
        streak=streak,
        impact=sum(weights.get(column.column, 0.0) for column in columns if column.drifted) / total if total else None)


def columns_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a snapshot that are compared: numeric, neither keys, labels nor baselines."""
    skipped = {*FEATURE_META, *LABEL_COLUMNS}
    return tuple(name for name in frame.columns
                 if name not in skipped and not name.startswith("base_") and pd.api.types.is_numeric_dtype(frame[name]))


def _learn(name: str, reference: Array, days: np.ndarray[Any, Any], rules: Drift) -> ColumnNorm | None:
    """One column's own past; None when it is constant. ``reference`` and ``days`` have shape (rows,); NaN is
    missing."""
    known = np.isfinite(reference)
    bins = Bins.of(reference[known], rules.method)
    if bins is None:
        return None
    span = int(days.max()) + 1
    rows = slide(np.bincount(days, minlength=span).astype(np.float64), rules.window_days)
    whole = rows >= WHOLE_WINDOW * np.median(rows)
    lost = slide(np.bincount(days[~known], minlength=span).astype(np.float64), rules.window_days) / np.maximum(rows, 1)
    size = bins.upper.size
    daily = np.bincount(days[known] * size + bins.index(reference[known]), minlength=span * size)
    daily = daily.reshape(span, size).astype(np.float64)
    total, windows = daily.sum(axis=0), slide(daily, rules.window_days)[whole]
    windows = windows[windows.sum(axis=1) > 0]
    limit = float(np.quantile(bins.distance(windows, total - windows), rules.quantile))
    return ColumnNorm(name, bins, total, limit, max(float(lost[whole].max()), MISSING_FLOOR))


def _compare(norm: ColumnNorm, current: Array) -> ColumnDrift:
    present = np.isfinite(current)
    lost = 1.0 - float(present.mean())
    if lost > norm.lost_limit or not present.any():
        return ColumnDrift(norm.name, MISSING, lost, norm.lost_limit, True)
    values = current[present]
    score = float(norm.bins.distance(norm.bins.counts(values), norm.counts)) + norm.bins.beyond(values)
    return ColumnDrift(norm.name, norm.bins.method, score, norm.limit, score > norm.limit,
                       effect=float((values.mean() - norm.bins.mean) / norm.bins.std),
                       spread=float(values.std() / norm.bins.std))
