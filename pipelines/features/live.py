"""One live row of one symbol, in milliseconds: the newest bar's, as ``features.build`` would give it, bit for bit.

``build`` lays out and computes whole windows. A live row needs the bars of its look-back in the versions that were
known when it was decided, and of each feature the last value: so one query reads just these bars, the groups compute
arrays of look-back + 1 rows, and groups that read other tables do so in the same transaction. Nothing is kept between
calls: what is stored late is seen by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from pipelines.contracts.columns import FEATURE_META, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.features import catalog, view
from pipelines.features.declare import Bars, Group, Rows
from pipelines.sentiment.hours import HOUR_US, Ints, instant, moment
from pipelines.store import Warehouse, asof

#: A symbol whose newest bar opened longer ago has no live row.
MAX_AGE = timedelta(hours=24)
_HOUR = timedelta(hours=1)
#: Bars before the newest that can make its row wait.
_WAIT = view.GRACE // _HOUR + 1

#: As ``asof.series`` gives them.
Versions = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LiveRow:
    """A row's features: ``values`` of shape (features,), float64, in the order of ``names``. Times in UTC."""

    symbol: str
    event_time: pd.Timestamp
    available_at: pd.Timestamp
    names: tuple[str, ...]
    values: FloatArray

    def frame(self) -> pd.DataFrame:
        """The row as ``features.build`` gives it."""
        return pd.concat([_meta(self.symbol, self.event_time, self.available_at),
                          pd.DataFrame([self.values], columns=list(self.names))], axis=1)


class LiveRows:
    """Live rows of a line. Holds what the line declares, no data."""

    def __init__(self, warehouse: Warehouse, line: Line) -> None:
        """
        Raises:
            ConfigError: the line's rows are texts, or its feature list is refused.
        """
        line.require_bars("build a live row of")
        groups, self._warehouse, self._line = catalog.of(line), warehouse, line
        of_bars = [group for group in groups if group.from_bars is not None]
        self._alone = [(part, catalog.lookback([part])) for group in of_bars if not group.across_symbols
                       for part in _parts(group)]
        self._across = [(group, catalog.lookback([group])) for group in of_bars if group.across_symbols]
        self._of_rows = [group.from_rows for group in groups if group.from_rows is not None]
        self._lookback = catalog.lookback(of_bars) if of_bars else 0
        features = catalog.features(groups)
        self.names = tuple(feature.name for feature in features)
        self._neutral = np.array([np.nan if feature.neutral is None else feature.neutral for feature in features])

    def row(self, symbol: str, at: datetime) -> LiveRow | None:
        """The row of the newest bar of ``symbol`` that was there at ``at``.

        Returns:
            None when that bar opened more than ``MAX_AGE`` before, when its row was not decided by then (it waits for a
            late bar), or when it lacks a feature without a neutral value.

        Raises:
            ContractError: bars off the hourly grid. StoreUnavailable, StoreError
        """
        symbols = self._symbols(symbol, at)
        place = symbols.index(symbol)
        with self._warehouse.begin() as connection:
            own = self._versions(connection, [symbol], max(self._lookback, _WAIT), at, at)
            opened = int(own["event_time"].max(initial=0))
            decided = self._decided(own, opened // HOUR_US) if opened >= instant(at - MAX_AGE) else view.NEVER
            if decided > instant(at):
                return None
            own = own[own["available_at"] <= decided]
            values = self._of_bars(self._alone, own, 1, 0, opened // HOUR_US)
            if self._across:
                # Fewer bars of the others: what looks across looks back less than a month.
                reach = max(reach for _, reach in self._across)
                known = self._versions(connection, symbols, reach, at, moment(decided))
                values |= self._of_bars(self._across, known, len(symbols), place, opened // HOUR_US)
            times = [pd.Timestamp(at_us, unit="us", tz="UTC").as_unit("us") for at_us in (opened, decided)]
            if self._of_rows:
                rows = Rows(np.array([symbol], dtype=object), np.array([opened]), np.array([decided]),
                            _Pinned(self._warehouse, connection), pd.Timestamp(at))
                for compute in self._of_rows:
                    values.update({name: found[0] for name, found in compute(rows).items()})
        found = np.array([values[name] for name in self.names], dtype=np.float64)
        filled: FloatArray = np.where(np.isfinite(found), found, self._neutral)
        return None if np.isnan(filled).any() else LiveRow(symbol, times[0], times[1], self.names, filled)

    def _symbols(self, symbol: str, at: datetime) -> list[str]:
        """Whose bars are read: all of the line for groups that look across symbols. Name them in the line: to find out
        who has bars at all costs more than the row."""
        if not self._across:
            return [symbol]
        named = self._line.symbols or asof.newest(
            self._warehouse, Kind.BARS, as_of=at, since=at - MAX_AGE - (self._lookback + 1) * _HOUR,
            series=("symbol", "interval")).query("interval == @self._line.interval")["symbol"]
        return sorted({*named, symbol})

    def _decided(self, own: Versions, newest: int) -> int:
        """When the row of the hour ``newest`` was decided (microseconds since 1970): by ``view.evaluate``, on the few
        bars that it can have waited for."""
        first = newest - _WAIT
        own = own[own["event_time"] >= first * HOUR_US][::-1]  # the first version of a bar comes last, and stays
        available = np.full((_WAIT + 1, 1), view.NEVER, dtype=np.int64)
        available[own["event_time"] // HOUR_US - first, 0] = own["available_at"]
        none: Ints = np.empty(0, dtype=np.int64)
        tail = view.History(("",), first, np.zeros((len(view.FIELDS), *available.shape)), available, none,
                            np.empty((0, 2), dtype=np.int64), np.empty((0, len(view.FIELDS))))
        return int(view.evaluate(tail, lambda _: {}, self._lookback).time[-1, 0])

    def _versions(self, connection: Connection, symbols: Sequence[str], reach: int, at: datetime,
                  known_at: datetime) -> Versions:
        """Versions of bars that a row of the newest bar at ``at`` can need with this look-back."""
        found = asof.series(connection, Kind.BARS, symbols, interval=self._line.interval, as_of=known_at,
                            start=at - MAX_AGE - (reach + 1) * _HOUR)
        if (found["event_time"] % HOUR_US).any():
            raise ContractError(f"a bar of {', '.join(symbols)} does not open on a full hour; features need bars on "
                                "the hourly grid: quarantine it, or map its time")
        return found

    @staticmethod
    def _of_bars(groups: Sequence[tuple[Group, int]], known: Versions, symbols: int, place: int,
                 newest: int) -> dict[str, Any]:
        """The last values of bar features at ``place`` among the symbols, from the versions that were
        known. Groups come with their look-backs."""
        if not groups:
            return {}
        lookback = max(reach for _, reach in groups)
        first = newest - lookback
        known = known[(known["event_time"] >= first * HOUR_US) & (known["event_time"] <= newest * HOUR_US)]
        state = np.full((len(view.FIELDS), lookback + 1, symbols), np.nan)
        cell = known["event_time"] // HOUR_US - first, known["place"]
        for number, field in enumerate(view.FIELDS):
            state[number][cell] = known[field]  # of several versions the last one stays
        values: dict[str, Any] = {}
        with np.errstate(all="ignore"):  # missing bars are NaN, and a NaN is the right answer to them
            for group, reach in groups:
                rest = lookback - reach  # a group does not pay for what others look back
                opens, high, low, close, volume = np.ascontiguousarray(state[:, rest:])
                bars = Bars(opens, high, low, close, volume, first + rest)
                values.update({name: value[-1, place] for name, value in group.on_bars(bars).items()})
        return values


def row(warehouse: Warehouse, line: Line, symbol: str, at: datetime) -> LiveRow | None:
    """``LiveRows(warehouse, line).row(symbol, at)``: for one row; who asks again keeps the object."""
    return LiveRows(warehouse, line).row(symbol, at)


def _parts(group: Group) -> list[Group]:
    """A group as those of its features that are computed together in a live row."""
    if not group.apart:
        return [group]
    return [replace(group, features=tuple(feature for feature in group.features if feature.lookback == reach))
            for reach in sorted({feature.lookback for feature in group.features})]


def _meta(symbol: str, event_time: pd.Timestamp, available_at: pd.Timestamp) -> pd.DataFrame:
    times = [pd.DatetimeIndex([at]) for at in (event_time, available_at)]
    return pd.DataFrame(dict(zip(FEATURE_META, (pd.Series([symbol], dtype="str"), *times), strict=True)))


class _Pinned(Warehouse):
    """A warehouse whose transactions are all the one that is open: groups read in it what they would read anyway."""

    def __init__(self, warehouse: Warehouse, connection: Connection) -> None:
        self.snapshot_root, self.engine, self._connection = warehouse.snapshot_root, warehouse.engine, connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        yield self._connection
