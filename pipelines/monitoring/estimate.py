"""How good the champion should be, before outcomes are known: what its own probabilities expect. Pure.

If P(y = 1) = p is true, then so is what follows from it: a row is hit with probability max(p, 1 - p), loses the entropy
of p on average, and a pair of rows is in the right order with a probability that both p give (CBPE: NannyML,
"Confidence-based Performance Estimation", docs of `nannyml`, "How it works"). Nothing but the inputs' effect on p is in
such an estimate: when what follows from the inputs changes, p is no longer true and the estimate stays as it was. So it
is shown next to what came out, with how far off it was, and never raises an alarm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipelines.validation import metrics

Array = np.ndarray[Any, np.dtype[np.float64]]
#: What is estimated, and reported when it is known.
NAMES = ("log_loss", "accuracy", "auc")


def expected(p: Array) -> dict[str, float]:
    """Log loss (nats), accuracy at 0.5 and AUC to expect of rows with P(y = 1) of ``p`` (rows,); NaN without rows."""
    p = np.clip(np.asarray(p, dtype=np.float64), metrics.CLIP, 1 - metrics.CLIP)
    if not len(p):
        return dict.fromkeys(NAMES, math.nan)
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return {"log_loss": float(entropy.mean()), "accuracy": float(np.maximum(p, 1 - p).mean()), "auc": _auc(p)}


def realised(y: Array, p: Array) -> dict[str, float]:
    """The same of rows whose outcome ``y`` is known; NaN where undefined."""
    if not len(y):
        return dict.fromkeys(NAMES, math.nan)
    found = metrics.classification(y, p)
    return {name: found[name] for name in NAMES}


def standard_error(p: Array) -> float:
    """Of the realised mean log loss if ``p`` is true and rows are independent of each other; rows that share an hour
    are not, so this is the least it can be. NaN without rows."""
    p = np.clip(np.asarray(p, dtype=np.float64), metrics.CLIP, 1 - metrics.CLIP)
    if not len(p):
        return math.nan
    return float(np.sqrt((p * (1 - p) * np.log(p / (1 - p)) ** 2).sum()) / len(p))


def _auc(p: Array) -> float:
    """Share of pairs in the right order when row i is positive with weight p and negative with 1 - p; pairs of equal p
    count half."""
    values, place = np.unique(p, return_inverse=True)
    positive, negative = np.bincount(place, p), np.bincount(place, 1 - p)
    below = np.cumsum(negative) - negative
    right = float(positive @ (below + negative / 2)) - float((p * (1 - p)).sum()) / 2  # a row makes no pair with itself
    pairs = float(p.sum() * (1 - p).sum() - (p * (1 - p)).sum())
    return right / pairs if len(values) > 1 and pairs > 0 else math.nan
