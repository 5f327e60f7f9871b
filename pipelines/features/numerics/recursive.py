"""Recursive indicators whose value does not depend on where the array begins.

The recursion of a row begins with the first bar present from some weeks before the row's Monday on (one for EMA12, two
for EMA26, MACD, RSI and all of Wilder's with 14 hours, three for EMA50: ``anchors.warmup``), with TA-Lib's seed (plain
mean of the first ``period`` values) and TA-Lib's formula: the row equals TA-Lib run on the bars from that hour on. What
TA-Lib run on the whole history says differs by less than 1e-6 of the value (of the price for MACD), as the seed has
faded by then.

A missing bar is skipped as if the hour did not exist: the next bar follows the last one present. Its own row is NaN;
so is every row before which less than ``PRESENT`` of the hours since the recursion's start are there, and every row
whose start lies before the array. Nothing else spreads.

Arrays are float64 of shape (hours, symbols), oldest first, NaN where a bar is missing; ``first`` is the hour since
1970-01-01 00:00 UTC of row 0 (`Bars.first`).

References:
    J.W. Wilder, *New Concepts in Technical Trading Systems*, Trend Research 1978 (RSI).
    G. Appel, *Technical Analysis: Power Tools for Active Investors*, FT Prentice Hall 2005 (MACD).
    TA-Lib, https://ta-lib.org, functions EMA, MACD, RSI: seeds and conventions.
"""

from __future__ import annotations

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.anchors import WEEK, mondays, plain, warmup
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT
from pipelines.sentiment.hours import Ints

#: A sum of moves below this share of the price is none (TA-Lib: the number itself, whatever the price).
EPSILON = 1e-14


def ema(values: FloatArray, first: int, period: int) -> FloatArray:
    """Exponential moving average with factor 2 / (period + 1), seeded with the mean of the first ``period`` values."""
    lead = warmup(period, 2 / (period + 1))
    return _ema(plain(values), mondays(first, len(values), lead), lead, period)  # type: ignore[no-any-return]


def macd(values: FloatArray, first: int, fast: int = 12, slow: int = 26,
         signal: int = 9) -> tuple[FloatArray, FloatArray, FloatArray]:
    """EMA(fast) - EMA(slow), its EMA(signal), and the difference of the two (line, signal, histogram).

    As in TA-Lib both averages begin at the same bar: the fast one is seeded with the last ``fast`` of the first
    ``slow`` values.
    """
    lead = warmup(slow + signal, 2 / (slow + 1))
    line, smooth = _macd(plain(values), mondays(first, len(values), lead), lead, fast, slow, signal)
    return line, smooth, line - smooth


def rsi(values: FloatArray, first: int, period: int = 14) -> FloatArray:
    """Wilder's relative strength index, 0 to 100; 0 while nothing moves (TA-Lib's convention)."""
    lead = warmup(period + 1, 1 / period)
    return _rsi(plain(values), mondays(first, len(values), lead), lead, period)  # type: ignore[no-any-return]


@kernel
def enough(seen: int, needed: int, hours: int) -> bool:
    """Whether a row ``hours`` after the start, of which ``seen`` are present, has a value."""
    return seen >= needed and seen >= PRESENT * hours


@kernel
def smoothed(level: float, value: float, number: int, period: int, factor: float) -> float:
    """The mean after its ``number``-th value (from 1 on): a sum until the seed is full, then the recursion."""
    if number > period:
        return (value - level) * factor + level
    total = level + value
    return total / period if number == period else total


@kernel
def _ema(values: FloatArray, weeks: Ints, lead: int, period: int) -> FloatArray:
    hours, symbols = values.shape
    result = np.full((hours, symbols), np.nan)
    level, seen, factor = np.empty(symbols), np.empty(symbols, dtype=np.int64), 2.0 / (period + 1)
    for monday in weeks:
        level[:] = 0.0
        seen[:] = 0
        begin = monday - lead
        for row in range(begin, min(monday + WEEK, hours)):
            for symbol in range(symbols):
                value = values[row, symbol]
                if value == value:
                    seen[symbol] += 1
                    level[symbol] = smoothed(level[symbol], value, seen[symbol], period, factor)
                    if row >= monday and enough(seen[symbol], period, row - begin + 1):
                        result[row, symbol] = level[symbol]
    return result


@kernel
def _macd(values: FloatArray, weeks: Ints, lead: int, fast: int, slow: int,
          signal: int) -> tuple[FloatArray, FloatArray]:
    hours, symbols = values.shape
    line, smooth = np.full((hours, symbols), np.nan), np.full((hours, symbols), np.nan)
    quick, calm, mean = np.empty(symbols), np.empty(symbols), np.empty(symbols)
    seen = np.empty(symbols, dtype=np.int64)
    a, b, c = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (signal + 1)
    for monday in weeks:
        quick[:] = 0.0
        calm[:] = 0.0
        mean[:] = 0.0
        seen[:] = 0
        begin = monday - lead
        for row in range(begin, min(monday + WEEK, hours)):
            for symbol in range(symbols):
                value = values[row, symbol]
                if value == value:
                    seen[symbol] += 1
                    number = seen[symbol]
                    calm[symbol] = smoothed(calm[symbol], value, number, slow, b)
                    if number > slow - fast:
                        quick[symbol] = smoothed(quick[symbol], value, number - slow + fast, fast, a)
                    if number >= slow:
                        gap = quick[symbol] - calm[symbol]
                        mean[symbol] = smoothed(mean[symbol], gap, number - slow + 1, signal, c)
                        if row >= monday and enough(number, slow + signal - 1, row - begin + 1):
                            line[row, symbol] = gap
                            smooth[row, symbol] = mean[symbol]
    return line, smooth


@kernel
def _rsi(values: FloatArray, weeks: Ints, lead: int, period: int) -> FloatArray:
    hours, symbols = values.shape
    result = np.full((hours, symbols), np.nan)
    gain, loss, before = np.empty(symbols), np.empty(symbols), np.empty(symbols)
    seen, factor = np.empty(symbols, dtype=np.int64), 1.0 / period
    for monday in weeks:
        gain[:] = 0.0
        loss[:] = 0.0
        seen[:] = 0
        begin = monday - lead
        for row in range(begin, min(monday + WEEK, hours)):
            for symbol in range(symbols):
                value = values[row, symbol]
                if value == value:
                    seen[symbol] += 1
                    number = seen[symbol]
                    if number > 1:
                        change = value - before[symbol]
                        gain[symbol] = smoothed(gain[symbol], max(change, 0.0), number - 1, period, factor)
                        loss[symbol] = smoothed(loss[symbol], max(-change, 0.0), number - 1, period, factor)
                    before[symbol] = value
                    if row >= monday and enough(number, period + 1, row - begin + 1):
                        moved = gain[symbol] + loss[symbol]
                        result[row, symbol] = 100.0 * (gain[symbol] / moved) if moved > EPSILON * value else 0.0
    return result
