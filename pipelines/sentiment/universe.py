"""Which symbols exist at an hour: those that had a bar in the week before. Texts about others are not counted, and a
symbol that is traded no more stops having rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import HOUR_US, full_hour_after, microseconds

#: How long a symbol counts as existing after its last bar became available.
ALIVE_HOURS = 168

@dataclass(frozen=True)
class Universe:
    """``alive[i, h]``: symbol i exists at the full hour ``first + h`` (hours since 1970, UTC)."""

    symbols: tuple[str, ...]
    first: int
    alive: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, bars: pd.DataFrame, first: int, last: int) -> Universe:
        """The universe at the full hours from ``first`` to ``last`` (exclusive).

        Args:
            bars: columns ``symbol``, ``available_at``; back to ``ALIVE_HOURS`` before ``first``.
        """
        symbols = tuple(sorted(bars["symbol"].unique()))
        codes = pd.Index(symbols, dtype=object).get_indexer(bars["symbol"])
        since = full_hour_after(microseconds(bars["available_at"])) - first
        steps = np.zeros((len(symbols), last - first + 1), dtype=np.int64)
        width = last - first
        np.add.at(steps, (codes, np.clip(since, 0, width)), 1)
        np.add.at(steps, (codes, np.clip(since + ALIVE_HOURS, 0, width)), -1)
        return cls(symbols, first, np.cumsum(steps, axis=1)[:, :width] > 0)

    def knows(self, symbols: pd.Series, available_at: pd.Series) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Did each symbol exist at the last full hour before or at its ``available_at``?"""
        code = pd.Index(self.symbols, dtype=object).get_indexer(symbols)
        hour = microseconds(available_at) // HOUR_US - self.first
        inside = (code >= 0) & (hour >= 0) & (hour < self.alive.shape[1])
        return np.asarray(inside & self.alive[np.where(inside, code, 0), np.where(inside, hour, 0)]
                          if self.alive.size else inside & False)
