"""What a feature and a feature group declare, and what a group is given to compute from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ConfigError
from pipelines.features.numerics.rolling import shift
from pipelines.sentiment.hours import Ints, microseconds

if TYPE_CHECKING:
    from pipelines.store import Warehouse


@dataclass(frozen=True)
class Feature:
    """One column of the feature matrix.

    Attributes:
        inputs: columns or tables it is made of.
        lookback: how many bars before its own it needs.
        unit: of the value.
        source: formula, and where it comes from.
        neutral: the value that stands for "nothing known"; None: required, a row without it is left out.
        width: how many columns of this kind there are, numbered from 0 behind the name; 0: it is one column.

    Raises:
        ConfigError: an input is the outcome of a trade, which is known only when the trade is over. ``closed_trades.
            profit_ratio`` is another thing: what earlier trades have brought, read with ``history.log``.
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
        return _columns(self) if self.width else (self,)

    @property
    def absent(self) -> str:
        """What happens to a row that lacks it."""
        return "row left out" if self.neutral is None else f"{self.neutral:g}"

    def __post_init__(self) -> None:
        if told := sorted({column for column in map(_trade_column, (*self.inputs, self.name)) if column in OUTCOMES}):
            raise ConfigError(
                f"the feature {self.name!r} is made of {', '.join(told)}, the outcome of a trade: it is known only "
                f"when the trade has closed, so it can be no input. For what earlier trades have brought declare "
                f"closed_trades.{told[0]} and read it with pipelines.features.history.log")


@cache
def _columns(feature: Feature) -> tuple[Feature, ...]:
    return tuple(replace(feature, name=f"{feature.name}_{number:04d}", width=0) for number in range(feature.width))


#: Columns that no feature may be made of, of whatever kind of facts.
OUTCOMES = frozenset(column for schema in SCHEMAS.values() for column in schema.outcomes)


def _trade_column(declared: str) -> str:
    """``trades.profit_ratio`` → ``profit_ratio``; what another table says under that name is not meant."""
    table, _, column = declared.rpartition(".")
    return column if table in ("", Kind.TRADES.value) else declared


@dataclass(frozen=True)
class Bars:
    """Bars of several symbols on the regular hourly grid, arrays of shape (hours, symbols), NaN where a bar is
    missing. Prices in quote currency, volume in coins.

    ``first`` is the hour, counted from 1970-01-01 00:00 UTC, in which row 0 opens: what a feature needs that is tied to
    the calendar (a week's profile, a recursion that starts anew at fixed hours), so that its value does not depend on
    where the array begins.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    first: int = 0

    @cached_property
    def log_return(self) -> FloatArray:
        """ln(close / previous close)."""
        return np.log(self.close / shift(self.close, 1))

    @cached_property
    def log_range(self) -> FloatArray:
        """ln(high / low), at least 0."""
        return np.log(self.high / self.low)


#: A feature's values, or how to get them.
Lazy = FloatArray | Callable[[], FloatArray]


@dataclass(frozen=True)
class Rows:
    """The rows that are being built, and where to read from, as of when. Arrays of shape (rows,), and no frame: a live
    row is built in a few milliseconds, of which a frame would take one.

    Attributes:
        symbols: text.
        opened: ``event_time``, microseconds since 1970 UTC.
        at: ``available_at``, the row's decision time, likewise.
        sources: for rows that are trades the log of each, else None.
    """

    symbols: np.ndarray[Any, np.dtype[np.object_]]
    opened: Ints
    at: Ints
    warehouse: Warehouse
    as_of: pd.Timestamp
    sources: np.ndarray[Any, np.dtype[np.object_]] | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame, warehouse: Warehouse, as_of: pd.Timestamp) -> Rows:
        """From ``symbol``, ``event_time``, ``available_at`` (UTC) and, where there is one, ``source``."""
        return cls(frame["symbol"].to_numpy(dtype=object), microseconds(frame["event_time"]),
                   microseconds(frame["available_at"]), warehouse, as_of,
                   frame["source"].to_numpy(dtype=object) if "source" in frame else None)

    def __len__(self) -> int:
        return len(self.at)


#: When the values of a group can be known, and what gaps do to them, unless the group says otherwise; by what it is
#: computed from.
_BARS = ("at the close of its bar, with the bars of its look-back: a late one is waited for up to 6 h",
         "a window counts the bars that are there; with less than 0.9 of them, or without a bar that a formula names, "
         "the value is absent")
_ROWS = ("at the row's time: what was public by then",
         "the value is absent when nothing was public by the row's time")
_TEXTS = ("when the text was written", "a text always has a value")


@dataclass(frozen=True)
class Group:
    """A named set of features: from bars (``from_bars``: arrays of the shape of the bars), from the rows' times and
    other tables (``from_rows``: arrays of shape (rows,)), or from texts (``from_texts``: a matrix of shape (texts,
    columns), each row of its own text alone).

    ``from_bars`` may give a function without arguments in place of an array: it is called only if its feature is
    wanted, so that one feature more does not cost the whole group.

    Attributes:
        apart: its features share nothing across look-backs, so that a live row, which needs one value of each, computes
            those of a short look-back from few bars.
        across_symbols: a value of one symbol is made of the other symbols' bars, too. Such a group is given the bars of
            all symbols as they were known at each row's time (``features.across``); all others compute each symbol by
            itself.
        availability: when a value can be known; left out, what holds for all groups of its kind.
        gaps: what missing inputs do to a value before ``Feature.neutral`` is applied; left out, likewise.
    """

    name: str
    features: tuple[Feature, ...]
    from_bars: Callable[[Bars], Mapping[str, Lazy]] | None = None
    from_rows: Callable[[Rows], Mapping[str, FloatArray]] | None = None
    from_texts: Callable[[Sequence[str]], FloatArray] | None = None
    across_symbols: bool = False
    apart: bool = False
    availability: str = ""
    gaps: str = ""

    def __post_init__(self) -> None:
        usual = _BARS if self.from_bars is not None else _TEXTS if self.from_texts is not None else _ROWS
        object.__setattr__(self, "availability", self.availability or usual[0])
        object.__setattr__(self, "gaps", self.gaps or usual[1])

    def on_bars(self, bars: Bars) -> dict[str, FloatArray]:
        """The declared features of a group that is computed from bars, arrays of the shape of the bars; nothing for
        other groups. A copy of a group that declares fewer features (``dataclasses.replace``) computes fewer."""
        found = self.from_bars(bars) if self.from_bars is not None else {}
        wanted = {feature.name for feature in self.features}
        return {name: value() if callable(value) else value for name, value in found.items() if name in wanted}
