"""Classification metrics under fixed names; every room and the MLflow UI use these and no others.

==========  =======================================================================  ===========  ======
name        meaning                                                                  range        better
==========  =======================================================================  ===========  ======
log_loss    mean negative log likelihood in nats, probabilities clipped to 1e-6      [0, 13.8]    less
brier       mean squared error of the probability                                    [0, 1]       less
auc         area under the ROC curve, ties count half (Mann-Whitney)                 [0, 1]       more
accuracy    share of rows where ``p > 0.5`` equals the label                         [0, 1]       more
precision   share of predicted ones that are ones                                    [0, 1]       more
recall      share of ones that are predicted                                         [0, 1]       more
f1          harmonic mean of precision and recall                                    [0, 1]       more
ece         expected calibration error over ten equal-width bins, weighted by rows   [0, 1]       less
==========  =======================================================================  ===========  ======

A metric that the rows cannot define is NaN, and :func:`undefined` says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError

IntArray = np.ndarray[Any, np.dtype[np.int64]]

NAMES = ("log_loss", "brier", "auc", "accuracy", "precision", "recall", "f1", "ece")
CLIP = 1e-6
BINS = 10


def losses(y: Any, p: Any) -> FloatArray:
    """Log loss of each row in nats, shape (rows,); probabilities are clipped to [1e-6, 1 - 1e-6]."""
    labels, chances = checked(y, p)
    chances = np.clip(chances, CLIP, 1 - CLIP)
    return -(labels * np.log(chances) + (1 - labels) * np.log1p(-chances))


def classification(y: Any, p: Any) -> dict[str, float]:
    """All metrics of :data:`NAMES`.

    Args:
        y: (rows,) labels in {0, 1}.
        p: (rows,) P(y = 1).

    Raises:
        ContractError: no rows, unequal lengths, labels other than 0 and 1, probabilities outside [0, 1] or missing.
    """
    labels, chances = checked(y, p)
    said = chances > 0.5
    hits = float(np.sum(said & (labels == 1)))
    positives, predicted = float(labels.sum()), float(said.sum())
    precision = hits / predicted if predicted else float("nan")
    recall = hits / positives if positives else float("nan")
    total = positives + predicted
    return {
        "log_loss": float(losses(labels, chances).mean()),
        "brier": float(np.mean((chances - labels) ** 2)),
        "auc": _auc(labels, chances),
        "accuracy": float(np.mean(said == (labels == 1))),
        "precision": precision,
        "recall": recall,
        "f1": 2 * hits / total if total else float("nan"),
        "ece": _ece(labels, chances),
    }


def undefined(y: Any, p: Any) -> dict[str, str]:
    """Metric name → reason, for every metric that is NaN on these rows."""
    labels, chances = checked(y, p)
    reasons: dict[str, str] = {}
    ones = int(labels.sum())
    if ones in (0, len(labels)):
        reasons["auc"] = f"all {len(labels)} labels are {1 if ones else 0}; ranking needs both classes"
    if not ones:
        reasons["recall"] = f"none of the {len(labels)} labels is 1"
    if not (chances > 0.5).any():
        reasons["precision"] = f"no probability of {len(chances)} is above 0.5"
        if not ones:
            reasons["f1"] = "neither a label nor a prediction is 1"
    return reasons


def _auc(labels: FloatArray, chances: FloatArray) -> float:
    """Mann-Whitney U over the number of pairs, with mid-ranks for ties."""
    ones = float(labels.sum())
    zeros = len(labels) - ones
    if not ones or not zeros:
        return float("nan")
    _, inverse, counts = np.unique(chances, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _ece(labels: FloatArray, chances: FloatArray) -> float:
    bins = equal_width(chances, BINS)
    rows = np.bincount(bins, minlength=BINS)
    gap = np.abs(np.bincount(bins, labels, BINS) - np.bincount(bins, chances, BINS))
    return float(gap[rows > 0].sum() / len(labels))


def equal_width(chances: FloatArray, bins: int) -> IntArray:
    """The bin of each probability, shape (rows,): ``[k/bins, (k+1)/bins)``, and 1 belongs to the last."""
    return np.minimum((chances * bins).astype(np.int64), bins - 1)


def checked(y: Any, p: Any) -> tuple[FloatArray, FloatArray]:
    """Labels and probabilities as float64; the refusals of :func:`classification`."""
    labels, chances = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != chances.shape:
        raise ContractError(f"labels of shape {labels.shape} and probabilities of shape {chances.shape} do not match; "
                            "pass two columns of the same rows")
    if not len(labels):
        raise ContractError("no rows to score; pass at least one")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ContractError("labels other than 0 and 1 (or missing); drop rows without a label first")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ContractError("probabilities outside [0, 1] or missing; pass P(y = 1)")
    return labels, chances
