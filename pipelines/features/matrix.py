"""The feature matrix of a line for one window: every row as it was known at its own time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.features import across as across_symbols
from pipelines.features import catalog, texts, trades, view
from pipelines.features.declare import Bars, Feature, Group, Rows
from pipelines.sentiment.hours import HOUR_US, instant, times
from pipelines.store import Warehouse, asof

#: What naive forecasts are made of; it travels with a training snapshot and is no feature. The latest label known
#: (bars, trades), the lexicon's opinion (texts).
NAIVE = (trades.PREVIOUS, texts.COMPOUND)
_BAR = timedelta(hours=1)
_log = logging.getLogger(__name__)


def build(warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime) -> pd.DataFrame:
    """The rows that became available in ``window``, as far as they are known at ``as_of``.

    A row belongs to one bar of one symbol. Its ``available_at`` is the moment its bar and the bars of the hours before
    were there (``view.GRACE`` limits the wait), and its values are made of what was known then: bar versions,
    aggregates, indicators. A row computed alone equals the same row computed within years, bit for bit. The rows of a
    line that learns from texts or trades are those, see ``texts`` and ``trades``.

    Features with a neutral value take it where nothing is known (the catalog says which); a row without one of the
    others is dropped, so no NaN or infinity leaves here. So one group more can only take rows away, those that lack a
    feature it requires: the others keep their time and their values, to the bit.

    Returns:
        ``FEATURE_META`` and the features of the line's groups (float64), ordered by (event_time, symbol).

    Raises:
        ConfigError: an unknown feature group. ContractError: bars off the hourly grid.
        StoreUnavailable, StoreError
    """
    groups = catalog.of(line)
    if not line.on_bars:
        return (texts if line.target.rows == "texts" else trades).build(warehouse, line, window=window, as_of=as_of)
    cutoff = min(as_of, asof.just_before(window.end))
    inputs = read(warehouse, line, groups, window, cutoff)
    frame, values = bar_rows(inputs, groups)
    return complete(warehouse, line, groups, window, cutoff, frame, values)


def feature_names(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a feature or training frame that are features, in order."""
    others = {*FEATURE_META, *LABEL_COLUMNS, *NAIVE}
    return tuple(name for name in frame.columns if name not in others)


@dataclass(frozen=True)
class Inputs:
    """All versions, known at ``cutoff``, of the bars that the rows of ``window`` can need; the first of these rows is
    of the bar that opens at ``first_row``."""

    bars: pd.DataFrame
    first_row: datetime
    window: Window
    cutoff: datetime


def read(warehouse: Warehouse, line: Line, groups: Sequence[Group], window: Window, cutoff: datetime,
         symbols: Sequence[str] | None = None) -> Inputs:
    """The bars that ``groups`` need of the line's symbols, or only of these ``symbols``."""
    wanted = list(symbols or line.symbols) or None
    first_row = _first_row(window, _late(warehouse, line, window, cutoff, wanted))
    bars = asof.read(warehouse, Kind.BARS, as_of=cutoff, start=first_row - lead(groups) * _BAR, end=window.end,
                     symbols=wanted, revisions="all")
    return Inputs(bars[bars["interval"] == line.interval], first_row, window, cutoff)


def within(inputs: Inputs, window: Window, cutoff: datetime, groups: Sequence[Group]) -> Inputs:
    """What ``read`` gives for a part of the window."""
    bars = inputs.bars[inputs.bars["available_at"] <= pd.Timestamp(cutoff)]
    came = bars["available_at"].between(pd.Timestamp(window.start), pd.Timestamp(window.end), inclusive="left")
    first = ~bars.duplicated(["symbol", "event_time"])  # they are ordered by key and time
    first_row = _first_row(window, bars[came & first])
    opened = bars["event_time"]
    needed = (opened >= pd.Timestamp(first_row - lead(groups) * _BAR)) & (opened < pd.Timestamp(window.end))
    return Inputs(bars[needed], first_row, window, cutoff)


def _late(warehouse: Warehouse, line: Line, window: Window, cutoff: datetime,
          symbols: list[str] | None) -> pd.DataFrame:
    """The bars of long before the window that came for the first time in it. The others are left out: no row of theirs
    is the first, and what they are would have to be looked up for each of them."""
    came = asof.read(warehouse, Kind.BARS, as_of=cutoff, start=window.start, end=window.end, symbols=symbols,
                     by="available_at", revisions="all", before=window.start - view.GRACE - _BAR)
    came = came[came["interval"] == line.interval]
    if came.empty:
        return came
    known = asof.read(warehouse, Kind.BARS, as_of=asof.just_before(window.start), revisions="first",
                      start=came["event_time"].min().to_pydatetime(),
                      end=came["event_time"].max().to_pydatetime() + _BAR, symbols=sorted(set(came["symbol"])))
    key = ["symbol", "interval", "event_time"]
    return came[~pd.MultiIndex.from_frame(came[key]).isin(pd.MultiIndex.from_frame(known[key]))]


def _first_row(window: Window, new: pd.DataFrame) -> datetime:
    # A row may have waited until now for a bar before its own, or be of a bar that itself came late.
    first = window.start - view.GRACE - _BAR
    if len(new):
        first = min(first, new["event_time"].min().to_pydatetime())
    return first.replace(minute=0, second=0, microsecond=0)


def lead(groups: Sequence[Group]) -> int:
    """How many bars before its own a row of these groups can depend on: their look-back, or its wait."""
    return max([view.WAIT, *(catalog.lookback([group]) for group in groups if group.from_bars is not None)])


def bar_rows(inputs: Inputs, groups: Sequence[Group]) -> tuple[pd.DataFrame, dict[str, FloatArray]]:
    """``FEATURE_META`` of all rows of the window, ordered by (event_time, symbol), and the groups' features of bars,
    arrays of shape (rows,) with NaN where bars are missing."""
    computing = [group for group in groups if group.from_bars is not None]
    before = lead(computing)
    past = view.history(inputs.bars, inputs.first_row - before * _BAR, inputs.window.end)
    alone, across = ([group for group in computing if group.across_symbols is wanted] for wanted in (False, True))
    result = view.evaluate(past, _computing(alone), before)
    if across:
        result.values.update(across_symbols.evaluate(past, _computing(across), before, result.time))
    chosen = (result.time >= instant(inputs.window.start)) & (result.time <= instant(inputs.cutoff))
    chosen[:before] = False
    row, column = np.nonzero(chosen)
    frame = pd.DataFrame({
        "symbol": np.array(past.symbols, dtype=object)[column],
        "event_time": times((past.first + row) * HOUR_US),
        "available_at": times(result.time[chosen]),
    }).astype({"symbol": "str"})
    return frame, {name: result.values.pop(name)[chosen] for name in list(result.values)}


def _computing(groups: Sequence[Group]) -> view.Compute:
    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        return {name: value for group in groups for name, value in group.on_bars(bars).items()}
    return compute


def complete(warehouse: Warehouse, line: Line, groups: Sequence[Group], window: Window, cutoff: datetime,
             frame: pd.DataFrame, values: Mapping[str, FloatArray]) -> pd.DataFrame:
    """The matrix of the rows of ``window`` whose features of bars are known (``bar_rows``): those that lack none of
    the required ones, with the features of rows joined as of each row's time."""
    required = [feature.name for group in groups if group.from_bars is not None
                for feature in catalog.features([group]) if feature.neutral is None]
    whole = np.ones(len(frame), dtype=bool)
    for name in required:
        whole &= np.isfinite(values[name])
    _report_gaps(line, window, whole)
    if not whole.all():
        frame, values = frame[whole].reset_index(drop=True), {name: value[whole] for name, value in values.items()}
    rows, found = Rows.of(frame, warehouse, pd.Timestamp(cutoff)), dict(values)
    for group in groups:
        if group.from_rows is not None:
            found.update(group.from_rows(rows))
    return _finish(line, frame, found, catalog.features(groups))


def _report_gaps(line: Line, window: Window, whole: np.ndarray) -> None:  # type: ignore[type-arg]
    lost = int(len(whole) - whole.sum())
    if lost:
        _log.info("%s %s: %d of %d rows left out: bars of their look-back are missing", line.name, window.key, lost,
                  len(whole))


def _finish(line: Line, frame: pd.DataFrame, values: Mapping[str, FloatArray],
            features: Sequence[Feature]) -> pd.DataFrame:
    columns = {}
    usable = np.ones(len(frame), dtype=bool)
    for feature in features:
        value = np.asarray(values[feature.name], dtype=np.float64)
        finite = np.isfinite(value)
        if feature.neutral is None:
            usable &= finite
        else:
            value = np.where(finite, value, feature.neutral)
        columns[feature.name] = value
    if not usable.all():
        _log.warning("%s: %d rows left out: a required feature is not finite", line.name, int((~usable).sum()))
    whole = pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)
    return whole[usable].reset_index(drop=True)
