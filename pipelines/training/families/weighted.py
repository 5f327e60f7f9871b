"""Weights that would have given the lowest log loss on forecasts ahead, not negative and adding up to one.

S. M. Hora & E. Kardeş, "Calibration, sharpness and the weighting of experts in a linear opinion pool", *Annals of
Operations Research* 229, 2015. Few members and a penalty towards equal weights: with noisy outcomes the plain mean is
hard to beat (Smith & Wallis, "A Simple Explanation of the Forecast Combination Puzzle", 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from pipelines.contracts.ports import FloatArray
from pipelines.training.families import base
from pipelines.training.families.ensemble import Ensemble, Pool, Rows


class Weighted(Ensemble):
    """``shrink``: penalty on the squared distance from equal weights, in nats a row."""

    name = "weighted"
    contribution_unit = "probability"
    defaults: Mapping[str, Any] = {"members": "linear+forest+boosting", "shrink": 0.01}

    def space(self, trial: Any) -> dict[str, Any]:
        return {**super().space(trial), "shrink": trial.suggest_float("shrink", 1e-4, 1.0, log=True)}

    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        odds, labels = rows.ahead()
        return rows.fit(), Pool(best_weights(expit(odds), labels, float(params["shrink"])), of_chances=True)


def best_weights(chances: FloatArray, labels: FloatArray, shrink: float) -> FloatArray:
    """Weights on the simplex with the lowest mean log loss plus penalty; a convex problem with one solution.

    Args:
        chances: (rows, members); labels: (rows,) in {0, 1}.
    """
    count = chances.shape[1]
    equal = np.full(count, 1.0 / count)
    of_outcome = np.where(labels[:, None] == 1, chances, 1.0 - chances)

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        said = np.maximum(of_outcome @ weights, 1e-12)
        away = weights - equal
        return (float(-np.log(said).mean() + shrink * (away @ away)),
                -(of_outcome / said[:, None]).mean(axis=0) + 2 * shrink * away)

    found = minimize(loss, equal, jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * count,
                     constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0,
                                  "jac": lambda weights: np.ones(count)}, options={"ftol": 1e-12, "maxiter": 200})
    positive = np.maximum(found.x, 0.0)
    weights: FloatArray = positive / positive.sum()
    return weights


FAMILY = Weighted()
