"""From a warehouse to a verdict as a training goes there: audit, snapshot, search, evidence, gate; no MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Candidate, Verdict
from pipelines.features import snapshot
from pipelines.gate import decide
from pipelines.registry import evidence
from pipelines.store import Warehouse
from pipelines.training import audit, fit, produce, search, take
from pipelines.validation.splits import Plan, plan


@dataclass(frozen=True)
class Judged:
    """``evidence``: the rows that the verdict rests on; ``best``: the trial that won the search."""

    verdict: Verdict
    evidence: pd.DataFrame
    data: fit.Matrix
    folds: Plan
    best: search.TrialRecord


def judge(store: Warehouse, optuna_url: str, line: Line, as_of: datetime, *, shuffle: bool = False,
          audited: bool | None = None) -> Judged:
    """A training as of ``as_of`` and the gate's verdict on it, against the naive baselines.

    Args:
        shuffle: give every row another one's label first: then nothing may be promoted.
        audited: what the leak audit would say; it is asked if left out.
    """
    if audited is None:
        audited = audit.run(store, None, line, as_of).passed
    ref, frame = snapshot.training(store, line, as_of)
    if shuffle:
        order = np.random.default_rng(line.search.seed).permutation(len(frame))
        frame = frame.assign(**{name: frame[name].to_numpy()[order] for name in ("y", "forward_return")})
    data, folds = fit.matrix(frame), plan(line, frame)
    rows, seed, study = fit.tested_rows(data, folds.search), line.search.seed, f"{line.name}/{ref.digest}"

    def evaluate(family: str, params: Mapping[str, Any]) -> Iterator[search.FoldScore]:
        return fit.score_folds(data, folds.search, family, params, seed)

    def keep(predictions: FloatArray) -> str:
        return produce.keep_trial(store, line, folds, rows, predictions)

    search.create(optuna_url, study, line.search.families)
    search.run(optuna_url, study, family_names=line.search.families, trials=line.search.trials, seed=seed,
               evaluate=evaluate, keep=keep)
    trials = search.records(optuna_url, study)
    best = search.best(trials)
    searched, fresh = (fit.out_of_sample(data, part, str(best.family), best.params, seed)
                       for part in (folds.search, folds.evidence))
    if take.applies(line):
        fresh = take.taken(line, data, folds.evidence, fresh, str(best.family), best.params, seed)
    through = frame["label_end"].max().to_pydatetime()
    candidate = Candidate(line.name, 1, study, str(best.family), as_of, through, ref.digest, "", len(trials),
                          audited=audited)
    tried = produce.search_frame(store, searched, trials)
    verdict = decide(evidence.judged(line, candidate, fresh, tried, None), line.gate)
    return Judged(verdict, fresh, data, folds, best)
