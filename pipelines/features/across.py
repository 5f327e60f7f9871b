"""Statistics over several symbols, each row with what was known of all of them at its own time.

A row of one symbol may be decided before another symbol's bar of the same hour has come. So a bar that comes after a
row that could have looked at it counts as news, like a revision (``features.view``): that row is computed without it,
and later rows with it. Where all bars of an hour come together, as they do from one exchange, there is no such bar and
everything is computed at once.
"""

from __future__ import annotations

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features import view
from pipelines.sentiment.hours import Ints


def evaluate(past: view.History, compute: view.Compute, lookback: int, time: Ints) -> dict[str, FloatArray]:
    """``compute`` at every row of ``time``.

    Args:
        past: all symbols that count, with all versions of their bars.
        compute: row e of its result depends on rows e - ``lookback`` to e of all symbols.
        time: when each row is decided (microseconds; ``view.NEVER``: no row), shape (hours, symbols).

    Returns:
        Statistics by name, arrays of shape (hours, symbols); what they hold where there is no row means nothing.
    """
    # When the first row that can see an hour's bars is decided: of that hour or of a later one.
    first_look = np.minimum.accumulate(time.min(axis=1, initial=view.NEVER)[::-1])[::-1]
    late = (past.available > first_look[:, None]) & (past.available < view.NEVER)
    if late.any():
        past = view._come_later(past, late)
    values = view._compute(compute, past.values, past.first)
    view._revise(past, compute, lookback, time, values, across=True)
    return values
