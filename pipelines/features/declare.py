"""What a feature and a feature group declare, and what a group is given to compute from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.features.rolling import shift

if TYPE_CHECKING:
    from pipelines.store import Warehouse


@dataclass(frozen=True)
class Feature:
    """One column of the feature matrix.

    Attributes:
        inputs: columns or tables it is made of.
        lookback: how many bars before its own it needs (0 to 168).
        unit: of the value.
        source: formula, and where it comes from.
        neutral: the value that stands for "nothing known"; None: required, a row without it is dropped.
        width: how many columns of this kind there are, numbered from 0 behind the name; 0: it is one column.
    """

    name: str
    inputs: tuple[str, ...]
    lookback: int
    unit: str
    source: str
    neutral: float | None = None
    width: int = 0

    def columns(self) -> tuple[Feature, ...]:
        """This feature, or each of its numbered columns."""
        if not self.width:
            return (self,)
        return tuple(replace(self, name=f"{self.name}_{number:04d}", width=0) for number in range(self.width))


@dataclass(frozen=True)
class Bars:
    """Bars of several symbols on the regular hourly grid, arrays of shape (hours, symbols), NaN where a bar is
    missing. Prices in quote currency, volume in coins."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @cached_property
    def log_return(self) -> FloatArray:
        """ln(close / previous close)."""
        return np.log(self.close / shift(self.close, 1))

    @cached_property
    def log_range(self) -> FloatArray:
        """ln(high / low), at least 0."""
        return np.log(self.high / self.low)


@dataclass(frozen=True)
class Rows:
    """The rows that are being built: a frame with ``symbol``, ``event_time``, ``available_at`` (UTC, the row's
    decision time), and where to read from, as of when."""

    frame: pd.DataFrame
    warehouse: Warehouse
    as_of: pd.Timestamp


@dataclass(frozen=True)
class Group:
    """A named set of features computed together: from bars (``from_bars``: arrays of the shape of the bars), from the
    rows' times and other tables (``from_rows``: arrays of shape (rows,)), or from texts (``from_texts``: a matrix of
    shape (texts, columns), each row of its own text alone)."""

    name: str
    features: tuple[Feature, ...]
    from_bars: Callable[[Bars], Mapping[str, FloatArray]] | None = None
    from_rows: Callable[[Rows], Mapping[str, FloatArray]] | None = None
    from_texts: Callable[[Sequence[str]], FloatArray] | None = None
