"""Fitting on folds: scores for the search, out-of-sample predictions for the gate, the final model for production."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import EVIDENCE_COLUMNS, LEXICON
from pipelines.errors import TrainingError
from pipelines.features import NAIVE, feature_names
from pipelines.training import families
from pipelines.training.families.base import Fitted
from pipelines.training.search import FoldScore
from pipelines.validation import metrics
from pipelines.validation.splits import Fold

PREVIOUS_LABEL, COMPOUND = NAIVE


@dataclass(frozen=True)
class Matrix:
    """A training snapshot as arrays: ``features`` (rows, columns) float64 with NaN for missing, ``labels`` (rows,) in
    {0, 1}; ``frame`` is the snapshot itself, in the same row order."""

    features: FloatArray
    labels: FloatArray
    names: tuple[str, ...]
    frame: pd.DataFrame


def matrix(frame: pd.DataFrame) -> Matrix:
    """Split a snapshot into features and labels.

    Raises:
        TrainingError: no feature columns, missing columns, or labels other than 0 and 1.
    """
    missing = [column for column in (*FEATURE_META, *LABEL_COLUMNS) if column not in frame.columns]
    if missing:
        raise TrainingError(f"the snapshot lacks {', '.join(missing)}; build it with features.snapshot.training")
    names = feature_names(frame)
    if not names:
        raise TrainingError("the snapshot has no feature column; check [features] groups of the line")
    labels = frame["y"].to_numpy(dtype=np.float64)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise TrainingError("the snapshot holds labels other than 0 and 1; rebuild it")
    return Matrix(frame.loc[:, list(names)].to_numpy(dtype=np.float64), labels, names, frame)


def score_folds(data: Matrix, folds: Sequence[Fold], family: str, params: Mapping[str, Any],
                seed: int) -> Iterator[FoldScore]:
    """Fit and score fold by fold, for the search; a block is a day of the test window, counted from its start."""
    for fold in folds:
        model = _fit(data, fold.train, family, params, seed)
        chances = model.predict(data.features[fold.test])
        loss = metrics.losses(data.labels[fold.test], chances)
        days = ((data.frame["event_time"].iloc[fold.test] - fold.test_start) // timedelta(days=1)).to_numpy()
        blocks = pd.Series(loss).groupby(days, sort=True).mean()
        yield FoldScore(float(loss.mean()), len(loss), tuple(float(value) for value in blocks),
                        len(folds) - fold.number - 1, chances)


def tested_rows(data: Matrix, folds: Sequence[Fold]) -> pd.DataFrame:
    """``symbol`` and ``event_time`` of the test rows, fold after fold: the order of a trial's predictions."""
    rows = np.concatenate([fold.test for fold in folds])
    return data.frame.iloc[rows][["symbol", "event_time"]].reset_index(drop=True)


def out_of_sample(data: Matrix, folds: Sequence[Fold], family: str, params: Mapping[str, Any], seed: int, *,
                  keep: list[Fitted] | None = None) -> pd.DataFrame:
    """Walk forward over ``folds`` and keep each row's prediction beside those of the naive baselines.

    Columns ``EVIDENCE_COLUMNS``: ``base_rate`` is the training rows' mean label; ``persistence`` the training rows'
    frequency of 1 after a previous label like this row's (Laplace-smoothed), or the base rate where the previous
    label is not known; ``no_retraining`` the first fold's model, never fitted again. Of texts also ``lexicon``: what
    the lexicon says, as a probability fitted on the training rows. Ordered by (event_time, symbol).

    Args:
        keep: takes each fold's model, in the order of the folds.
    """
    parts: list[pd.DataFrame] = []
    first: Fitted | None = None
    for fold in folds:
        rows = data.frame.iloc[fold.test]
        model = _fit(data, fold.train, family, params, seed)
        first = first or model
        if keep is not None:
            keep.append(model)
        base_rate = float(data.labels[fold.train].mean())
        part = rows[["symbol", "event_time", "available_at", "label_end", "y", "forward_return"]].copy()
        part["y"] = part["y"].astype("float64")
        part["fold"] = fold.number
        part["candidate"] = model.predict(data.features[fold.test])
        part["base_rate"] = base_rate
        part["persistence"] = _persistence(data, fold, base_rate)
        part["no_retraining"] = first.predict(data.features[fold.test])
        if COMPOUND in data.frame:
            part[LEXICON] = _lexicon(data, fold)
        parts.append(part)
    columns = [*EVIDENCE_COLUMNS, *((LEXICON,) if COMPOUND in data.frame else ())]
    found = pd.concat(parts, ignore_index=True)[columns]
    return found.sort_values(["event_time", "symbol"], ignore_index=True)


def final(data: Matrix, line: Line, family: str, params: Mapping[str, Any],
          seed: int) -> tuple[Fitted, np.ndarray[Any, np.dtype[np.int64]]]:
    """The model for production, fitted on the last ``train_days`` (all rows when expanding); with its row positions."""
    times = data.frame["event_time"]
    rows = np.arange(len(times))
    if line.walk_forward.scheme == "rolling":
        start = times.max() + line.bar - timedelta(days=line.walk_forward.train_days)
        rows = np.flatnonzero((times >= start).to_numpy())
    return _fit(data, rows, family, params, seed), rows


def predicted(data: Matrix, train: Any, test: Any, family: str, params: Mapping[str, Any], seed: int) -> FloatArray:
    """P(y = 1) of the rows ``test`` by a model fitted on the rows ``train``."""
    return _fit(data, train, family, params, seed).predict(data.features[test])


def _fit(data: Matrix, rows: Any, family: str, params: Mapping[str, Any], seed: int) -> Fitted:
    return families.get(family).fit(data.features[rows], data.labels[rows], data.names, params, seed)


def _lexicon(data: Matrix, fold: Fold) -> FloatArray:
    """Platt scaling of the compound: a logistic regression on this one number (Platt 1999), hardly regularised."""
    from sklearn.linear_model import LogisticRegression

    said = data.frame[COMPOUND].to_numpy(dtype=np.float64)[:, None]
    model = LogisticRegression(C=100.0).fit(said[fold.train], data.labels[fold.train])
    # Not predict_proba: one text has to score exactly as it does in a batch.
    chances: FloatArray = expit(model.coef_[0, 0] * said[fold.test, 0] + model.intercept_[0])
    return chances


def _persistence(data: Matrix, fold: Fold, base_rate: float) -> FloatArray:
    if PREVIOUS_LABEL not in data.frame.columns:
        return np.full(len(fold.test), base_rate)
    previous = data.frame[PREVIOUS_LABEL].to_numpy(dtype=np.float64)
    chances = np.full(len(fold.test), base_rate)
    for label in (0.0, 1.0):
        followed = data.labels[fold.train][previous[fold.train] == label]
        chances[previous[fold.test] == label] = (followed.sum() + 1.0) / (len(followed) + 2.0)
    return chances
