"""What the model looks at: importance over all rows and from fold to fold, SHAP values over a sample, and what moved
single predictions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.training.families.base import Family, Fitted

#: SHAP on more rows moves no bar of the summary by a visible amount and costs seconds.
SAMPLE = 500


@dataclass(frozen=True)
class Explanation:
    """``importance`` by feature, largest first, with its unit; ``shap`` (sample, features) with its unit, on the rows
    ``sample`` (sample, features); columns in the order of ``names``."""

    names: tuple[str, ...]
    importance: pd.Series
    importance_unit: str
    shap: FloatArray
    shap_unit: str
    sample: FloatArray


@dataclass(frozen=True)
class Force:
    """What moved one prediction of ``probability``: ``contributions`` of the features with their ``values``, shape
    (features,), in the unit of the explanation. ``why`` says why this row was chosen; ``outcome`` is what happened."""

    why: str
    symbol: str
    at: pd.Timestamp
    probability: float
    outcome: float
    names: tuple[str, ...]
    values: FloatArray
    contributions: FloatArray


def explain(model: Fitted, family: Family, features: FloatArray, rows: int = SAMPLE) -> Explanation:
    """Explain ``model`` on evenly spaced rows of ``features`` (rows, columns)."""
    chosen = np.unique(np.linspace(0, len(features) - 1, min(rows, len(features))).astype(int))
    sample = features[chosen]
    importance = pd.Series(model.importance(), index=list(model.feature_names)).sort_values(ascending=False)
    return Explanation(model.feature_names, importance, family.importance_unit, model.contributions(sample),
                       family.contribution_unit, sample)


def forces(model: Fitted, frame: pd.DataFrame, features: FloatArray) -> tuple[Force, ...]:
    """The latest row, and of the last of ``frame`` the surest that was right and the surest that was wrong.

    Args:
        frame: ``symbol``, ``event_time`` and ``y`` of rows that the model has not learned from.
        features: of these rows, (rows, columns).
    """
    if not len(frame):
        return ()
    chances = model.predict(features)
    y = frame["y"].to_numpy(dtype=np.float64)
    sure = np.abs(chances - 0.5)
    right = (chances > 0.5) == (y == 1)
    chosen = {"the latest": int(np.argmax(frame["event_time"].to_numpy()))}
    for why, mask in (("surest and right", right), ("surest and wrong", ~right)):
        if mask.any():
            chosen[why] = int(np.flatnonzero(mask)[np.argmax(sure[mask])])
    told = model.contributions(features[list(chosen.values())])
    return tuple(
        Force(why, str(frame["symbol"].iloc[row]), frame["event_time"].iloc[row], float(chances[row]), float(y[row]),
              model.feature_names, features[row], told[place])
        for place, (why, row) in enumerate(chosen.items()))


def by_fold(models: Sequence[Fitted]) -> pd.DataFrame:
    """Each feature's share of the importance in every fold's model, shape (features, folds); a model that uses nothing
    has shares of 0.

    Args:
        models: search folds first, then evidence folds: as the steps of the measures ``fold.*``.
    """
    shares = {}
    for fold, model in enumerate(models):
        weight = model.importance()
        total = float(weight.sum())
        shares[fold] = pd.Series(weight / total if total > 0 else np.zeros(len(weight)), index=model.feature_names)
    return pd.DataFrame(shares).rename_axis(index="feature", columns="fold")


def agreement(shares: pd.DataFrame) -> float:
    """Mean Spearman correlation of the folds' importances, -1 to 1: 1 when each fold ranks the features alike; NaN for
    fewer than two folds, or where all features weigh the same."""
    columns = [shares[name].to_numpy() for name in shares]
    found = [float(stats.spearmanr(one, other).statistic) for one, other in itertools.combinations(columns, 2)
             if np.ptp(one) > 0 and np.ptp(other) > 0]
    return float(np.mean(found)) if found else float("nan")


def top(names: Sequence[str], contributions: FloatArray, count: int) -> list[int]:
    """Columns with the largest mean absolute contribution, largest first."""
    weight = np.abs(np.atleast_2d(contributions)).mean(axis=0)
    return [int(column) for column in np.argsort(-weight, kind="stable")[:min(count, len(names))]]
