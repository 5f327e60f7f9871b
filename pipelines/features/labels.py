"""What a row should have predicted, when that became known, and what acting on it would have earned.

A label is a statistic of the bars after its row, with the versions known when the last of them was there
(``label_end``); what is corrected later does not change it.

Timing: the row of bar t is decided at its close. *Direction*: y = 1 if close[t+h] > close[t]. Whoever acts on it buys
at the open of the next bar and sells at the last close: forward_return = close[t+h] / open[t+1] - 1. *Volatility*:
y = 1 if the realised volatility over bars t+1 to t+h exceeds the median of the same statistic over the windows ending
at the last ``median_bars`` bars, as far as they were known at the row's time (at least half of them); there is nothing
to trade. *Triple barrier* and *meta-label*: see ``barriers``. A line that learns from texts or trades has labels of
its own (``texts``, ``trades``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.features import barriers, view
from pipelines.features.declare import Bars
from pipelines.features.known import in_force
from pipelines.features.numerics.rolling import shift, window_sum
from pipelines.sentiment.hours import HOUR_US, Ints, times
from pipelines.store import Warehouse, asof

COLUMNS = ("symbol", "event_time", "y", "label_end", "forward_return", "prev_label")
_BAR = timedelta(hours=1)
#: So far back the last known label is searched when bars are missing.
_SLACK = timedelta(days=7)
#: Share of the median's windows that have to be known. Each missing bar takes ``horizon_bars`` + 1 of them.
_KNOWN = 0.5
_CHUNK = 2048


def history(line: Line) -> timedelta:
    """How much earlier than its first row the bars that ``label`` is given have to begin."""
    bars = 2 * line.target.horizon_bars
    if line.target.kind == "volatility":
        bars += line.target.median_bars
    elif line.target.on_barriers:
        bars += barriers.lookback(line)
    return bars * _BAR + _SLACK


def read(warehouse: Warehouse, line: Line, *, start: datetime, end: datetime, as_of: datetime) -> pd.DataFrame:
    """The labels known at ``as_of`` of the rows whose bars open in ``[start, end)``; columns as of ``label``."""
    bars = asof.read(warehouse, Kind.BARS, as_of=as_of, start=start - history(line), end=end + line.horizon,
                     symbols=list(line.symbols) or None, revisions="all")
    labels = label(bars[bars["interval"] == line.interval], line)
    event_time = labels["event_time"]
    return labels[(event_time >= pd.Timestamp(start)) & (event_time < pd.Timestamp(end))].reset_index(drop=True)


def label(bars_view: pd.DataFrame, line: Line) -> pd.DataFrame:
    """Label every bar whose outcome is in ``bars_view``.

    Args:
        bars_view: bars of one interval with all their revisions, as of some time; begins ``history(line)`` before
            the first row that matters (the medians and the last labels of earlier rows would be missing).

    Returns:
        ``COLUMNS``, ordered by (event_time, symbol): ``y`` int64 in {0, 1}; ``label_end`` UTC; ``forward_return`` a
        simple return, NaN for volatility; ``prev_label`` the latest label that was known at the row's time
        (float64, NaN: none). A row whose outcome lacks a bar has no label.

    Raises:
        ContractError: bars off the hourly grid. ConfigError: a meta-label without costs.
    """
    if bars_view.empty:
        return _frame((), 0, np.empty((2, 0), dtype=np.int64), {})
    opened = bars_view["event_time"]
    past = view.history(bars_view, opened.min().to_pydatetime(), opened.max().to_pydatetime() + _BAR)
    y, ends, earned = (_touched if line.target.on_barriers else _at_the_horizon)(past, line)
    labelled = (ends < view.NEVER) & (past.available < view.NEVER) & ~np.isnan(y)
    previous = _previous(y, np.where(labelled, ends, view.NEVER), past.available)
    cells = np.stack(np.nonzero(labelled))
    return _frame(past.symbols, past.first, cells, {
        "y": y[labelled], "label_end": ends[labelled], "prev_label": previous[labelled],
        "forward_return": earned[labelled]})


def _touched(past: view.History, line: Line) -> tuple[FloatArray, Ints, FloatArray]:
    found = barriers.outcomes(past, line)
    return found.y, found.end, found.forward_return


def _at_the_horizon(past: view.History, line: Line) -> tuple[FloatArray, Ints, FloatArray]:
    """y, label end and forward return of labels that are all of one length, shape (hours, symbols)."""
    horizon = line.target.horizon_bars
    compute = _direction(horizon) if line.target.kind == "direction" else _volatility(horizon)
    outcome = view.evaluate(past, compute, horizon, grace=None)
    # What is known at bar t + h is the outcome of the row at bar t.
    ends = _pull(outcome.time, horizon, view.NEVER)
    values = {name: _pull(value, horizon, np.nan) for name, value in outcome.values.items()}
    if line.target.kind == "direction":
        y = values["up"]
    else:
        usual = _known_median(outcome.values["volatility"], outcome.time, past.available, line.target.median_bars)
        y = np.where(np.isnan(usual), np.nan, (values["volatility"] > usual).astype(np.float64))
    return y, ends, values.get("forward_return", np.full(y.shape, np.nan))


def _direction(horizon: int) -> view.Compute:
    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        before = shift(bars.close, horizon)
        missing = np.isnan(bars.close) | np.isnan(before)
        return {"up": np.where(missing, np.nan, (bars.close > before).astype(np.float64)),
                "forward_return": bars.close / shift(bars.open, horizon - 1) - 1}
    return compute


def _volatility(horizon: int) -> view.Compute:
    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        return {"volatility": np.sqrt(window_sum(bars.log_return * bars.log_return, horizon))}
    return compute


def _pull(values: np.ndarray, rows: int, empty: float) -> np.ndarray:  # type: ignore[type-arg]
    """The value ``rows`` later; ``empty`` where there is none."""
    moved = np.full_like(values, empty)
    moved[:max(len(values) - rows, 0)] = values[rows:]
    return moved


def _known_median(statistic: FloatArray, known: Ints, at: Ints, width: int) -> FloatArray:
    """Median over the last ``width`` rows of what was known at each row; NaN when too little was."""
    result = np.full_like(statistic, np.nan)
    lead = np.full(width - 1, np.nan), np.full(width - 1, view.NEVER, dtype=np.int64)
    for column in range(statistic.shape[1]):
        values, times = (np.lib.stride_tricks.sliding_window_view(np.concatenate([before, array[:, column]]), width)
                         for before, array in zip(lead, (statistic, known), strict=True))
        asked = at[:, column]
        for begin in range(0, len(values), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            seen = np.where(times[part] <= asked[part, None], values[part], np.nan)
            result[part, column] = _median(seen, int(np.ceil(_KNOWN * width)))
    return result


def _median(rows: FloatArray, needed: int) -> FloatArray:
    ordered = np.sort(rows, axis=1)  # NaN goes last
    count = (~np.isnan(rows)).sum(axis=1)
    at = np.arange(len(rows))
    low, high = (ordered[at, np.maximum((count - odd) // 2, 0)] for odd in (1, 0))
    # With an even count the middle is between two values; high of an odd count is the same value as low.
    high = np.where(count % 2 == 1, low, high)
    return np.where(count >= needed, 0.5 * (low + high), np.nan)


def _previous(y: FloatArray, ends: Ints, at: Ints) -> FloatArray:
    previous = np.full_like(y, np.nan)
    for column in range(y.shape[1]):
        rows = np.flatnonzero(ends[:, column] < view.NEVER)
        chosen = in_force(rows, ends[rows, column], at[:, column])
        known = (chosen >= 0) & (at[:, column] < view.NEVER)
        previous[known, column] = y[rows[chosen[known]], column]
    return previous


def _frame(symbols: tuple[str, ...], first: int, cells: Ints, values: Mapping[str, Any]) -> pd.DataFrame:
    row, column = cells
    empty = np.empty(0)
    frame = pd.DataFrame({
        "symbol": pd.Series(np.array(symbols, dtype=object)[column], dtype="str"),
        "event_time": times((first + row) * HOUR_US),
        "y": values.get("y", empty).astype(np.int64),
        "label_end": times(values.get("label_end", row)),
        "forward_return": values.get("forward_return", empty),
        "prev_label": values.get("prev_label", empty),
    })
    return frame[list(COLUMNS)]
