"""Importance beside shuffled controls: a column has to be of more use than the luckiest of columns that know nothing.

Each column gets a control: itself, rotated in time by a random distance, so that it keeps its distribution and its
memory and loses its connection with the labels (a plain shuffle would lose the memory too, and controls without memory
are beaten too easily where labels hang together). A column is kept if its gain exceeds the best control's in more of
the ``TURNS`` rounds than a coin would give, at 5 % over all columns together.

References:
    M. Kursa and W. Rudnicki, "Feature Selection with the Boruta Package", *Journal of Statistical Software* 36(11),
    2010: shadow attributes, the best of them as the bar, the binomial test.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from pipelines.training.selection.base import BoolArray, Rows, at_least_one, ranker

TURNS = 20
ALPHA = 0.05
#: Shortest rotation, as a share of the rows.
LEAST = 0.1


def select(rows: Rows, seed: int) -> BoolArray:
    """The columns whose importance is not explained by chance."""
    rng = np.random.default_rng([seed, 1])
    count, columns = rows.features.shape
    hits, gains = np.zeros(columns), np.zeros(columns)
    for _ in range(TURNS):
        distances = rng.integers(int(LEAST * count), max(int(LEAST * count) + 1, int((1 - LEAST) * count)), columns)
        controls = np.column_stack([np.roll(column, distance) for column, distance in zip(
            rows.features.T, distances, strict=True)])
        gain = ranker(np.hstack([rows.features, controls]), rows.labels, int(rng.integers(2**31))).importance()
        hits += gain[:columns] > gain[columns:].max()
        gains += gain[:columns]
    needed = stats.binom.isf(ALPHA / columns, TURNS, 0.5) + 1
    return at_least_one(hits >= min(TURNS, needed), gains)
