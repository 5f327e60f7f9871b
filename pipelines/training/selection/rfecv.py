"""Recursive elimination, how far being told by purged folds in time inside the training rows.

In each inner fold the columns are eliminated anew, the least useful first, on its own training part, and every size is
scored on its test part; the size with the lowest mean log loss is then reached once more on all training rows.
Neighbours in time share outcomes: the folds are whole stretches of time, purged, never shuffled.

References:
    I. Guyon, J. Weston, S. Barnhill and V. Vapnik, "Gene Selection for Cancer Classification using Support Vector
    Machines", *Machine Learning* 46, 2002: the elimination. C. Ambroise and G. McLachlan, "Selection bias in gene
    extraction", *PNAS* 99(10), 2002: why each fold has to eliminate for itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.errors import InsufficientData, TrainingError
from pipelines.training.selection.base import BoolArray, IntArray, Rows, ranker
from pipelines.validation import metrics
from pipelines.validation.splits import PurgedKFold

FOLDS = 4
#: Share of the columns that stay from one step to the next.
STAY = 0.7


def select(rows: Rows, seed: int) -> BoolArray:
    """The columns that are left at the best size.

    Raises:
        TrainingError: no inner fold has rows of both classes to learn from.
    """
    columns = rows.features.shape[1]
    losses: list[list[float]] = []
    try:
        for fold in PurgedKFold(FOLDS).split(rows.event_time, rows.label_end):
            labels = rows.labels[fold.train]
            if len(np.unique(labels)) == 2 and len(fold.test):
                losses.append([loss for _, loss in _path(rows.part(fold.train), rows.part(fold.test), seed)])
    except InsufficientData as error:
        raise TrainingError(f"recursive elimination cannot cut the rows into {FOLDS} folds: {error}") from error
    if not losses:
        raise TrainingError(f"none of the {FOLDS} inner folds of the recursive elimination has training rows of both "
                            "classes; lengthen walk_forward.train_days or choose another selection")
    best = int(np.argmin(np.mean(losses, axis=0)))
    left = next(kept for step, (kept, _) in enumerate(_path(rows, None, seed)) if step == best)
    chosen: BoolArray = np.isin(np.arange(columns), left)
    return chosen


def _path(train: Rows, test: Rows | None, seed: int) -> Iterator[tuple[IntArray, float]]:
    """(columns left, log loss on ``test``) from all columns down to one; the sizes depend on their number only."""
    left = np.arange(train.features.shape[1])
    while True:
        model = ranker(train.features[:, left], train.labels, seed)
        loss = 0.0 if test is None else float(_losses(test, model.predict(test.features[:, left])).mean())
        yield left, loss
        if len(left) == 1:
            return
        stay = max(1, min(len(left) - 1, int(len(left) * STAY)))
        order = np.argsort(-model.importance(), kind="stable")
        left = np.sort(left[order[:stay]])


def _losses(test: Rows, chances: FloatArray) -> FloatArray:
    found: FloatArray = metrics.losses(test.labels, chances)
    return found
