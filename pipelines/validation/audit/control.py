"""(d) The shuffled control: with labels that mean nothing, nothing may be learned.

All labels of the frame are permuted, a fold is fitted, and its test rows are scored against their permuted labels.
Whatever is better (or worse) than chance then comes from a way around the fold: an encoding, a choice of features or a
calibration that saw the test rows. Given the fit, the permuted test labels are exchangeable, so the null variance of
the AUC is known exactly, whatever hangs together in time in the features.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.validation.audit.auc import null_variance, placements
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import Subject
from pipelines.validation.splits import Fold

NAME = "control"


def check(subject: Subject) -> CheckResult:
    """Each fitter on the last folds with permuted labels: the mean AUC has to lie in its null interval."""
    frame = subject.frame
    if frame is None or not subject.labelled or not subject.fitters or not subject.folds:
        return skipped(NAME, "no fold or nothing that is fitted")
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked, folds = Looked(), subject.folds[-subject.limits.folds:]
    critical = float(stats.norm.isf(subject.limits.alpha / (2 * len(subject.fitters))))
    for name, fitter in subject.fitters.items():
        rng = subject.rng(NAME, name)
        gaps, variances = [], []
        for fold in folds:
            for _ in range(subject.limits.shuffles):
                shuffled = frame.assign(y=rng.permutation(frame["y"].to_numpy()))
                probe = shuffled.iloc[fold.test].reset_index(drop=True)
                said = np.asarray(fitter(shuffled, fold, probe), dtype=np.float64).reshape(len(probe), -1)[:, 0]
                labels = probe["y"].to_numpy(dtype=np.float64)
                variance = null_variance(said, labels)
                if variance > 0:
                    gaps.append(placements(said, labels)[0] - 0.5)
                    variances.append(variance)
                looked += Looked(1, 0, len(probe))
        spread = float(np.sqrt(np.sum(variances)))
        if spread > 0 and abs(np.sum(gaps)) > critical * spread:
            half = critical * spread / len(gaps)
            found[name] = _start(folds), (
                f"{name} reaches an AUC of {0.5 + np.mean(gaps):.3f} on labels that were shuffled (chance: 0.5 +- "
                f"{half:.3f}): something in its fit saw the rows it is tested on; fit everything inside the fold")
    return conclude(NAME, found, looked)


def _start(folds: tuple[Fold, ...]) -> pd.Timestamp:
    return min(fold.test_start for fold in folds)
