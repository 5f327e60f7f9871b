"""The candidate of a finished search: evidence, final fit, report, native model, registered version."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError
from pipelines.features import catalog
from pipelines.store import Warehouse, snapshots
from pipelines.training import card, explain, families, fit, leaderboard, lineage, report, search, stopping, take
from pipelines.training.families.base import Fitted
from pipelines.training.measure import Measure, decision_figures, measure, search_figures
from pipelines.training.record import Registered, Tracker
from pipelines.training.session import Session
from pipelines.validation import metrics
from pipelines.validation.splits import Plan, plan


def load(warehouse: Warehouse, line: Line, session: Session) -> tuple[fit.Matrix, Plan]:
    """The session's snapshot as arrays, and its folds."""
    frame = snapshots.get(warehouse, session.snapshot_digest)
    return fit.matrix(frame), plan(line, frame)


def keep_trial(warehouse: Warehouse, line: Line, folds: Plan, rows: pd.DataFrame, predictions: FloatArray) -> str:
    """Store what one trial predicted for ``rows`` (symbol and event_time of the search folds); the digest."""
    ref = snapshots.put(warehouse, rows.assign(probability=predictions), kind="trial", line=line.name,
                        start=folds.search[0].test_start.to_pydatetime(), end=folds.evidence_start.to_pydatetime())
    return ref.digest


def register(warehouse: Warehouse, settings: Settings, tracker: Tracker, line: Line,
             session: Session) -> Registered:
    """From the finished study to a registered version, with everything for people to look at on the run.

    The registration is the last step: killed before it, the work is done again and nothing is left but an artifact.

    Raises:
        TrainingError: no trial is complete.
        StoreUnavailable, TrackingUnavailable: try again.
    """
    data, folds = load(warehouse, line, session)
    url = settings.require("optuna_url")
    trials = search.records(url, session.study)
    best = search.best(trials)
    family_name = str(best.family)
    family = families.get(family_name)
    models: list[Fitted] = []
    params, stop = stopping.settled(best.params, best.rounds), line.search.early_stopping
    searched = fit.out_of_sample(data, folds.search, family_name, best.params, session.seed, keep=models, stop=stop)
    evidence = fit.out_of_sample(data, folds.evidence, family_name, params, session.seed, keep=models)
    model, rows = fit.final(data, line, family_name, params, session.seed)
    trained = data.frame.iloc[rows]
    rule = None
    if take.applies(line):
        evidence = take.taken(line, data, folds.evidence, evidence, family_name, params, session.seed)
        rule = take.rule(line, data, rows, family_name, params, session.seed)
    tried = search_frame(warehouse, searched, trials)
    as_of = datetime.fromisoformat(session.as_of)
    evidence_ref = snapshots.put(warehouse, evidence, kind="evidence", line=line.name,
                                 start=folds.evidence_start.to_pydatetime(), end=as_of)
    search_ref = snapshots.put(warehouse, tried, kind="search", line=line.name,
                               start=folds.search[0].test_start.to_pydatetime(), end=as_of)
    measures = [*measure(line, searched, evidence), *decision_figures(evidence, rule, session.seed),
                *search_figures(trials), *(Measure(f"data.{name}", float(value))
                for name, value in (("rows", len(data.labels)), ("features", len(data.names)),
                                    ("train_rows", len(rows)), ("evidence_rows", len(evidence))))]
    undefined = metrics.undefined(evidence["y"], evidence["candidate"])
    seen = np.ascontiguousarray(data.features[rows][:, fit.own_columns(data, model)])
    explanation = explain.explain(model, family, seen)
    trained_through = trained["label_end"].max()
    finished = sum(trial.state in ("complete", "pruned") for trial in trials)
    made = finished + int((session.warm or {}).get("trials", 0))  # with those that the first one had won against
    text = card.write(card.Facts(
        line=line, as_of=session.as_of, reason=session.reason, family=family_name, params=params, trials=finished,
        snapshot_digest=session.snapshot_digest, model_content=model.fingerprint(), git_commit=lineage.git_commit(),
        lock_digest=lineage.lock_digest(), seed=session.seed, frame_rows=len(data.frame),
        symbols=sorted(map(str, data.frame["symbol"].unique())), first=data.frame["event_time"].min(),
        last=data.frame["event_time"].max(), trained_from=trained["event_time"].min(), trained_through=trained_through,
        train_rows=len(rows), evidence_from=folds.evidence_start, measures=measures, undefined=undefined,
        importance=explanation.importance, importance_unit=explanation.importance_unit))
    with tempfile.TemporaryDirectory(prefix="tidemark-report-") as directory:
        report.write(Path(directory), line=line, searched=searched, evidence=evidence,
                     evidence_start=folds.evidence_start, explanation=explanation, trials=trials,
                     parameter_shares=search.importances(url, session.study), measures=measures, card=text,
                     fold_importance=explain.by_fold(models), forces=_forces(data, folds, models[-1]),
                     families=leaderboard.families(tried, trials, "On the search folds", session.seed))
        chosen = fit.selections(data, folds.search, best.params, session.seed, family_name if stop else None)
        if chosen is not None:
            chosen.to_csv(Path(directory, "selection.csv"))
        tracker.artifacts(session.run_id, Path(directory))
    tracker.params(session.run_id, {
        "family": family_name, **{f"model.{key}": value for key, value in params.items()},
        **stopping.logged(best.params, best.rounds)})
    tracker.trials(line, session.run_id, search.ranked(trials)[:line.search.nested_runs])
    source, file_digest = tracker.model(line, session.run_id, model, family, _example(seen))
    outcome = {
        tags.RUN: session.run_id, tags.FAMILY: family_name, tags.TRAINED_THROUGH: trained_through.isoformat(),
        tags.EVIDENCE: evidence_ref.digest, tags.SEARCH: search_ref.digest, tags.TRIALS: str(made),
        tags.MODEL_FILE: file_digest, tags.MODEL_CONTENT: model.fingerprint(),
        **({} if rule is None else {tags.THRESHOLD: repr(rule.threshold)})}
    tracker.measures(session.run_id, measures, {
        **outcome, "mlflow.note.content": text[:7500],
        **{f"tidemark.undefined.{name}": why for name, why in undefined.items()}})
    return tracker.register(line, session.run_id, source, {
        **outcome, tags.LINE: line.name, tags.AS_OF: session.as_of, tags.SNAPSHOT: session.snapshot_digest,
        tags.SEED: str(session.seed), tags.FEATURES: catalog.stamp(line), tags.REASON: session.reason,
        tags.REQUEST: str(session.request_id or ""),
        **lineage.environment()}, text)


def _forces(data: fit.Matrix, folds: Plan, model: Fitted) -> tuple[explain.Force, ...]:
    """Single predictions of the last evidence fold by its own model, which has not seen these rows."""
    rows = folds.evidence[-1].test
    return explain.forces(model, data.frame.iloc[rows], data.features[rows][:, fit.own_columns(data, model)])


def search_frame(warehouse: Warehouse, searched: pd.DataFrame, trials: Sequence[search.TrialRecord]) -> pd.DataFrame:
    """What every complete trial predicted, beside the best one's rows: the gate corrects for all that were tried.

    Raises:
        TrainingError: the best configuration, fitted again, predicts something else: it cannot be reproduced.
    """
    frame = searched
    for trial in search.ranked(trials):
        if trial.predictions is not None:
            kept = snapshots.get(warehouse, trial.predictions)
            frame = frame.merge(kept.rename(columns={"probability": f"trial_{trial.number}"}), validate="one_to_one",
                                on=["symbol", "event_time"])
    best = search.best(trials)
    if not np.array_equal(frame[f"trial_{best.number}"], frame["candidate"]):
        raise TrainingError(f"trial {best.number} ({best.family}) predicts otherwise when it is fitted again: "
                            "something in its fit is not seeded; it cannot be judged")
    return frame


def _example(features: Any) -> Any:
    """Rows without a missing value where there are any, so that the example shows every column."""
    whole = features[~np.isnan(features).any(axis=1)]
    return whole if len(whole) else features
