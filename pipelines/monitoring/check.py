"""One check of one line as of one time: what the champion was trained on against what it sees now.

Reads snapshots, predictions and outcomes; writes one row of ``ai_trading.drift_reports``, always the same one for the
same line and time; and when an alarm begins, Evidently's page on the champion's MLflow run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, DriftReport
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import catalog
from pipelines.monitoring import performance
from pipelines.monitoring.drift import detect
from pipelines.monitoring.windows import trailing
from pipelines.serving.rows import rows
from pipelines.store import Warehouse, asof, derived, ledger, snapshots, tables, upsert
from pipelines.validation import metrics

ALARMS = ("data_drift", "prediction_drift", "performance_drift")
#: AUC and accuracy are reported over this many days.
SCORE_DAYS = 7
#: Predictions and losses are compared once they cover this share of the window.
ENOUGH = 0.5


def check(warehouse: Warehouse, settings: Settings, line: Line, as_of: datetime) -> DriftReport:
    """Look at a line as of ``as_of``, store what was found, and return it. The same call again finds the same.

    * data: share of columns beyond their limits, in ``drift.persistence`` checks in a row of the same champion;
    * predictions: level or confidence of the probabilities against the champion's evidence;
    * performance: log loss of matured predictions against the champion's evidence, one-sided.

    Only what was known before ``as_of`` counts (a partition's end belongs to the next one). Without a champion, or
    with a reference too short for windows, the report says nothing and raises no alarm.

    Raises:
        ConfigError: the line's rows are texts, which nobody watches.
        TrackingUnavailable: an alarm begins and its page could not be logged; the report is stored.
        RegistryError, ContractError, StoreError, StoreUnavailable
    """
    line.require_bars("monitor")
    with warehouse.begin() as connection:
        # A champion that takes effect at this very time was made of this check, not watched by it.
        present = ledger.champion(connection, line.name, as_of=asof.just_before(as_of))
        champion = None if present is None else ledger.candidate(connection, line.name, present.version)
    if champion is None:
        report = DriftReport(line.name, as_of, (), 0.0, False, False, False, {}, None, None, 0)
        _store(warehouse, report, None)
        return report
    window = trailing(as_of, line.drift.window_days)
    reference, current = snapshots.get(warehouse, champion.snapshot_digest), rows(warehouse, line, window)
    report = _data(line, champion, reference, current, as_of)
    with warehouse.begin() as connection:
        streak, ringing = _earlier(connection, report)
        watched = _watched(connection, line, champion, as_of)
    evidence = snapshots.get(warehouse, champion.evidence_digest)
    report = replace(_live(line, report, evidence, watched, window),
                     data_drift=report.over and streak >= line.drift.persistence - 1)
    begins = bool(_alarms(report) - ringing)

    from pipelines.monitoring import evidently_report  # its import takes seconds

    seen = evidently_report.run(reference, current, report, line.drift, html=begins)
    _store(warehouse, report, seen.summary if seen else None)
    if seen is not None and seen.html is not None:
        from pipelines.registry.client import ModelRegistry

        ModelRegistry(settings).log_page(champion.run_id, f"drift/{as_of:%Y-%m-%dT%H%M}.html", seen.html)
    return report


def calendar() -> tuple[str, ...]:
    """Columns of the calendar: a window of days always covers them in its own way, that is no drift."""
    return tuple(feature.name for feature in catalog.GROUPS["time"].features)


def _data(line: Line, champion: Candidate, reference: pd.DataFrame, current: pd.DataFrame,
          as_of: datetime) -> DriftReport:
    try:
        return detect(reference, current, line.drift, ignore=calendar(), line=line.name, as_of=as_of,
                      champion_version=champion.version, reference_digest=champion.snapshot_digest)
    except InsufficientData:
        return DriftReport(line.name, as_of, (), 0.0, False, False, False, {"reference_too_short": 1.0},
                           champion.version, champion.snapshot_digest, len(current))


def _earlier(connection: Connection, report: DriftReport) -> tuple[int, set[str]]:
    """How many checks of this champion, directly before this one and in a row, were over the share; and which alarms
    the last of them raised."""
    found = derived.read(
        connection, tables.drift_reports, columns=["as_of", "metrics", *ALARMS], by="as_of", end=report.as_of,
        where={"line": report.line, "champion_version": report.champion_version}, order=["-as_of"], limit=100)
    over = [bool(values.get("over_share")) for values in found["metrics"]]
    streak = over.index(False) if False in over else len(over)
    return streak, {name for name in ALARMS if len(found) and bool(found[name].iloc[0])}


def _alarms(report: DriftReport) -> set[str]:
    return {name for name in ALARMS if getattr(report, name)}


def _watched(connection: Connection, line: Line, champion: Candidate, as_of: datetime) -> pd.DataFrame:
    """The champion's predictions of the last days with their outcomes: ``symbol``, ``event_time``, ``available_at``,
    ``probability``, and ``y`` and ``known_at``, missing where the outcome was not known before ``as_of``."""
    start = as_of - timedelta(days=max(line.drift.window_days, SCORE_DAYS)) - line.horizon - line.bar
    made = derived.read(
        connection, tables.predictions, columns=["symbol", "event_time", "available_at", "probability"],
        where={"line": line.name, "version": champion.version}, by="available_at", start=start, end=as_of)
    known = derived.read(connection, tables.outcomes, columns=["symbol", "event_time", "y", "label_end"],
                         where={"line": line.name}, by="label_end", start=start, end=as_of)
    return made.merge(known.rename(columns={"label_end": "known_at"}), on=["symbol", "event_time"], how="left")


def _live(line: Line, report: DriftReport, evidence: pd.DataFrame, watched: pd.DataFrame,
          window: Window) -> DriftReport:
    """Add what the champion's own predictions say, with ``over_share`` for the checks to come."""
    alpha, found = line.drift.performance_alpha, dict(report.metrics) | {"over_share": float(report.over)}
    needed = ENOUGH * line.drift.window_days * (timedelta(days=1) / line.bar)
    recent = watched[watched["available_at"] >= window.start]
    moved = performance.prediction_shifts(evidence.rename(columns={"candidate": "probability"}), recent, line.horizon)
    if recent["event_time"].nunique() < needed:
        moved = {name: replace(change, p_upper=math.nan) for name, change in moved.items()}
    for name, change in moved.items():
        found |= {f"prediction_{name}": change.current, f"prediction_{name}_reference": change.reference,
                  f"prediction_{name}_p": change.p_two_sided}
    matured = watched[watched["y"].notna()]
    judged = matured[matured["known_at"] >= window.start]
    losses = performance.mean_log_loss(judged, "probability")
    loss = performance.shift(performance.mean_log_loss(evidence, "candidate"), losses, line.horizon)
    loss = loss if len(losses) >= needed else replace(loss, p_upper=math.nan)
    found |= {"loss_reference": loss.reference, "loss_current": loss.current, "loss_p": loss.p_upper,
              "matured": float(len(judged))}
    week = matured[matured["known_at"] >= report.as_of - timedelta(days=SCORE_DAYS)]
    if len(week):
        scores = metrics.classification(week["y"], week["probability"])
        found |= {name: scores[name] for name in ("log_loss", "auc", "accuracy")}
    return replace(
        report, metrics=found, performance_drift=loss.p_upper <= alpha,
        # Two questions are asked of the predictions; each gets half of the level.
        prediction_drift=any(change.p_two_sided <= alpha / len(moved) for change in moved.values()))


def _store(warehouse: Warehouse, report: DriftReport, evidently: object) -> None:
    row = pd.DataFrame([{
        "line": report.line, "as_of": report.as_of, "champion_version": report.champion_version,
        "reference_digest": report.reference_digest, "share": report.share, "data_drift": report.data_drift,
        "prediction_drift": report.prediction_drift, "performance_drift": report.performance_drift,
        "rows": report.rows, "columns": [asdict(column) for column in report.columns],
        "metrics": dict(report.metrics), "evidently": evidently}])
    row["as_of"] = pd.to_datetime(row["as_of"], utc=True).astype("datetime64[us, UTC]")
    row["champion_version"] = row["champion_version"].astype("Int64")
    with warehouse.begin() as connection:
        upsert.upsert(connection, tables.drift_reports, row, conflict=("line", "as_of"))
