"""Has the world of the features moved? Pure: two frames and a policy in, a report out.

Fixed limits and p-values for independent rows alarm without end on market features, which are strongly
autocorrelated. Here each column gets its own limit from its own past: windows as long as the current one are slid
over the training reference day by day, each is compared with the rest, and the policy's quantile of those
distances is what this column does anyway. Only more than that counts as drift.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.contracts.line import Drift
from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.errors import ContractError, InsufficientData
from pipelines.monitoring.distances import Bins
from pipelines.monitoring.windows import day_numbers, slide

#: A window slid over the reference counts when it holds at least this share of the usual number of rows.
WHOLE_WINDOW = 0.5
#: Missing values up to this share are never an alarm by themselves.
MISSING_FLOOR = 0.05
MISSING = "missing"


def detect(reference: pd.DataFrame, current: pd.DataFrame, policy: Drift, *, ignore: Collection[str] = (),
           line: str = "", as_of: datetime | None = None, champion_version: int | None = None,
           reference_digest: str | None = None) -> DriftReport:
    """Compare the columns of ``current`` with those of ``reference``.

    Args:
        reference: training rows, at least twice ``policy.window_days`` long; ``event_time`` (UTC) and numeric columns.
        current: the rows of the last ``policy.window_days`` days, same columns.
        policy: the line's ``[drift]`` table. Persistence over checks is not looked at here: ``data_drift`` says
            whether this one check is over the share.
        ignore: columns not to look at, such as the calendar, which a window always covers unevenly.
        line, as_of, champion_version, reference_digest: passed on to the report; ``as_of`` defaults to the last
            event_time of ``current``.

    Raises:
        ContractError: a column of the reference is missing in ``current``.
        InsufficientData: the reference is too short to slide windows over it.
    """
    names = [name for name in columns_of(reference) if name not in set(ignore)]
    absent = [name for name in names if name not in current]
    if absent:
        raise ContractError(f"current rows of {line or 'this line'} lack the columns {absent[:5]}; build them with the "
                            "line's present feature groups, or retrain so that the reference follows the line")
    days = day_numbers(reference["event_time"])
    span = int(days.max()) + 1 if len(days) else 0
    if span < 2 * policy.window_days:
        raise InsufficientData(
            f"the reference spans {span} days; sliding windows of {policy.window_days} days over it needs at least "
            f"{2 * policy.window_days}; shorten drift.window_days or lengthen walk_forward")
    columns: tuple[ColumnDrift, ...] = ()
    if len(current):
        found = (column_drift(name, reference[name].to_numpy(dtype=np.float64), days,
                              current[name].to_numpy(dtype=np.float64), policy) for name in names)
        columns = tuple(column for column in found if column is not None)
    share = sum(column.drifted for column in columns) / len(columns) if columns else 0.0
    if as_of is None:
        as_of = (current if len(current) else reference)["event_time"].max().to_pydatetime()
    return DriftReport(
        line=line, as_of=as_of, columns=columns, share=share, data_drift=bool(columns) and share >= policy.share,
        prediction_drift=False, performance_drift=False,
        metrics={"columns": float(len(columns)), "drifted": float(sum(column.drifted for column in columns)),
                 "constant": float(len(names) - len(columns)) if len(current) else 0.0},
        champion_version=champion_version, reference_digest=reference_digest, rows=len(current))


def columns_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a snapshot that are compared: numeric, neither keys, labels nor baselines."""
    skipped = {*FEATURE_META, *LABEL_COLUMNS}
    return tuple(name for name in frame.columns
                 if name not in skipped and not name.startswith("base_") and pd.api.types.is_numeric_dtype(frame[name]))


def column_drift(name: str, reference: np.ndarray[Any, Any], days: np.ndarray[Any, Any],
                 current: np.ndarray[Any, Any], policy: Drift) -> ColumnDrift | None:
    """One column against its own past; None when it is constant in the reference.

    ``reference`` and ``days`` have shape (reference rows,), ``current`` (current rows,); NaN is missing.
    """
    known, present = np.isfinite(reference), np.isfinite(current)
    bins = Bins.of(reference[known], policy.method)
    if bins is None:
        return None
    span = int(days.max()) + 1
    rows = slide(np.bincount(days, minlength=span).astype(np.float64), policy.window_days)
    whole = rows >= WHOLE_WINDOW * np.median(rows)

    lost = slide(np.bincount(days[~known], minlength=span).astype(np.float64), policy.window_days) / np.maximum(rows, 1)
    lost_limit = max(float(lost[whole].max()), MISSING_FLOOR)
    lost_now = 1.0 - float(present.mean())
    if lost_now > lost_limit or not present.any():
        return ColumnDrift(name, MISSING, lost_now, lost_limit, True)

    size = bins.upper.size
    daily = np.bincount(days[known] * size + bins.index(reference[known]), minlength=span * size)
    daily = daily.reshape(span, size).astype(np.float64)
    total, windows = daily.sum(axis=0), slide(daily, policy.window_days)[whole]
    windows = windows[windows.sum(axis=1) > 0]
    limit = float(np.quantile(bins.distance(windows, total - windows), policy.quantile))
    score = float(bins.distance(bins.counts(current[present]), total)) + bins.beyond(current[present])
    return ColumnDrift(name, policy.method, score, limit, score > limit)
