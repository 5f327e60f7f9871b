"""(d) A single feature that is too good to be true, or the outcome under another name."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.validation.audit.auc import blocks, critical, placements, standard_error
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import BAR, Subject

NAME = "separation"
#: Rank correlation beyond which a column is a copy of an outcome with rounding.
_COPY = 0.999
_FEWEST = 100


def check(subject: Subject) -> CheckResult:
    """Each feature alone against the label, the outcome, and whether being missing tells the label.

    A finding needs an AUC whose interval (two-sided, Bonferroni over columns, error from blocks of time) lies beyond
    ``limits.ceiling``: a feature may be significant, it may not be incredible.
    """
    frame = subject.frame
    if frame is None or not subject.labelled or len(frame) < _FEWEST:
        return skipped(NAME, f"fewer than {_FEWEST} labelled rows")
    labels = frame["y"].to_numpy(dtype=np.float64)
    block = blocks(frame["event_time"], subject.horizon * BAR)
    ceiling, tests = subject.limits.ceiling, 2 * len(subject.features)
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    for column in subject.features:
        values = frame[column].to_numpy(dtype=np.float64)
        there = ~np.isnan(values)
        first = frame.loc[there, "event_time"].min() if there.any() else None
        copy = _copy(frame, values, there)
        if copy:
            found[column] = first, f"{column} is {copy} in all but its name: leave it out"
            continue
        for what, score, rows in (("its values", values, there), ("being missing", (~there).astype(np.float64), ...)):
            told = _incredible(np.asarray(score[rows]), labels[rows], block[rows], ceiling, subject.limits.alpha, tests)
            if told is not None:
                area, error = told
                found[column] = first, (
                    f"{column}: {what} alone separates the label with an AUC of {area:.3f} (standard error "
                    f"{error:.3f} from blocks of time), beyond the {ceiling:.2f} that an honest feature can have; "
                    "look for the outcome in it")
                break
    return conclude(NAME, found, Looked(0, len(subject.features), len(frame)))


def _incredible(values: FloatArray, labels: FloatArray, block: np.ndarray, ceiling: float,  # type: ignore[type-arg]
                alpha: float, tests: int) -> tuple[float, float] | None:
    if len(values) < _FEWEST or values.min() == values.max():
        return None
    area, influence = placements(values, labels)
    error, freedom = standard_error(influence, block)
    reach = 0.0 if area in (0.0, 1.0) else critical(alpha, freedom, tests) * error
    return (area, error) if abs(area - 0.5) - reach > ceiling - 0.5 else None


def _copy(frame: pd.DataFrame, values: FloatArray, there: np.ndarray) -> str | None:  # type: ignore[type-arg]
    """The outcome column that ``values`` repeat, up to a monotone function."""
    for name in ("y", "forward_return"):
        if name not in frame.columns:
            continue
        outcome = frame[name].to_numpy(dtype=np.float64)
        both = there & ~np.isnan(outcome)
        if both.sum() < _FEWEST or values[both].min() == values[both].max() or np.ptp(outcome[both]) == 0:
            continue
        ranks = [np.unique(side[both], return_inverse=True)[1].astype(np.float64) for side in (values, outcome)]
        if abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) > _COPY:
            return name
    return None
