"""Cut the future off and build again: what was known before the cut may not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from pipelines.validation.audit.compare import changed
from pipelines.validation.audit.report import Looked
from pipelines.validation.audit.subject import US, Build, Subject, columns_of, rows_of

#: At every such cut all rows before it are compared, at the others only those within the build's reach.
_WHOLE = 8
#: Further cuts to find out where a leak begins: first row by row from the start, then by bisection.
_FORWARD = 256
_BISECT = 64


def random_cuts(build: Build, count: int, rng: np.random.Generator) -> list[pd.Timestamp]:
    """Instants between the first and the last fact, spread over the hours of the day: a leak that shows at one hour
    only (a daily index, a nightly gap that is filled backwards) would slip through a few cuts at any hours. A third of
    them lies just before facts came, the others just when."""
    inner = build.moments[:-1]
    if not len(inner):
        return []
    hours = np.asarray(inner.hour)
    # Moments in random order; the first of each hour, then the second of each hour, and so on.
    order = rng.permutation(len(inner))
    turn = pd.Series(hours[order]).groupby(hours[order]).cumcount().to_numpy()
    chosen = np.sort(order[np.argsort(turn, kind="stable")[:count]])
    early = rng.random(len(chosen)) < 1 / 3
    # The instant before a moment knows what the moment before it knew: still the same hour, or the one before.
    return [*inner[chosen], *(inner[chosen][early] - US)]


def scan(subject: Subject, build: Build, cuts: Iterable[pd.Timestamp]) -> tuple[dict[str, pd.Timestamp], Looked]:
    """Column → earliest offending ``event`` over all cuts and, where something offends, where it begins.

    The beginning is searched by living through the first times of the rows one by one, which is exact, and if that
    takes too long by bisection over the moments at which facts came: exact for a leak that is always there, the
    earliest occurrence met for one that comes and goes.
    """
    whole = subject.whole(build)
    columns, rows, done = len(columns_of(build, whole)), 0, 0
    first: dict[str, pd.Timestamp] = {}
    reached: dict[str, int] = {}
    seen: dict[int, frozenset[str]] = {}

    def look(cut: pd.Timestamp, place: int, since: pd.Timestamp | None) -> set[str]:
        nonlocal rows, done
        found, count = changed(build, whole, rows_of(build, build.rebuild(cut, since)), cut, since)
        rows, done = rows + count, done + 1
        seen[place] = frozenset(found)
        for column, at in found.items():
            first[column] = min(first.get(column, at), at)
            reached[column] = min(reached.get(column, place), place)
        return set(found)

    for number, cut in enumerate(cuts):
        full = build.reach is None or number % _WHOLE == 0
        look(cut, _place(build, cut), None if full else cut - build.reach)
    resolved: set[str] = set()
    if first:
        times = np.sort(whole[build.known].unique())
        for at in times[:_FORWARD]:
            cut = pd.Timestamp(at)
            if resolved >= set(first):
                break
            place = _place(build, cut)
            resolved |= look(cut, place, None if build.reach is None else cut - build.reach)
    budget = done + _BISECT
    for column in sorted(set(reached) - resolved):
        low = -1
        while reached[column] - low > 1 and done < budget:
            middle = (low + reached[column]) // 2
            if middle not in seen:
                cut = build.moments[middle]
                look(cut, middle, None if build.reach is None else cut - build.reach)
            if column not in seen[middle]:
                low = middle
    return first, Looked(done, columns, rows)


def bisect(offends: Callable[[int], bool], last: int) -> int:
    """The smallest position that offends, given that ``last`` does and that all after an offending one do."""
    low, high = -1, last
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offends(middle) else (middle, high)
    return high


def _place(build: Build, cut: pd.Timestamp) -> int:
    return int(build.moments.searchsorted(cut, side="right")) - 1
