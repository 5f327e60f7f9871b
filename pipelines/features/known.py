"""Which of several dated values was in force, given when each became known."""

from __future__ import annotations

import numpy as np

from pipelines.sentiment.hours import Ints


def in_force(event: Ints, known: Ints, at: Ints) -> Ints:
    """Position of the value with the latest ``event`` among those known at each time; -1 where nothing is known.

    An old event's late arrival does not hide a newer one; of several versions of one event that became known
    together, the one that stands last in the input wins.

    Args:
        event, known: (values,) when it happened and when it became known, in one unit.
        at: (rows,) times to ask about.
    """
    if not len(event):
        return np.full(len(at), -1, dtype=np.int64)
    order = np.lexsort((np.arange(len(event)), event, known))
    ordered = event[order]
    leads = ordered == np.maximum.accumulate(ordered)
    leader = np.maximum.accumulate(np.where(leads, np.arange(len(order)), 0))
    place = np.searchsorted(known[order], at, side="right") - 1
    return np.where(place >= 0, order[leader[np.maximum(place, 0)]], -1)
