"""Early stopping inside a fold: its latest training rows decide how many rounds a booster gets.

A fold's training rows are cut in time. The last ``SLICE`` of their span is watched, and what is learned from ends, by
label, an embargo before it; no row of the test fold is seen by either. ``rounds`` of a configuration is the most that
there may be, and the rounds that each fold took are kept with the trial.

A search does not fit anew on all rows what it has stopped: it would cost the fit a second time, and all boosters of a
search are a slice short. What is fitted when the search is over (the evidence folds and the model for production) has
nothing to watch: it takes a fixed number of rounds, :func:`settled`, so that it can be rebuilt from its recorded
parameters, bit for bit.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.validation.splits.line_plan import MIN_TRAIN_ROWS

IntArray = np.ndarray[Any, np.dtype[np.int64]]

#: Share of the span of a fold's training rows that is watched, its latest.
SLICE = 0.15
#: Rounds without a lower loss of the watched rows after which no more are made.
PATIENCE = 10
ROUNDS = "rounds"
#: Parameters of the MLflow run: the most rounds that the winner could take, and what its folds took.
MOST, TOOK = "early_stopping.most", "early_stopping.folds"


def split(rows: IntArray, event_time: pd.Series, label_end: pd.Series,
          embargo: timedelta) -> tuple[IntArray, IntArray] | None:
    """Training rows as (learned from, watched).

    Args:
        rows: positions; event_time, label_end: (rows,) of these rows, UTC.
        embargo: time kept free between the last label that is learned from and the first row that is watched.

    Returns:
        None where one part has fewer than ``MIN_TRAIN_ROWS`` rows.
    """
    start = event_time.max() - (event_time.max() - event_time.min()) * SLICE
    learned = rows[(label_end < start - embargo).to_numpy()]
    watched = rows[(event_time >= start).to_numpy()]
    return (learned, watched) if min(len(learned), len(watched)) >= MIN_TRAIN_ROWS else None


def settled(params: Mapping[str, Any], rounds: Sequence[int]) -> dict[str, Any]:
    """The configuration to fit without watching: the median of the folds' rounds, by as much more as there are more
    rows to learn from (1 / (1 - ``SLICE``): more rows bear more rounds), and no more than ``rounds`` allowed.

    Args:
        params: of a trial; rounds: what each of its folds took; empty where nothing was stopped: ``params`` stay.
    """
    if not rounds:
        return dict(params)
    return {**params, ROUNDS: min(int(params[ROUNDS]), round(statistics.median(rounds) / (1 - SLICE)))}


def logged(params: Mapping[str, Any], rounds: Sequence[int]) -> dict[str, Any]:
    """What the MLflow run keeps beside the settled configuration; arguments as of :func:`settled`."""
    return {MOST: params[ROUNDS], TOOK: ", ".join(map(str, rounds))} if rounds else {}
