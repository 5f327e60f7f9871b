"""A training snapshot as arrays, and its rows as what they are asked for by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError
from pipelines.features import feature_names
from pipelines.training.kept import Kept

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Matrix:
    """A training snapshot as arrays: ``features`` (rows, columns) float64 with NaN for missing, ``labels`` (rows,) in
    {0, 1}; ``frame`` is the snapshot itself, in the same row order. ``kept``: what fits on the same rows share; their
    results are the same without it."""

    features: FloatArray
    labels: FloatArray
    names: tuple[str, ...]
    frame: pd.DataFrame
    kept: Kept = field(default_factory=Kept, repr=False, compare=False)


def matrix(frame: pd.DataFrame) -> Matrix:
    """Split a snapshot into features and labels.

    Raises:
        TrainingError: no feature columns, missing columns, or labels other than 0 and 1.
    """
    missing = [column for column in (*FEATURE_META, *LABEL_COLUMNS) if column not in frame.columns]
    if missing:
        raise TrainingError(f"the snapshot lacks {', '.join(missing)}; build it with features.snapshot.training")
    names = feature_names(frame)
    if not names:
        raise TrainingError("the snapshot has no feature column; check [features] groups of the line")
    labels = frame["y"].to_numpy(dtype=np.float64)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise TrainingError("the snapshot holds labels other than 0 and 1; rebuild it")
    # Row by row in memory: the last bits of a sum depend on it, and rows that lie side by side need no copy.
    values = np.ascontiguousarray(frame.loc[:, list(names)].to_numpy(dtype=np.float64))
    return Matrix(values, labels, names, frame)


def span(rows: IntArray) -> Any:
    """The same rows as a slice where they lie side by side: a view needs no copy."""
    whole = len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all()
    return slice(int(rows[0]), int(rows[-1]) + 1) if whole else rows


def key_of(rows: IntArray) -> tuple[Any, ...]:
    """What tells these rows from others of the same matrix."""
    found = span(rows)
    return (found.start, found.stop) if isinstance(found, slice) else (hashlib.sha256(rows.tobytes()).digest(),)
