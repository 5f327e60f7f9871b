"""The door to Evidently: our limits in, its JSON and its HTML page out.

Evidently picks a method by sample size and compares with fixed limits unless told otherwise; here every column has
its method and its limit pinned. Its Wasserstein divides by ``max(std, 0.001)``, which hides any drift of a small
feature, so columns are standardised first. Its PSI and Jensen-Shannon bin at equal widths over both samples, which no
limit learnt elsewhere fits, so they are given our bins (it compares up to 20 distinct values one by one). A column
watched by its moments is shown with Wasserstein's distance, to which a shift of the mean by so many standard
deviations amounts; one whose changes are watched, as its changes; one watched by chi-square not at all, because it
takes that for categories only.

The decision is taken in ``drift.py``; this is the second opinion and the page that people look at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.metrics.column_statistics import DriftedColumnsCount
from scipy import stats

from pipelines.contracts.line import Drift
from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.monitoring.distances import Bins, Method
from pipelines.monitoring.drift import MISSING
from pipelines.monitoring.measure import Rows

#: Columns shown to Evidently, those nearest to or furthest over their limit first.
MAX_COLUMNS = 30
#: Columns drawn one by one on the page; a plot costs a tenth of a second and 100 kB.
MAX_PLOTS = 8


@dataclass(frozen=True)
class EvidentlyResult:
    """``summary`` is JSON-friendly and a few kB; ``html`` is one self-contained page, only made when asked for."""

    summary: dict[str, Any]
    html: str | None


def run(reference: pd.DataFrame, current: pd.DataFrame, report: DriftReport, policy: Drift, *,
        html: bool = False, plots: int = MAX_PLOTS) -> EvidentlyResult | None:
    """Evidently's view of the columns of ``report``; None when there is no column to look at.

    Args:
        reference, current: the frames that ``report`` was made from.
        policy: the line's ``[drift]`` table, for the share.
        html: also draw the page (about 4 MB, a second), with this many columns drawn one by one (``plots``).
    """
    shown = [column for column in report.columns if column.method not in (MISSING, "chi2")]
    watched = sorted(shown, key=_excess)[:MAX_COLUMNS]
    if not watched:
        return None
    prepared = [_prepare(column, reference, current) for column in watched]
    names = [column.column for column in watched]
    limits = {column.column: _limit(column, reference, current) for column in watched}
    definition = DataDefinition(numerical_columns=names)
    sides = [Dataset.from_pandas(pd.DataFrame(dict(zip(names, side, strict=True))), data_definition=definition)
             for side in zip(*prepared, strict=True)]
    metrics: list[Any] = [DriftedColumnsCount(
        columns=names, drift_share=policy.share,
        per_column_method={column.column: _method(column) for column in watched},
        per_column_threshold=limits)]
    if html:
        metrics += [ValueDrift(column=column.column, method=_method(column), threshold=limits[column.column])
                    for column in watched[:plots]]
    snapshot = Report(metrics, include_tests=False).run(sides[1], sides[0])
    return EvidentlyResult(json.loads(snapshot.json()), snapshot.get_html_str(as_iframe=False) if html else None)


def _excess(column: ColumnDrift) -> float:
    return -column.score / max(column.threshold, 1e-12)


def _method(column: ColumnDrift) -> Method:
    return "wasserstein" if column.method == "moments" else cast(Method, column.method)


def _prepare(column: ColumnDrift, reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The two samples as Evidently is to see them: standardised, or as the numbers of our bins."""
    if column.differenced:
        step = Rows.of(reference).step
        then, now = (Rows.of(frame, step).values(frame[column.column].to_numpy(dtype=np.float64), True)
                     for frame in (reference, current))
    else:
        then, now = (frame[column.column].to_numpy(dtype=np.float64) for frame in (reference, current))
    then, now = then[np.isfinite(then)], now[np.isfinite(now)]
    bins = Bins.of(then, _method(column))
    if bins is None:
        return pd.Series(then), pd.Series(now)
    if column.method in ("psi", "jensenshannon"):
        return pd.Series(bins.index(then)).astype(float), pd.Series(bins.index(now)).astype(float)
    return pd.Series((then - bins.mean) / bins.std), pd.Series((now - bins.mean) / bins.std)


def _limit(column: ColumnDrift, reference: pd.DataFrame, current: pd.DataFrame) -> float:
    """Our limit in Evidently's terms: a distance, but for K-S the p-value that belongs to it (Evidently says drift
    when p is at most the limit)."""
    if column.method == "moments":
        return column.smallest or 0.0
    if column.method != "ks":
        return column.threshold
    rows = [int(frame[column.column].notna().sum()) for frame in (reference, current)]
    return float(stats.kstwo.sf(column.threshold, round(rows[0] * rows[1] / max(sum(rows), 1))))
