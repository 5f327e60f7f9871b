"""Eighteen standard indicators over 50 symbols and 5,000 hours, beside what is usually written with pandas (a groupby
and a transform for each) and beside TA-Lib's own C, called once for each symbol.

Ours start each recursion anew every week (`features/numerics/anchors.py`), so they go over the hours two to four times;
TA-Lib goes once and keeps what it has, so that its value depends on where the history begins. Values are compared from
hour 1,000 on, where every seed has faded: to 1e-5 of the price, of 100 for the indices.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import talib

from pipelines.features.groups.oscillators import bollinger
from pipelines.features.numerics import recursive
from pipelines.features.numerics.directional import directional
from pipelines.features.numerics.rolling import window_mean
from tests.bench.harness import Case

SYMBOLS, HOURS, SETTLED = 50, 5_000, 1_000
SMA, EMA = (20, 50), (12, 26, 50)
INDICES = ("rsi", "plus_di", "minus_di", "adx")
#: A Monday, so that weeks begin with the array: 2024-03-04 00:00 UTC, in hours since 1970.
FIRST = 474_864

Arrays = dict[str, np.ndarray]


def prices() -> Arrays:
    """High, low and close, shape (hours, symbols)."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((HOURS, SYMBOLS)), axis=0))
    before = np.concatenate([close[:1], close[:-1]])
    return {"high": np.maximum(before, close) * (1 + 0.003 * rng.random(close.shape)),
            "low": np.minimum(before, close) * (1 - 0.003 * rng.random(close.shape)), "close": close}


def ours(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> Arrays:
    line, signal, histogram = recursive.macd(close, FIRST)
    upper, middle, lower = bollinger(close)
    found = directional(high, low, close, FIRST)
    return {**{f"sma_{hours}": window_mean(close, hours) for hours in SMA},
            **{f"ema_{hours}": recursive.ema(close, FIRST, hours) for hours in EMA},
            "rsi": recursive.rsi(close, FIRST), "macd": line, "signal": signal, "histogram": histogram,
            "upper": upper, "middle": middle, "lower": lower, "percent_b": (close - lower) / (upper - lower),
            "width": (upper - lower) / middle, "atr": found.atr, "plus_di": found.plus_di, "minus_di": found.minus_di,
            "adx": found.adx}


def with_pandas(frame: pd.DataFrame) -> Arrays:
    """Wilder's mean is an exponential one with alpha 1/14; pandas begins it with the first value."""
    symbol = frame["symbol"]

    def smooth(values: pd.Series, **how: float) -> pd.Series:
        return values.groupby(symbol).transform(lambda part: part.ewm(adjust=False, **how).mean())

    def window(values: pd.Series, hours: int, what: str) -> pd.Series:
        return values.groupby(symbol).transform(lambda part: getattr(part.rolling(hours), what)())

    wilder = partial(smooth, alpha=1 / 14)
    high, low, close = frame["high"], frame["low"], frame["close"]
    before = close.groupby(symbol).shift()
    change = close - before
    gain, loss = wilder(change.clip(lower=0)), wilder(-change.clip(upper=0))
    line = smooth(close, span=12) - smooth(close, span=26)
    signal = smooth(line, span=9)
    middle = window(close, 20, "mean")
    reach = 2 * np.sqrt(window(close, 20, "var") * 19 / 20)
    upper, lower = middle + reach, middle - reach
    up, down = high.groupby(symbol).diff(), -low.groupby(symbol).diff()
    ranges = wilder(pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1))
    plus = 100 * wilder(up.where((up > down) & (up > 0), 0.0)) / ranges
    minus = 100 * wilder(down.where((down > up) & (down > 0), 0.0)) / ranges
    adx = wilder(100 * (plus - minus).abs() / (plus + minus))
    series = {**{f"sma_{hours}": window(close, hours, "mean") for hours in SMA},
              **{f"ema_{hours}": smooth(close, span=hours) for hours in EMA},
              "rsi": 100 * gain / (gain + loss), "macd": line, "signal": signal, "histogram": line - signal,
              "upper": upper, "middle": middle, "lower": lower, "percent_b": (close - lower) / (upper - lower),
              "width": (upper - lower) / middle, "atr": ranges, "plus_di": plus, "minus_di": minus, "adx": adx}
    return {name: values.to_numpy().reshape(SYMBOLS, HOURS).T for name, values in series.items()}


def with_talib(columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Arrays:
    parts = []
    for high, low, close in columns:
        line, signal, histogram = talib.MACD(close)
        upper, middle, lower = talib.BBANDS(close, 20)
        parts.append({**{f"sma_{hours}": talib.SMA(close, hours) for hours in SMA},
                      **{f"ema_{hours}": talib.EMA(close, hours) for hours in EMA},
                      "rsi": talib.RSI(close, 14), "macd": line, "signal": signal, "histogram": histogram,
                      "upper": upper, "middle": middle, "lower": lower, "percent_b": (close - lower) / (upper - lower),
                      "width": (upper - lower) / middle, "atr": talib.ATR(high, low, close, 14),
                      "plus_di": talib.PLUS_DI(high, low, close, 14), "minus_di": talib.MINUS_DI(high, low, close, 14),
                      "adx": talib.ADX(high, low, close, 14)})
    return {name: np.stack([part[name] for part in parts], axis=1) for name in parts[0]}


def cases() -> list[Case]:
    bars = prices()
    frame = pd.DataFrame({"symbol": np.repeat([f"S{number:02}" for number in range(SYMBOLS)], HOURS),
                          **{name: values.T.ravel() for name, values in bars.items()}})
    columns = [tuple(np.ascontiguousarray(values[:, number]) for values in bars.values()) for number in range(SYMBOLS)]

    def same(left: Arrays, right: Arrays) -> bool:
        def gap(name: str) -> float:
            unit = 100.0 if name in INDICES else 1.0 if name in ("percent_b", "width") else bars["close"][SETTLED:]
            return float(np.max(np.abs(left[name][SETTLED:] - right[name][SETTLED:]) / unit))

        return list(left) == list(right) and all(gap(name) < 1e-5 for name in left)

    def mine() -> Arrays:
        return ours(**bars)

    return [
        Case("indicators_vs_pandas", mine, lambda: with_pandas(frame), float(frame.shape[0]), "rows", same),
        Case("indicators_vs_talib", mine, lambda: with_talib(columns), float(frame.shape[0]), "rows", same),  # type: ignore[arg-type]
    ]
