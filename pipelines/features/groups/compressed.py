"""How few parts the price path is made of, and how strange the last day is to what the last month has taught.

*L1*: half of the hours of a trailing window of log prices are shown to a lasso over cosines, at fixed places without a
pattern; what it makes of the other half says whether few cosines make the path (Donoho, "Compressed Sensing", IEEE
Transactions on Information Theory 52, 2006). The last hours are never shown: the price's distance from the recovered
path there, in units of that window's usual error, is an anomaly score.

*Dictionary*: at each Monday 00:00 UTC, shapes of a day's path are learned from the four weeks before (K-SVD, see
``features/sparse.py``), and serve all rows of that week: a row's value depends on the calendar and its look-back, not
on where a computation began. What three learned shapes cannot explain of the last 24 hours is the other anomaly score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
from numba import njit

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.sparse import lasso, learn, pursue
from pipelines.features.spectrum import present, returns

#: Log prices in the L1 window, how many of them are shown, and how many last ones never are.
HOURS, SHOWN, HIDDEN = 96, 48, 4
#: The lasso's penalty by the smallest one that allows no cosine at all; its rounds over all cosines, and over those in
#: use after each.
PENALTY, SWEEPS, AGAIN = 0.1, 4, 4
#: A shape's length, how many shapes, how many of them make a day, rounds of learning, hours between example days: prime
#: to 24, so that examples begin at every hour of the day.
DAY, ATOMS, NONZEROS, ROUNDS, APART = 24, 12, 3, 5, 5
WEEK, LEARNED = 168, 672
#: 1970-01-01 was a Thursday: weeks begin three days before it.
_MONDAY = 72
#: Squares below this, in log price², are rounding.
_FLAT = 1e-24


def cosines(length: int, atoms: int) -> FloatArray:
    """DCT-II vectors 1 to ``atoms`` of this length, (atoms, length), each of norm 1. The constant is left out."""
    angle = np.pi / length * (np.arange(length) + 0.5) * np.arange(1, atoms + 1)[:, None]
    return np.ascontiguousarray(math.sqrt(2.0 / length) * np.cos(angle))


def showing(hours: int, count: int, hidden: int) -> np.ndarray:  # type: ignore[type-arg]
    """Which hours of a window are shown, ascending: a fixed choice without a pattern (Knuth's multiplicative hash)."""
    order = sorted(range(hours - hidden), key=lambda hour: (hour + 1) ** 2 * 2654435761 % 2 ** 32)
    return np.array(sorted(order[:count]))


@cache
def _measurement() -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray]:  # type: ignore[type-arg]
    """Cosines (atoms, hours), what is shown of them without their means (shown, atoms), its Gram matrix (atoms, atoms),
    and which hours are shown."""
    atoms, places = cosines(HOURS, HOURS - 1), showing(HOURS, SHOWN, HIDDEN)
    seen = atoms[:, places]
    seen = seen - seen.mean(axis=1, keepdims=True)
    return atoms, np.ascontiguousarray(seen.T), np.ascontiguousarray(np.einsum("ki,li->kl", seen, seen)), places


@njit(cache=True)  # type: ignore[untyped-decorator]
def recovered(values: FloatArray, chosen: np.ndarray, atoms: FloatArray, shown: FloatArray,  # type: ignore[type-arg]
              gram: FloatArray, places: np.ndarray, penalty: float, rounds: int,  # type: ignore[type-arg]
              again: int) -> FloatArray:
    """The path that the last returns make, recovered from its shown hours.

    Args:
        values: (hours,), log returns; chosen: rows, each at least ``width`` - 1.
        atoms: (atoms, width). shown: (hours shown, atoms), the shown part of the atoms, each without its mean.
        gram: (atoms, atoms), of that part. places: which hours of the width are shown.
        penalty, rounds, again: of the lasso.

    Returns:
        (rows, 3): RMS error at the hours that were not shown by the path's standard deviation; share of the atoms in
        use; last log price less the recovered one, by that RMS error. NaN for a path without movement.
    """
    count, width = atoms.shape
    found = np.full((len(chosen), 3), np.nan)
    path, guess = np.empty(width), np.empty(width)
    correlation, code = np.empty(count), np.empty(count)
    seen = np.zeros(width, np.bool_)
    seen[places] = True
    for number in range(len(chosen)):
        path[width - 1] = 0.0
        mean = 0.0
        for back in range(1, width):
            path[width - 1 - back] = path[width - back] - values[chosen[number] - back + 1]
            mean += path[width - 1 - back]
        mean /= width
        level, spread, largest = 0.0, 0.0, 0.0
        for i in range(width):
            spread += (path[i] - mean) ** 2
        for place in places:
            level += path[place]
        level /= len(places)
        if not spread > _FLAT:
            continue
        # Shown without their means, so that the level, which no atom has, is fitted along.
        largest = 0.0
        correlation[:] = 0.0
        for number_shown in range(len(places)):
            gap = path[places[number_shown]] - level
            for k in range(count):
                correlation[k] += gap * shown[number_shown, k]
        for k in range(count):
            largest = max(largest, abs(correlation[k]))
        if not largest > 0.0:
            continue
        lasso(correlation, gram, penalty * largest, rounds, again, code)
        used = 0
        guess[:] = 0.0
        for k in range(count):
            if code[k] != 0.0:
                used += 1
                for i in range(width):
                    guess[i] += code[k] * atoms[k, i]
        offset = 0.0
        for place in places:
            offset += path[place] - guess[place]
        offset /= len(places)
        error = 0.0
        for i in range(width):
            if not seen[i]:
                error += (path[i] - guess[i] - offset) ** 2
        error = math.sqrt(error / (width - len(places)))
        found[number, 0] = error / math.sqrt(spread / width)
        found[number, 1] = used / count
        if error > 0.0:
            found[number, 2] = (path[width - 1] - guess[width - 1] - offset) / error
    return found


@njit(cache=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
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
    def by_column(width: int, parts: int, of: Callable[[FloatArray, np.ndarray], FloatArray]  # type: ignore[type-arg]
                  ) -> FloatArray:
        values, usable = returns(bars), present(bars, width)
        found = np.full((parts, *bars.close.shape), np.nan)
        for column in range(bars.close.shape[1]):
            rows = np.flatnonzero(usable[:, column])
            found[:, rows, column] = of(np.ascontiguousarray(values[:, column]), rows).T
        return found

    @cache
    def l1() -> FloatArray:
        return by_column(HOURS - 1, 3, lambda values, rows: recovered(values, rows, *_measurement(), PENALTY, SWEEPS,
                                                                     AGAIN))

    @cache
    def strange() -> FloatArray:
        return by_column(WEEK + LEARNED, 2, lambda values, rows: strangeness(
            values, rows, bars.first, cosines(DAY, ATOMS), WEEK, _MONDAY, LEARNED, APART, NONZEROS, ROUNDS))

    def part(of: Callable[[], FloatArray], number: int) -> FloatArray:
        found: FloatArray = of()[number]
        return found

    return {**{name: partial(part, l1, number) for number, name in enumerate(("l1_error", "l1_atoms", "l1_gap"))},
            **{f"dictionary_{name}": partial(part, strange, number) for number, name in enumerate(("rest", "anomaly"))}}


_L1 = (f"{HOURS} log closes, {SHOWN} of them shown, lasso over {HOURS - 1} cosines, penalty {PENALTY:g} of the largest "
       "(Tibshirani 1996; Donoho 2006)")
_KSVD = (f"{ATOMS} shapes of {DAY} h paths learned from {LEARNED} h before Monday 00:00 UTC, {NONZEROS} of them used "
         "(K-SVD, Aharon et al. 2006)")

GROUP = Group(
    "compressed",
    (Feature("l1_error", ("close",), HOURS - 1, "share of standard deviation",
             f"RMS error at the hours not shown of {_L1}; no movement: 0", 0.0),
     Feature("l1_atoms", ("close",), HOURS - 1, "share of cosines", f"cosines in use, {_L1}; no movement: 0", 0.0),
     Feature("l1_gap", ("close",), HOURS - 1, "RMS errors", f"ln c - recovered ln c, by the RMS error, {_L1}", 0.0),
     Feature("dictionary_rest", ("close",), WEEK + LEARNED, "share of energy",
             f"energy of the last {DAY} h path that is left by {_KSVD}; no movement: 0", 0.0),
     Feature("dictionary_anomaly", ("close",), WEEK + LEARNED, "standard deviations",
             f"z-score among the examples of ln(what is left of the last {DAY} h path) by {_KSVD}", 0.0)),
    from_bars=_compute)
