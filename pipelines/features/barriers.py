"""Labels of three barriers: what is touched first, a gain, a loss or the end of the time?

Around the close of the row's bar stand an upper and a lower barrier, ``upper`` and ``lower`` times sigma away in log
price, where sigma is the realised volatility of the last ``volatility_bars`` hours times sqrt(``horizon_bars``), so
that a multiple means the same at every horizon. Both are what was known at the row's time; where a bar of the look-back
was still awaited then, or the price had not moved at all, there is no label. From the next bar on highs and lows touch.

*triple_barrier*: y = 1 if the upper barrier is touched first, 0 if the lower one. A bar that touches both has touched
the lower one first: nobody knows, and the other answer would flatter. After ``horizon_bars`` bars without a touch the
label is whether the last close is above the row's (``timeout = "sign"``), or there is none (``"absent"``). A bar that
is missing before the first touch leaves no label either.

*meta_label*: a rule has chosen the side already: with (``momentum``) or against (``reversal``) the return of the last
``side_bars``. ``upper`` is the gain and ``lower`` the loss of that side, and y = 1 if acting earns more than the costs
of both its trades. Where the rule has no side there is no label. To train on it is to learn when to follow the rule.

Acting: in at the open of the next bar; out at the barrier (a gain at its limit or a better open, a loss at its stop or
a worse open), or at the last close. ``forward_return`` is what that earns before costs, of the chosen side.
The book of the back-test holds positions for a fixed time, so it is not kept of these labels.

``label_end`` is the first moment at which the bars from the row's on tell of a touch, with the versions known then;
hence a label's length varies, and folds are purged by it. Labels that overlap are no independent samples; weights of
uniqueness (chapter 4) are left out: the tests of the gate measure how long differences hang together instead.

References:
    M. López de Prado, *Advances in Financial Machine Learning*, Wiley 2018, sections 3.3 to 3.6 (there of daily
    volatility by an exponential mean, whose memory has no end).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ConfigError
from pipelines.features import view
from pipelines.features.declare import Bars
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import shift, window_mean
from pipelines.sentiment.hours import Ints

_OPEN, _HIGH, _LOW, _CLOSE = range(4)  # of view.FIELDS


@dataclass(frozen=True)
class Outcomes:
    """Arrays of shape (hours, symbols) by the row's bar: ``y`` (NaN: no label), ``end`` (microseconds since 1970,
    ``view.NEVER``: not known yet) and ``forward_return``."""

    y: FloatArray
    end: Ints
    forward_return: FloatArray


def lookback(line: Line) -> int:
    """Bars before a row's own that its barriers and its side are made of."""
    target = line.target
    return max(target.volatility_bars, target.side_bars if target.kind == "meta_label" else 0)


def outcomes(past: view.History, line: Line) -> Outcomes:
    """The label of every bar of a history.

    Raises:
        ConfigError: a meta-label without costs.
    """
    target = line.target
    close, width, side = _at_the_row(past, line)
    up, down = np.where(side > 0, target.upper, target.lower), np.where(side > 0, target.lower, target.upper)
    start, at, values = _versions(past)
    y, end, earned = _touch(past.values, past.available, start, at, values, close, up * width, down * width, side,
                            target.horizon_bars, target.timeout == "sign")
    if target.kind == "meta_label":
        if line.costs is None:
            raise ConfigError(f"{line.name}: a meta-label asks what is left after costs; add a [costs] table")
        y = np.where(np.isnan(earned), np.nan, (earned > 2 * line.costs.one_way).astype(np.float64))
    return Outcomes(y, end, earned)


def _at_the_row(past: view.History, line: Line) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Close, sigma over the horizon, and side (1 long, -1 short; NaN: no label), as known at each row's time."""
    target = line.target
    meta = target.kind == "meta_label"

    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        squares = bars.log_return * bars.log_return
        found = {"close": bars.close, "volatility": np.sqrt(window_mean(squares, target.volatility_bars))}
        return {**found, **({"before": shift(bars.close, target.side_bars)} if meta else {})}

    found = view.evaluate(past, compute, lookback(line))
    close, sigma = found.values["close"], found.values["volatility"]
    side = np.ones_like(close)
    if meta:
        with np.errstate(invalid="ignore"):
            side = np.sign(close - found.values["before"]) * (1.0 if target.side == "momentum" else -1.0)
    with np.errstate(invalid="ignore"):
        usable = (found.time == past.available) & (past.available < view.NEVER) & (sigma > 0) & (np.abs(side) == 1)
    return close, sigma * np.sqrt(target.horizon_bars), np.where(usable, side, np.nan)


def _versions(past: view.History) -> tuple[Ints, Ints, FloatArray]:
    """Later versions by cell: cell c (row x symbols + column) has ``start[c]`` to ``start[c + 1]``, by time."""
    hours, symbols = past.available.shape
    cell = past.later_place[:, 0] * symbols + past.later_place[:, 1] if len(past.later_at) else np.empty(
        0, dtype=np.int64)
    order = np.lexsort((np.arange(len(cell)), past.later_at, cell))
    start = np.searchsorted(cell[order], np.arange(hours * symbols + 1)).astype(np.int64)
    return start, past.later_at[order].astype(np.int64), np.ascontiguousarray(
        past.later_values[order], dtype=np.float64).reshape(len(order), len(view.FIELDS))


@kernel
def _price(field: int, row: int, column: int, when: int, first: Any, start: Any, at: Any, values: Any) -> float:
    """A bar's price in the version known at ``when``."""
    cell = row * first.shape[2] + column
    price = first[field, row, column]
    for place in range(start[cell], start[cell + 1]):
        if at[place] > when:
            break
        price = values[place, field]
    return float(price)


@kernel
def _touch(first: Any, available: Any, start: Any, at: Any, values: Any, close: Any, up: Any, down: Any, side: Any,
           horizon: int, sign: bool) -> Any:
    """Walk from each row along its bars until, in the versions known by then, one of them touches; the barriers are
    ``up`` and ``down`` away in log price."""
    hours, symbols = available.shape
    never = np.iinfo(np.int64).max
    y, earned = np.full((hours, symbols), np.nan), np.full((hours, symbols), np.nan)
    end = np.full((hours, symbols), never, dtype=np.int64)
    for column in range(symbols):
        for row in range(hours):
            chosen = side[row, column]
            if np.isnan(chosen):
                continue
            # Scalar exponentials: those of an array may differ in the last bit by position.
            upper = close[row, column] * math.exp(up[row, column])
            lower = close[row, column] * math.exp(-down[row, column])
            known = available[row, column]
            revised = False
            for step in range(1, min(horizon, hours - 1 - row) + 1):
                bar = row + step
                if available[bar, column] == never:
                    break
                known = max(known, available[bar, column])
                cell = bar * symbols + column
                revised = revised or start[cell] < start[cell + 1]
                # Bars looked at before are worth another look only if one of them was corrected since.
                touched, hit = 0, bar
                for place in range(row + 1 if revised else bar, bar + 1):
                    high = _price(_HIGH, place, column, known, first, start, at, values)
                    low = _price(_LOW, place, column, known, first, start, at, values)
                    above, below = high >= upper, low <= lower
                    if above or below:
                        # Both in one bar: the one that loses.
                        touched = -1 if below and (chosen > 0 or not above) else 1
                        hit = place
                        break
                if not touched and step < horizon:
                    continue
                if not touched and not sign:
                    break
                out = _price(_CLOSE, bar, column, known, first, start, at, values)
                if touched:
                    opened = _price(_OPEN, hit, column, known, first, start, at, values)
                    out = max(upper, opened) if touched > 0 else min(lower, opened)
                    y[row, column] = 1.0 if touched > 0 else 0.0
                else:
                    y[row, column] = 1.0 if out > close[row, column] else 0.0
                entry = _price(_OPEN, row + 1, column, known, first, start, at, values)
                earned[row, column] = chosen * (out / entry - 1.0)
                end[row, column] = known
                break
    return y, end, earned
