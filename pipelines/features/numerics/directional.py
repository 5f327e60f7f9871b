"""Wilder's average true range and directional movement, started anew each week as `recursive` explains.

References:
    J.W. Wilder, *New Concepts in Technical Trading Systems*, Trend Research 1978 (ATR, +DI, -DI, ADX).
    TA-Lib, https://ta-lib.org, functions ATR, PLUS_DI, MINUS_DI, ADX: seeds and conventions. Its directional sums are
    seeded with ``period`` - 1 moves, its ATR with ``period`` true ranges; an hour without any directional movement
    leaves the ADX as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.anchors import WEEK, mondays, plain, warmup
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.recursive import EPSILON, enough, smoothed
from pipelines.sentiment.hours import Ints


@dataclass(frozen=True)
class Directional:
    """Arrays of shape (hours, symbols): ``atr`` in quote currency, ``plus_di``, ``minus_di`` and ``adx`` 0 to 100."""

    atr: FloatArray
    plus_di: FloatArray
    minus_di: FloatArray
    adx: FloatArray


def directional(high: FloatArray, low: FloatArray, close: FloatArray, first: int, period: int = 14) -> Directional:
    """All four in one pass; a bar that lacks one of its prices is missing.

    Without any range both directional indicators are 0 (TA-Lib's convention) and the ADX stays.
    """
    lead = warmup(2 * period, 1 / period)
    weeks = mondays(first, len(close), lead)
    return Directional(*_directional(plain(high), plain(low), plain(close), weeks, lead, period))


@kernel
def _directional(high: FloatArray, low: FloatArray, close: FloatArray, weeks: Ints, lead: int,
                 period: int) -> FloatArray:
    hours, symbols = close.shape
    result = np.full((4, hours, symbols), np.nan)
    state = np.empty((8, symbols))
    high_before, low_before, close_before, atr, ranges, plus, minus, adx = (
        state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
    seen, keep, factor = np.empty(symbols, dtype=np.int64), 1.0 - 1.0 / period, 1.0 / period
    for monday in weeks:
        state[:] = 0.0
        seen[:] = 0
        begin = monday - lead
        for row in range(begin, min(monday + WEEK, hours)):
            for symbol in range(symbols):
                top, bottom, value = high[row, symbol], low[row, symbol], close[row, symbol]
                if top != top or bottom != bottom or value != value:
                    continue
                seen[symbol] += 1
                number = seen[symbol]
                moved = False
                if number > 1:
                    before = close_before[symbol]
                    reach = max(top, before) - min(bottom, before)
                    up, down = top - high_before[symbol], low_before[symbol] - bottom
                    atr[symbol] = smoothed(atr[symbol], reach, number - 1, period, factor)
                    decay = keep if number > period else 1.0
                    total = ranges[symbol] * decay + reach
                    rise = plus[symbol] * decay + (up if up > 0 and up > down else 0.0)
                    fall = minus[symbol] * decay + (down if down > 0 and down > up else 0.0)
                    ranges[symbol], plus[symbol], minus[symbol] = total, rise, fall
                    moved = total > EPSILON * value
                    if number > period:
                        known = moved and rise + fall > EPSILON * total
                        if known or number <= 2 * period:
                            index = 100.0 * abs(fall - rise) / (rise + fall) if known else 0.0
                            adx[symbol] = smoothed(adx[symbol], index, number - period, period, factor)
                high_before[symbol], low_before[symbol], close_before[symbol] = top, bottom, value
                if row >= monday and enough(number, period + 1, row - begin + 1):
                    result[0, row, symbol] = atr[symbol]
                    result[1, row, symbol] = 100.0 * plus[symbol] / ranges[symbol] if moved else 0.0
                    result[2, row, symbol] = 100.0 * minus[symbol] / ranges[symbol] if moved else 0.0
                    if number >= 2 * period:
                        result[3, row, symbol] = adx[symbol]
    return result
