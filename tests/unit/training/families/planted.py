"""Rows with a known edge, and rows with none."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

NAMES = tuple(f"f{number:02d}" for number in range(8))


def rows(strength: float, count: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features, labels, the true chances): the label's log-odds are ``strength`` times the second feature; a twentieth
    of the cells is missing."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, len(NAMES)))
    chances = expit(strength * features[:, 1])
    labels = (rng.random(count) < chances).astype(float)
    features[rng.random(features.shape) < 0.05] = np.nan
    return features, labels, chances


def auc_interval(labels: np.ndarray, chances: np.ndarray) -> tuple[float, float]:
    """The AUC's 99.9 % interval (Hanley & McNeil 1982, equation 2)."""
    auc = float(roc_auc_score(labels, chances))
    ones, zeros = labels.sum(), (1 - labels).sum()
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = (auc * (1 - auc) + (ones - 1) * (first - auc**2) + (zeros - 1) * (second - auc**2)) / (ones * zeros)
    return auc - 3.29 * variance**0.5, auc + 3.29 * variance**0.5
