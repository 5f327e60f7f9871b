"""Stacking: a logistic regression on the members' log-odds, learned from forecasts ahead only.

D. H. Wolpert, "Stacked Generalization", *Neural Networks* 5(2), 1992; weights that are not negative after L. Breiman,
"Stacked Regressions", *Machine Learning* 24, 1996. The members are fitted again on all rows afterwards.
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


class Stacking(Ensemble):
    """``penalty``: on the squared distance of the weights from the plain mean of log-odds, in nats a row."""

    name = "stacking"
    defaults: Mapping[str, Any] = {"members": "linear+forest+boosting", "penalty": 0.01}

    def space(self, trial: Any) -> dict[str, Any]:
        return {**super().space(trial), "penalty": trial.suggest_float("penalty", 1e-4, 1.0, log=True)}

    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        odds, labels = rows.ahead()
        return rows.fit(), meta(odds, labels, float(params["penalty"]))


def meta(odds: FloatArray, labels: FloatArray, penalty: float) -> Pool:
    """The pool with the lowest mean log loss plus penalty, weights not negative; a convex problem with one solution.

    Args:
        odds: (rows, members) log-odds; labels: (rows,) in {0, 1}.
    """
    count = odds.shape[1]
    equal = np.full(count, 1.0 / count)
    sign = 2.0 * labels - 1.0

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        margin = sign * (values[0] + odds @ values[1:])
        away = values[1:] - equal
        pull = -sign * expit(-margin) / len(labels)
        return (float(np.logaddexp(0.0, -margin).mean() + penalty * (away @ away)),
                np.concatenate([[pull.sum()], odds.T @ pull + 2 * penalty * away]))

    found = minimize(loss, np.concatenate([[0.0], equal]), jac=True, method="L-BFGS-B",
                     bounds=[(None, None)] + [(0.0, None)] * count, options={"ftol": 1e-13, "gtol": 1e-9})
    return Pool(np.asarray(found.x[1:], dtype=np.float64), float(found.x[0]))


FAMILY = Stacking()
