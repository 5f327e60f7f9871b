"""One check of one line as of one time: what the champion was trained on against what it sees now.

Reads what is kept of the champion, the rows of the window, predictions and outcomes; writes one row of
``ai_trading.drift_reports``, always the same one for the same line and time; and when an alarm begins, or when asked
to, a page with pictures on the champion's MLflow run and what a classifier tells the window by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, DriftReport, Promotion
from pipelines.monitoring import classifier, learnt, live, lived
from pipelines.monitoring.drift import compare
from pipelines.monitoring.learnt import Learnt
from pipelines.monitoring.live import Lived
from pipelines.monitoring.windows import trailing
from pipelines.serving.rows import rows
from pipelines.store import Warehouse, asof, derived, ledger, snapshots, tables, upsert

ALARMS = ("data_drift", "prediction_drift", "performance_drift")


def check(warehouse: Warehouse, settings: Settings, line: Line, as_of: datetime, *, page: bool = False) -> DriftReport:
    """Look at a line as of ``as_of``, store what was found, and return it. The same call again finds the same.

    * data: the features against the training rows (`drift`), in checks in a row of the same champion;
    * predictions: level, confidence and distribution of P against the champion's out-of-sample predictions;
    * labels: their rate against the training rows'; told, but it raises no alarm by itself;
    * performance: log loss of matured predictions against the champion's evidence.

    The last three are sequential tests over the whole time of the champion (`sequential`), and begin anew with the
    next one. Only what was known before ``as_of`` counts (a partition's end belongs to the next one). Without a
    champion, or with a reference too short for windows, the report says nothing and raises no alarm.

    Args:
        page: make the page although no alarm begins.

    Raises:
        ConfigError: the line's rows are texts, which nobody watches.
        TrackingUnavailable: a page is due and could not be logged; the report is stored.
        RegistryError, ContractError, StoreError, StoreUnavailable
    """
    line.require_bars("monitor")
    with warehouse.begin() as connection:
        # A champion that takes effect at this very time was made of this check, not watched by it.
        present = ledger.champion(connection, line.name, as_of=asof.just_before(as_of))
        champion = None if present is None else ledger.candidate(connection, line.name, present.version)
    if present is None or champion is None:
        report = DriftReport(line.name, as_of, (), 0.0, False, False, False, {}, None, None, 0)
        _store(warehouse, report, None)
        return report
    known = learnt.of(warehouse, settings, line, champion)
    current = rows(warehouse, line, trailing(as_of, line.drift.window_days))
    with warehouse.begin() as connection:
        before = _earlier(connection, line, champion, as_of)
        history = lived.read(connection, line, champion.version, _since(connection, line, present),
                             known.promise.edges, as_of)
    report = _judge(line, champion, known, current, history, as_of, before)
    begins = bool({name for name in ALARMS if getattr(report, name)} - before.ringing)
    if not (begins or page):
        _store(warehouse, report, None)
        return report
    from pipelines.monitoring import show  # Evidently and matplotlib take seconds to import

    reference = snapshots.get(warehouse, champion.snapshot_digest)
    if known.norm is not None:
        report = classifier.answered(report, classifier.tell_apart(
            reference, current, [column.name for column in known.norm.columns], line.drift.window_days,
            differenced=[column.name for column in known.norm.columns if column.differenced],
            importance=known.importance))
    shown = show.make(line, report, reference, current, known.promise, history)
    _store(warehouse, report, shown.summary)
    show.log(settings, champion.run_id, report, shown)
    return report


def _judge(line: Line, champion: Candidate, known: Learnt, current: pd.DataFrame, history: Lived, as_of: datetime,
           before: _Before) -> DriftReport:
    if known.norm is None:
        report = DriftReport(line.name, as_of, (), 0.0, False, False, False, {"reference_too_short": 1.0},
                             champion.version, champion.snapshot_digest, len(current))
    else:
        report = compare(known.norm, current, as_of=as_of, line=line.name, champion_version=champion.version,
                         reference_digest=champion.snapshot_digest, streak=before.streak, importance=known.importance,
                         earlier=before.began)
    found = live.judge(line, known.promise, history, as_of)
    return replace(report, prediction_drift=found.drifted["prediction"], performance_drift=found.drifted["performance"],
                   metrics={**report.metrics, **found.metrics, "label_drift": float(found.drifted["label"])})


def _since(connection: Connection, line: Line, present: Promotion) -> datetime:
    """When the champion took over: approving it once more does not begin its time anew."""
    since = present.effective_at
    for row in reversed(ledger.history(connection, line.name)):
        if row.effective_at <= since:
            if row.version != present.version:
                break
            since = row.effective_at
    return since


@dataclass(frozen=True)
class _Before:
    """Earlier checks of a champion: how many directly before this one, in a row, were over; which alarms the last of
    them raised; and since when its drifted columns lie elsewhere."""

    streak: int
    ringing: frozenset[str]
    began: Mapping[str, str]


def _earlier(connection: Connection, line: Line, champion: Candidate, as_of: datetime) -> _Before:
    found = derived.read(
        connection, tables.drift_reports, columns=["as_of", "metrics", "columns", *ALARMS], by="as_of", end=as_of,
        where={"line": line.name, "champion_version": champion.version}, order=["-as_of"], limit=100)
    over = [bool(values.get("over")) for values in found["metrics"]]
    streak = over.index(False) if False in over else len(over)
    last = found.iloc[0] if len(found) else None
    return _Before(streak, frozenset(name for name in ALARMS if last is not None and bool(last[name])),
                   {} if last is None else {column["column"]: column["since"] for column in last["columns"]
                                            if column["drifted"] and column.get("since")})


def _store(warehouse: Warehouse, report: DriftReport, evidently: object) -> None:
    told = {"over": float(report.over), "streak": float(report.streak), "since": report.since, "impact": report.impact,
            "unusual": [asdict(row) for row in report.unusual], "pair": report.pair, "telling": report.telling}
    row = pd.DataFrame([{
        "line": report.line, "as_of": report.as_of, "champion_version": report.champion_version,
        "reference_digest": report.reference_digest, "share": report.share, "data_drift": report.data_drift,
        "prediction_drift": report.prediction_drift, "performance_drift": report.performance_drift,
        "rows": report.rows, "columns": [asdict(column) for column in report.columns],
        "metrics": {**report.metrics, **told}, "evidently": evidently}])
    row["as_of"] = pd.to_datetime(row["as_of"], utc=True).astype("datetime64[us, UTC]")
    row["champion_version"] = row["champion_version"].astype("Int64")
    with warehouse.begin() as connection:
        upsert.upsert(connection, tables.drift_reports, row, conflict=("line", "as_of"))
