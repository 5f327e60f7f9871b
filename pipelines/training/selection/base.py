"""What every way of choosing columns is given, and the quick model that ranks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.training.families import lightgbm
from pipelines.training.families.base import Fitted

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]
#: Of the model that ranks columns: strong enough to see an interaction, quick enough to be fitted a hundred times.
PARAMS = {"rounds": 40, "learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 50, "feature_fraction": 0.5,
          "bagging_fraction": 0.8, "lambda_l2": 5.0}


@dataclass(frozen=True)
class Rows:
    """Training rows in the order of time: ``features`` (rows, columns) float64 with NaN for missing, ``labels`` (rows,)
    in {0, 1} of both classes, ``event_time`` and ``label_end`` (rows,) UTC."""

    features: FloatArray
    labels: FloatArray
    event_time: pd.Series
    label_end: pd.Series

    def part(self, rows: Any) -> Rows:
        """Some of the rows."""
        return Rows(self.features[rows], self.labels[rows], self.event_time.iloc[rows], self.label_end.iloc[rows])


class Selector(Protocol):
    """Chooses columns."""

    def __call__(self, rows: Rows, seed: int) -> BoolArray:
        """Which columns to keep, shape (columns,), at least one; the same seed chooses the same.

        Raises:
            TrainingError: rows on which it cannot be said.
        """
        ...


def ranker(features: FloatArray, labels: FloatArray, seed: int) -> Fitted:
    """The quick model on these columns; its ``importance`` is the total gain of each."""
    names = tuple(f"c{column}" for column in range(features.shape[1]))
    return lightgbm.FAMILY.fit(features, labels, names, PARAMS, seed)


def at_least_one(chosen: BoolArray, score: FloatArray) -> BoolArray:
    """``chosen``, or the column of the highest score where nothing was: a model needs something to look at."""
    if chosen.any():
        return chosen
    best: BoolArray = np.arange(len(score)) == int(np.argmax(score))
    return best
