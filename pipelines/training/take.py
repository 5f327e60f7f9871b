"""TAKE or SKIP for a line that learns from trades: the threshold of each fold, chosen inside it.

A fold's training rows are walked forward once more: models fitted on the earlier ones predict the later ones, purged by
``label_end``. The threshold that would have earned most a trade on these predictions decides the test rows, by the
model that was fitted on all training rows. No test row has a say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.errors import InsufficientData, TrainingError
from pipelines.training import fit
from pipelines.validation.backtest.decisions import TakeRule, choose, take_or_skip
from pipelines.validation.splits import Fold, WalkForward

#: Columns that the evidence of such a line has beside ``EVIDENCE_COLUMNS``.
COLUMNS = ("threshold", "take")
#: The last parts of the training time that are predicted, and their share of it.
INNER_FOLDS = 3
INNER_SHARE = 0.6
#: Fewest rows an inner model may be fitted on.
FEWEST = 30


def applies(line: Line) -> bool:
    """Whether the rows of the line are trades to take or skip."""
    return line.target.rows == "trades"


def rule(line: Line, data: fit.Matrix, rows: Any, family: str, params: Mapping[str, Any], seed: int) -> TakeRule:
    """The threshold for a model that is fitted on these rows.

    Args:
        rows: positions of the training rows, ascending.

    Raises:
        TrainingError: too few of them can be predicted by a model that has not seen them.
    """
    rows = np.asarray(rows, dtype=np.int64)
    seen = data.frame.iloc[rows]
    times = seen["event_time"]
    span = times.max() - times.min() + timedelta(microseconds=1)
    inner = WalkForward(span, span * INNER_SHARE / INNER_FOLDS, INNER_FOLDS, "expanding",
                        line.bar * line.walk_forward.embargo_bars)
    tested: list[FloatArray] = []
    told: list[FloatArray] = []
    for fold in inner.split(times, seen["label_end"]):
        train, test = rows[fold.train], rows[fold.test]
        if len(train) >= FEWEST and len(np.unique(data.labels[train])) == 2:
            told.append(fit.predicted(data, train, test, family, params, seed))
            tested.append(data.frame["forward_return"].to_numpy(dtype=np.float64)[test])
    try:
        return choose(np.concatenate([*told, np.empty(0)]), np.concatenate([*tested, np.empty(0)]))
    except InsufficientData as error:
        raise TrainingError(f"{line.name}: no threshold can be chosen on {len(rows)} training trades up to "
                            f"{times.max()}: {error}") from error


def taken(line: Line, data: fit.Matrix, folds: Sequence[Fold], evidence: pd.DataFrame, family: str,
          params: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """``evidence`` with ``COLUMNS``: each fold's threshold, and whether the trade is taken (1.0) or skipped (0.0).

    Raises:
        TrainingError: see :func:`rule`.
    """
    thresholds = {fold.number: rule(line, data, fold.train, family, params, seed).threshold for fold in folds}
    threshold = evidence["fold"].map(thresholds).astype(np.float64)
    return evidence.assign(threshold=threshold, take=(evidence["candidate"] >= threshold).astype(np.float64))


def table(evidence: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The back-test of the decisions of ``taken`` against what the trades really brought."""
    return take_or_skip(evidence, evidence["take"].to_numpy() > 0, seed=seed)
