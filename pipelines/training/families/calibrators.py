"""Maps from a model's probabilities to calibrated ones, learned from later rows than the model was.

References:
    J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
    1999: a logistic regression on the score, with his smoothed targets (section 2.2).
    B. Zadrozny & C. Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD 2002:
    isotonic regression.
    M. Kull, T. Silva Filho & P. Flach, "Beta calibration", AISTATS 2017, equation 2 and algorithm 1.

None of them turns an order round: a slope that would be negative is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, xlog1py, xlogy

from pipelines.contracts.ports import FloatArray

METHODS = ("platt", "isotonic", "beta")
#: Probabilities are kept this far from 0 and 1, where their log-odds end.
_EDGE = 1e-9
_STEPS = 50


@dataclass(frozen=True)
class Calibrator:
    """``numbers`` are (slope, offset) on the log-odds of Platt's, (a, b, c) of the beta map; ``at`` and ``value`` the
    corners of the isotonic one. What a method does not use is empty."""

    method: str
    numbers: FloatArray
    at: FloatArray
    value: FloatArray

    def log_odds(self, chances: FloatArray) -> FloatArray:
        """Calibrated log-odds of probabilities (rows,). Element by element: a row alone is a row in a batch."""
        p = np.clip(chances, _EDGE, 1 - _EDGE)
        if self.method == "isotonic":
            found: FloatArray = logit(np.interp(p, self.at, self.value))
        else:
            found = sum((weight * column for weight, column in zip(self.numbers, _columns(self.method, p),
                                                                  strict=True)), np.zeros(len(p)))
        return found


def learn(method: str, chances: FloatArray, labels: FloatArray) -> Calibrator:
    """The map that makes ``chances`` (rows,) agree with ``labels`` (rows,) in {0, 1}; both classes are needed."""
    p, none = np.clip(chances, _EDGE, 1 - _EDGE), np.empty(0)
    positive, negative = float(labels.sum()), float(len(labels) - labels.sum())
    low, high = 1 / (negative + 2), (positive + 1) / (positive + 2)
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip").fit(p, labels)
        return Calibrator(method, none, fitted.X_thresholds_.astype(np.float64),
                          fitted.y_thresholds_.astype(np.float64))
    targets = np.where(labels == 1, high, low) if method == "platt" else labels
    columns = _columns(method, p)
    kept = np.ones(len(columns), dtype=bool)
    numbers = np.zeros(len(columns))
    while True:  # at most one round per slope
        numbers[:] = 0.0
        numbers[kept] = _logistic(np.column_stack([column for column, keep in zip(columns, kept, strict=True) if keep]),
                                  targets)
        negative_slopes = numbers[:-1] < 0
        if not negative_slopes.any():
            return Calibrator(method, numbers, none, none)
        kept[:-1] &= ~negative_slopes


def _columns(method: str, p: FloatArray) -> list[FloatArray]:
    if method == "platt":
        return [logit(p), np.ones(len(p))]
    return [xlogy(1.0, p), -xlog1py(1.0, -p), np.ones(len(p))]


def _logistic(x: FloatArray, targets: FloatArray) -> FloatArray:
    """Maximum likelihood of a logistic regression with soft targets, by Newton's method; a trace of a ridge keeps it
    defined where the columns say the same, or tell the classes apart without an error."""
    ridge = 1e-6 * len(x) * np.eye(x.shape[1])
    ridge[-1, -1] = 0.0
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        said = expit(x @ weights)
        gradient = x.T @ (targets - said) - ridge @ weights
        hessian = (x * (said * (1 - said))[:, None]).T @ x + ridge + 1e-12 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    return weights
