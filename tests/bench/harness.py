"""How a bench is run: check that both sides give the same result, then time them in turn in one process.

A bench is a function that returns a `Case`. The ratio is peer time over our time (above 1: we are faster), from the
medians of alternating runs, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """Two ways to do the same work.

    Attributes:
        work: how many ``unit`` one call does.
        same: whether the two results are equal; checked before anything is timed.
        fresh: called before each run of ours, untimed, to undo what the run before has left.
        fresh_peer: the same for the peer; ``fresh`` if left out.
    """

    name: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    work: float
    unit: str
    same: Callable[[Any, Any], bool]
    fresh: Callable[[], None] = lambda: None
    runs: int = 5
    fresh_peer: Callable[[], None] | None = None


@dataclass(frozen=True)
class Result:
    """One row of the bench table: throughput of each side in ``unit`` per second."""

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str
    equal: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def timed(case: Case, side: Callable[[], Any]) -> tuple[float, Any]:
    (case.fresh_peer or case.fresh if side is case.peer else case.fresh)()
    began = time.perf_counter()
    result = side()
    return time.perf_counter() - began, result


def measure(case: Case) -> Result:
    """Check equality (which also warms both sides up), then time them in turn."""
    _, ours = timed(case, case.ours)
    _, peer = timed(case, case.peer)
    equal = bool(case.same(ours, peer))
    ours_seconds, peer_seconds = [], []
    for _ in range(case.runs):
        ours_seconds.append(timed(case, case.ours)[0])
        peer_seconds.append(timed(case, case.peer)[0])
    ours_median, peer_median = statistics.median(ours_seconds), statistics.median(peer_seconds)
    return Result(case.name, case.work / ours_median, case.work / peer_median, peer_median / ours_median,
                  f"{case.unit}/s", equal)
