"""How strange the last day is to what the last month has taught: sparse coding in a learned dictionary.

At each Monday 00:00 UTC, shapes of a day's price path are learned from the four weeks before (K-SVD, see
``numerics/sparse.py``), and serve all rows of that week: a row's value depends on the calendar and its look-back, not
on where a computation began. What three learned shapes cannot explain of the last 24 hours is the anomaly score.

References:
    M. Aharon, M. Elad & A. Bruckstein, "K-SVD", IEEE Transactions on Signal Processing 54 (2006).
    J. Mairal, F. Bach, J. Ponce & G. Sapiro, "Online Dictionary Learning for Sparse Coding", ICML 2009: the learning
    that goes on with every example; here each week begins anew, or a row would depend on all of the past.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.sparse import cosines, learn, pursue
from pipelines.features.spectrum import by_column

#: A shape's length, how many shapes, how many of them make a day, rounds of learning, hours between example days: prime
#: to 24, so that examples begin at every hour of the day.
DAY, ATOMS, NONZEROS, ROUNDS, APART = 24, 12, 3, 5, 5
WEEK, LEARNED = 168, 672
#: 1970-01-01 was a Thursday: weeks begin three days before it.
_MONDAY = 72
#: Squares below this, in log price², are rounding.
_FLAT = 1e-24


@kernel
def _shape(values: FloatArray, row: int, into: FloatArray) -> float:
    """The path of the returns up to ``row``, without its mean and of norm 1; returns its norm (0: no movement)."""
    size = len(into)
    total, mean, norm = 0.0, 0.0, 0.0
    for i in range(size):
        total += values[row - size + 1 + i]
        into[i] = total
        mean += total
    mean /= size
    for i in range(size):
        into[i] -= mean
        norm += into[i] * into[i]
    if not norm > _FLAT:
        return 0.0
    norm = math.sqrt(norm)
    for i in range(size):
        into[i] /= norm
    return norm


@kernel
def strangeness(values: FloatArray, chosen: np.ndarray, first: int, start: FloatArray, week: int,  # type: ignore[type-arg]
                phase: int, learned: int, apart: int, nonzeros: int, rounds: int) -> FloatArray:
    """What a dictionary learned before the week began leaves of the path of the last hours.

    Args:
        values: (hours,), log returns; chosen: ascending rows, each at least ``week + learned``.
        first: hour since 1970 of row 0; weeks begin at hours h with (h + ``phase``) % ``week`` == 0.
        start: (atoms, length), where the learning begins.
        learned: hours before the week's beginning that it learns from; apart: hours between two examples.

    Returns:
        (rows, 2): share of the path's energy that is left; z-score of the logarithm of what is left among the examples.
        NaN for a path without movement, or too few examples.
    """
    length = start.shape[1]
    most = (learned - length) // apart + 1
    found = np.full((len(chosen), 2), np.nan)
    signals, norms = np.empty((most, length)), np.empty(most)
    code, rest, path = np.empty(len(start)), np.empty(length), np.empty(length)
    dictionary = start.copy()
    known, examples, mean, spread = -1, 0, 0.0, 0.0
    for number in range(len(chosen)):
        row = chosen[number]
        anchor = row - (first + row + phase) % week
        if anchor != known:
            known, examples = anchor, 0
            for example in range(most):
                norm = _shape(values, anchor - 1 - example * apart, signals[examples])
                if norm > 0.0:
                    norms[examples] = norm
                    examples += 1
            dictionary[:] = start
            learn(signals[:examples], dictionary, nonzeros, rounds)
            mean, spread = 0.0, 0.0
            for example in range(examples):
                pursue(signals[example], dictionary, nonzeros, code, rest)
                left = 0.0
                for i in range(length):
                    left += rest[i] * rest[i]
                norms[example] = math.log(norms[example] * math.sqrt(left) + 1e-12)
                mean += norms[example]
            mean /= max(examples, 1)
            for example in range(examples):
                spread += (norms[example] - mean) ** 2
            spread = math.sqrt(spread / max(examples, 1))
        norm = _shape(values, row, path)
        if norm == 0.0 or 2 * examples < most:
            continue
        pursue(path, dictionary, nonzeros, code, rest)
        left = 0.0
        for i in range(length):
            left += rest[i] * rest[i]
        found[number, 0] = left
        found[number, 1] = (math.log(norm * math.sqrt(left) + 1e-12) - mean) / max(spread, 0.1)
    return found


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    @cache
    def found() -> FloatArray:
        start = cosines(DAY, ATOMS)
        return by_column(bars, WEEK + LEARNED, 2, lambda values, rows: strangeness(
            values, rows, bars.first, start, WEEK, _MONDAY, LEARNED, APART, NONZEROS, ROUNDS))

    lazy: dict[str, Callable[[], FloatArray]] = {
        "dictionary_rest": lambda: found()[0], "dictionary_anomaly": lambda: found()[1]}
    return lazy


_KSVD = (f"{ATOMS} shapes of {DAY} h paths learned from {LEARNED} h before Monday 00:00 UTC, {NONZEROS} of them used "
         "(K-SVD, Aharon et al. 2006)")

GROUP = Group(
    "dictionary",
    (Feature("dictionary_rest", ("close",), WEEK + LEARNED, "share of energy",
             f"energy of the last {DAY} h path that is left by {_KSVD}; no movement: 0", 0.0),
     Feature("dictionary_anomaly", ("close",), WEEK + LEARNED, "standard deviations",
             f"z-score among the examples of ln(what is left of the last {DAY} h path) by {_KSVD}", 0.0)),
    from_bars=_compute)
