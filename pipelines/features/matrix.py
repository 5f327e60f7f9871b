"""The feature matrix of a line for one window: every row as it was known at its own time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.features import across as across_symbols
from pipelines.features import catalog, texts, view
from pipelines.features.declare import Bars, Feature, Group, Rows
from pipelines.sentiment.hours import HOUR_US, instant, times
from pipelines.store import Warehouse, asof

#: What naive forecasts are made of; it travels with a training snapshot and is no feature. The latest label known
#: (bars), the lexicon's opinion (texts).
NAIVE = ("base_prev_label", texts.COMPOUND)
_BAR = timedelta(hours=1)
_log = logging.getLogger(__name__)


def build(warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime) -> pd.DataFrame:
    """The rows that became available in ``window``, as far as they are known at ``as_of``.

    A row belongs to one bar of one symbol. Its ``available_at`` is the moment its bar and the bars of its look-back
    were there (``view.GRACE`` limits the wait), and its values are made of what was known then: bar versions,
    aggregates, indicators. A row computed alone equals the same row computed within years, bit for bit. The rows of a
    line that learns from texts are texts, see ``texts``.

    Features with a neutral value take it where nothing is known (the catalog says which); a row without one of the
    others is dropped, so no NaN or infinity leaves here.

    Returns:
        ``FEATURE_META`` and the features of the line's groups (float64), ordered by (event_time, symbol).

    Raises:
        ConfigError: an unknown feature group. ContractError: bars off the hourly grid.
        StoreUnavailable, StoreError
    """
    groups = catalog.of(line)
    if not line.on_bars:
        return texts.build(warehouse, line, window=window, as_of=as_of)
    cutoff = min(as_of, asof.just_before(window.end))
    frame, values = _from_bars(warehouse, line, groups, window, cutoff)
    rows = Rows(frame, warehouse, pd.Timestamp(cutoff))
    for group in groups:
        if group.from_rows is not None:
            values.update(group.from_rows(rows))
    return _finish(line, frame, values, catalog.features(groups))


def feature_names(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a feature or training frame that are features, in order."""
    others = {*FEATURE_META, *LABEL_COLUMNS, *NAIVE}
    return tuple(name for name in frame.columns if name not in others)


def _from_bars(warehouse: Warehouse, line: Line, groups: Sequence[Group], window: Window,
               cutoff: datetime) -> tuple[pd.DataFrame, dict[str, FloatArray]]:
    """Keys and decision times of the window's rows, and their bar features; rows that lack one are left out."""
    computing = [group for group in groups if group.from_bars is not None]
    lookback = catalog.lookback(computing) if computing else 0
    bars, first_row = _read(warehouse, line, window, cutoff, lookback)
    first = first_row - lookback * _BAR
    past = view.history(bars, first, window.end)
    alone, across = ([group for group in computing if group.across_symbols is wanted] for wanted in (False, True))
    result = view.evaluate(past, _computing(alone), lookback)
    if across:
        result.values.update(across_symbols.evaluate(past, _computing(across), lookback, result.time))
    chosen = (result.time >= instant(window.start)) & (result.time <= instant(cutoff))
    chosen[:lookback] = False
    required = [feature.name for group in computing for feature in group.features if feature.neutral is None]
    whole = chosen & np.logical_and.reduce([np.isfinite(result.values[name]) for name in required], axis=0,
                                           initial=True)
    _report_gaps(line, window, chosen, whole)
    row, column = np.nonzero(whole)
    frame = pd.DataFrame({
        "symbol": np.array(past.symbols, dtype=object)[column],
        "event_time": times((past.first + row) * HOUR_US),
        "available_at": times(result.time[whole]),
    }).astype({"symbol": "str"})
    return frame, {name: value[whole] for name, value in result.values.items()}


def _computing(groups: Sequence[Group]) -> view.Compute:
    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        return {name: value for group in groups for name, value in group.on_bars(bars).items()}
    return compute


def _read(warehouse: Warehouse, line: Line, window: Window, cutoff: datetime,
          lookback: int) -> tuple[pd.DataFrame, datetime]:
    """All versions of the bars that the window's rows can need, and the opening of the first possible row."""
    symbols = list(line.symbols) or None
    new = asof.read(warehouse, Kind.BARS, as_of=cutoff, start=window.start, end=window.end, symbols=symbols,
                    by="available_at", revisions="first")
    # A row may have waited until now for a bar of its look-back, or be of a bar that itself came late.
    first_row = window.start - view.GRACE - _BAR
    new = new[new["interval"] == line.interval]
    if len(new):
        first_row = min(first_row, new["event_time"].min().to_pydatetime())
    first_row = first_row.replace(minute=0, second=0, microsecond=0)
    bars = asof.read(warehouse, Kind.BARS, as_of=cutoff, start=first_row - lookback * _BAR, end=window.end,
                     symbols=symbols, revisions="all")
    return bars[bars["interval"] == line.interval], first_row


def _report_gaps(line: Line, window: Window, chosen: np.ndarray, whole: np.ndarray) -> None:  # type: ignore[type-arg]
    lost = int(chosen.sum() - whole.sum())
    if lost:
        _log.info("%s %s: %d of %d rows left out: bars of their look-back are missing", line.name, window.key, lost,
                  int(chosen.sum()))


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
