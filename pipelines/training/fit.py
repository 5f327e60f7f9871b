"""Fitting on folds: scores for the search, out-of-sample predictions for the gate, the final model for production."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import EVIDENCE_COLUMNS, LEXICON
from pipelines.features import NAIVE
from pipelines.training import families
from pipelines.training.families.base import Fitted, Stopping
from pipelines.training.fold_fit import Model, choice, cut, embargo_of, fit
from pipelines.training.matrix import IntArray, Matrix, key_of, matrix, span
from pipelines.training.trial import FoldScore
from pipelines.validation import metrics
from pipelines.validation.splits import Fold
from pipelines.validation.splits.line_plan import MIN_TRAIN_ROWS

__all__ = ["IntArray", "Matrix", "final", "matrix", "newest_part", "out_of_sample", "own_columns", "predicted",
           "score_folds", "selections", "tested_rows"]

PREVIOUS_LABEL, COMPOUND = NAIVE


def score_folds(data: Matrix, folds: Sequence[Fold], family: str, params: Mapping[str, Any],
                seed: int, *, look: float | None = None, stop: bool = False) -> Iterator[FoldScore]:
    """Fit and score fold by fold, for the search; a block is a day of the test window, counted from its start.

    Args:
        stop: let the latest training rows of each fold decide the rounds (``stopping``), where the family can.
        look: share of the training window in (0, 1): before the folds, the newest one is scored once by a model that
            has learned from the newest part of its window only.
    """
    if look is not None:
        newest = folds[-1]
        model = fit(data, newest_part(data, newest, look), family, params, seed, newest.train,
                     embargo_of(newest) if stop else None)
        loss = metrics.losses(data.labels[newest.test], model.predict(data.features[span(newest.test)]))
        yield FoldScore(float(loss.mean()), len(loss), (float(loss.mean()),), len(folds), history=look)
    for fold in folds:
        model = fit(data, fold.train, family, params, seed, stop=embargo_of(fold) if stop else None)
        chances = model.predict(data.features[span(fold.test)])
        loss = metrics.losses(data.labels[fold.test], chances)
        day, count = _days(data, fold)
        blocks = np.bincount(day, loss) / count
        yield FoldScore(float(loss.mean()), len(loss), tuple(blocks.tolist()), len(folds) - fold.number - 1, chances,
                        columns=None if model.columns is None else len(model.columns), rounds=model.rounds)


def newest_part(data: Matrix, fold: Fold, share: float) -> IntArray:
    """The rows of the newest ``share`` of a fold's training window; all of them where that part has not both classes,
    or fewer than ``MIN_TRAIN_ROWS`` rows."""
    times = data.frame["event_time"].iloc[fold.train]
    start = times.max() - (times.max() - times.min()) * share
    rows: IntArray = fold.train[(times >= start).to_numpy()]
    enough = len(rows) >= MIN_TRAIN_ROWS and len(np.unique(data.labels[rows])) == 2
    return rows if enough else fold.train


def tested_rows(data: Matrix, folds: Sequence[Fold]) -> pd.DataFrame:
    """``symbol`` and ``event_time`` of the test rows, fold after fold: the order of a trial's predictions."""
    rows = np.concatenate([fold.test for fold in folds])
    return data.frame.iloc[rows][["symbol", "event_time"]].reset_index(drop=True)


def out_of_sample(data: Matrix, folds: Sequence[Fold], family: str, params: Mapping[str, Any], seed: int, *,
                  keep: list[Fitted] | None = None, stop: bool = False) -> pd.DataFrame:
    """Walk forward over ``folds`` and keep each row's prediction beside those of the naive baselines.

    Columns ``EVIDENCE_COLUMNS``: ``base_rate`` is the training rows' mean label; ``persistence`` the training rows'
    frequency of 1 after a previous label like this row's (Laplace-smoothed), or the base rate where the previous
    label is not known; ``no_retraining`` the first fold's model, never fitted again. Of texts also ``lexicon``: what
    the lexicon says, as a probability fitted on the training rows. Ordered by (event_time, symbol).

    Args:
        keep: takes each fold's model, in the order of the folds.
        stop: as in :func:`score_folds`.
    """
    said: dict[str, list[Any]] = {name: [] for name in ("fold", "candidate", "base_rate", "persistence",
                                                        "no_retraining", LEXICON)}
    first: Model | None = None
    for fold in folds:
        model = fit(data, fold.train, family, params, seed, stop=embargo_of(fold) if stop else None)
        first = first or model
        if keep is not None:
            keep.append(model.fitted)
        asked = data.features[span(fold.test)]
        base_rate = float(data.labels[fold.train].mean())
        said["fold"].append(np.full(len(fold.test), fold.number))
        said["candidate"].append(model.predict(asked))
        said["base_rate"].append(np.full(len(fold.test), base_rate))
        said["persistence"].append(_persistence(data, fold, base_rate))
        said["no_retraining"].append(said["candidate"][-1] if model is first else first.predict(asked))
        if COMPOUND in data.frame:
            said[LEXICON].append(_lexicon(data, fold))
    # Put together once: a column more in each fold's frame would cost as much as rounds of boosting.
    rows = data.frame[["symbol", "event_time", "available_at", "label_end", "y", "forward_return"]].iloc[
        np.concatenate([fold.test for fold in folds])].reset_index(drop=True).astype({"y": "float64"})
    values = pd.DataFrame({name: np.concatenate(parts) for name, parts in said.items() if parts})
    columns = [*EVIDENCE_COLUMNS, *((LEXICON,) if COMPOUND in data.frame else ())]
    found = pd.concat([rows, values], axis=1)[columns]
    return found.sort_values(["event_time", "symbol"], ignore_index=True)


def final(data: Matrix, line: Line, family: str, params: Mapping[str, Any],
          seed: int) -> tuple[Fitted, IntArray]:
    """The model for production, fitted on the last ``train_days`` (all rows when expanding); with its row positions."""
    times = data.frame["event_time"]
    rows = np.arange(len(times))
    if line.walk_forward.scheme == "rolling":
        start = times.max() + line.bar - timedelta(days=line.walk_forward.train_days)
        rows = np.flatnonzero((times >= start).to_numpy())
    return fit(data, rows, family, params, seed).fitted, rows


def predicted(data: Matrix, train: Any, test: Any, family: str, params: Mapping[str, Any], seed: int) -> FloatArray:
    """P(y = 1) of the rows ``test`` by a model fitted on the rows ``train``."""
    return fit(data, train, family, params, seed).predict(data.features[test])


def own_columns(data: Matrix, model: Fitted) -> IntArray:
    """Positions of the columns that a model looks at: all, unless some were chosen."""
    place = {name: at for at, name in enumerate(data.names)}
    return np.array([place[name] for name in model.feature_names], dtype=np.int64)


def selections(data: Matrix, folds: Sequence[Fold], params: Mapping[str, Any], seed: int,
               stopped: str | None = None) -> pd.DataFrame | None:
    """Which columns a configuration chooses in each fold: index ``feature``, one boolean column per fold number and
    ``share``, how many of the folds chose it; the steadiest first. None if it takes all.

    Args:
        stopped: the family, where its rounds were stopped by rows that the choice has not seen.
    """
    early = stopped is not None and isinstance(families.get(stopped), Stopping)
    chosen = [choice(data, cut(data, fold.train, embargo_of(fold))[0] if early else fold.train, params, seed)
              for fold in folds]
    every = np.arange(len(data.names))
    found = {fold.number: np.isin(every, columns) for fold, columns in zip(folds, chosen, strict=True)
             if columns is not None}
    if not found:
        return None
    table = pd.DataFrame(found, index=pd.Index(data.names, name="feature"))
    return table.assign(share=table.mean(axis=1)).sort_values("share", ascending=False, kind="stable")


def _days(data: Matrix, fold: Fold) -> tuple[IntArray, IntArray]:
    """The day of each test row, counted from 0 over the days that have rows, and the number of rows of each day."""
    def make() -> tuple[IntArray, IntArray]:
        days = ((data.frame["event_time"].iloc[fold.test] - fold.test_start) // timedelta(days=1)).to_numpy()
        _, day, count = np.unique(days, return_inverse=True, return_counts=True)
        return day, count

    found: tuple[IntArray, IntArray] = data.kept.get(("days", fold.test_start, *key_of(fold.test)), make,
                                                     8 * len(fold.test))
    return found


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
