"""A line's rows over time, cut into a training reference and the trailing windows of daily checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
#: A Monday.
START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 24
YEAR = 365


@dataclass(frozen=True)
class Track:
    """Rows of a line in order of time, the same number of them every hour.

    Attributes:
        values: shape (rows, columns); finite.
        reference_days: the first days are what the champion was trained on.
        window_days: of each check; the first check is a day after the reference ends, so that its window still holds
            days of it, as with a real champion.
        per_day: rows of a day: 24 times the symbols.
        first_check: days from the end of the reference to the first check.
        onset: day of the checks from which on something has changed; None: nothing does.
    """

    values: FloatArray
    reference_days: int
    window_days: int
    per_day: int = HOURS
    first_check: int = 1
    onset: int | None = None
    names: Sequence[str] = ()
    start: datetime = START

    def __post_init__(self) -> None:
        if self.window_days > self.reference_days or self.checks < 1:
            raise ContractError(f"{len(self.values)} rows are {self.days} days; a reference of {self.reference_days} "
                                f"days and checks with windows of {self.window_days} days need more")

    @property
    def days(self) -> int:
        return len(self.values) // self.per_day

    @property
    def checks(self) -> int:
        return self.days - self.reference_days - self.first_check + 1

    @property
    def reference(self) -> slice:
        """Its rows."""
        return slice(0, self.reference_days * self.per_day)

    def window(self, check: int) -> slice:
        """The rows of a check, counted from 0: those of the ``window_days`` before it."""
        stop = self.reference_days + self.first_check + check
        return slice((stop - self.window_days) * self.per_day, stop * self.per_day)

    def as_of(self, check: int) -> datetime:
        """When a check is made (UTC)."""
        return self.start + timedelta(days=self.reference_days + self.first_check + check)

    def frame(self) -> pd.DataFrame:
        """``symbol``, ``event_time`` (UTC) and the columns, as in a snapshot; slices of it cost next to nothing."""
        names = list(self.names) or [f"x{number:02d}" for number in range(self.values.shape[1])]
        symbols = max(1, self.per_day // HOURS)
        every = pd.Timedelta(days=1) * symbols / self.per_day
        times = pd.date_range(self.start, periods=-(-len(self.values) // symbols), freq=every, unit="us")
        frame = pd.DataFrame(self.values, columns=names)
        symbol = np.resize(np.array([f"S{number}" for number in range(symbols)], dtype=object), len(frame))
        frame.insert(0, "symbol", pd.Series(symbol, dtype="str"))
        frame.insert(1, "event_time", times.repeat(symbols)[:len(frame)])
        return frame


def edges(alarm: Sequence[bool] | Flags) -> Ints:
    """The checks at which an alarm begins."""
    on = np.asarray(alarm, dtype=bool)
    before = np.concatenate([[False], on[:-1]])
    return np.flatnonzero(on & ~before)
