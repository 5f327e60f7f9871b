"""How few parts the price path is made of: compressed sensing of the last four days.

Half of the hours of a trailing window of log prices are shown to a lasso over cosines, at fixed places without a
pattern; what it makes of the other half says whether few cosines make the path (Donoho, "Compressed Sensing", IEEE
Transactions on Information Theory 52, 2006). The last hours are never shown: the price's distance from the recovered
path there, in units of that window's usual error, is an anomaly score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.sparse import cosines, lasso
from pipelines.features.spectrum import by_column

#: Log prices in the L1 window, how many of them are shown, and how many last ones never are.
HOURS, SHOWN, HIDDEN = 96, 48, 4
#: The lasso's penalty by the smallest one that allows no cosine at all; its rounds over all cosines, and over those in
#: use after each.
PENALTY, SWEEPS, AGAIN = 0.15, 3, 4
#: Squares below this, in log price², are rounding.
_FLAT = 1e-24


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


@kernel
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


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    @cache
    def found() -> FloatArray:
        return by_column(bars, HOURS - 1, 3, lambda values, rows: recovered(values, rows, *_measurement(), PENALTY,
                                                                            SWEEPS, AGAIN))

    lazy: dict[str, Callable[[], FloatArray]] = {
        "l1_error": lambda: found()[0], "l1_atoms": lambda: found()[1], "l1_gap": lambda: found()[2]}
    return lazy


_L1 = (f"{HOURS} log closes, {SHOWN} of them shown, lasso over {HOURS - 1} cosines, penalty {PENALTY:g} of the largest "
       "(Tibshirani 1996; Donoho 2006)")

GROUP = Group(
    "compressed",
    (Feature("l1_error", ("close",), HOURS - 1, "share of standard deviation",
             f"RMS error at the hours not shown of {_L1}; no movement: 0", 0.0),
     Feature("l1_atoms", ("close",), HOURS - 1, "share of cosines", f"cosines in use, {_L1}; no movement: 0", 0.0),
     Feature("l1_gap", ("close",), HOURS - 1, "RMS errors", f"ln c - recovered ln c, by the RMS error, {_L1}", 0.0)),
    from_bars=_compute)
