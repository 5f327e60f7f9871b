"""The standard indicators as TA-Lib computes them, put so that they compare over symbols.

The recursive ones (EMA, RSI, MACD, ATR, ADX, +DI, -DI) start anew at fixed hours: a row of a week (Monday 00:00 to
Sunday 23:00 UTC) carries the recursion that began one to three weeks before that Monday (each feature's source says
when), with TA-Lib's seed and formula, so that a row is the same to the bit however much history is computed with it;
see `numerics/recursive.py`. Missing bars are skipped there; a window (SMA, Bollinger) counts what is present.

References:
    J.W. Wilder, *New Concepts in Technical Trading Systems*, Trend Research 1978 (RSI, ATR, ADX, +DI, -DI).
    G. Appel, *Technical Analysis: Power Tools for Active Investors*, FT Prentice Hall 2005 (MACD).
    J. Bollinger, *Bollinger on Bollinger Bands*, McGraw-Hill 2001 (%B, BandWidth).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.anchors import lookback, warmup
from pipelines.features.numerics.rolling import window_mean, window_std

if TYPE_CHECKING:
    from pipelines.features.numerics.directional import Directional

_SMA_HOURS = (20, 50)
_EMA_HOURS = (12, 26, 50)
_BAND_HOURS = 20
_BAND_WIDTH = 2.0


def bollinger(close: FloatArray, hours: int = _BAND_HOURS,
              width: float = _BAND_WIDTH) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Upper, middle and lower band (TA-Lib's BBANDS): the mean and ``width`` population standard deviations."""
    middle, reach = window_mean(close, hours), width * window_std(close, hours)
    return middle + reach, middle, middle - reach


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    from pipelines.features.numerics import recursive  # compiled loops: only who computes pays for the compiler
    from pipelines.features.numerics.directional import directional

    close, first = bars.close, bars.first

    @cache
    def macd() -> tuple[FloatArray, FloatArray, FloatArray]:
        return recursive.macd(close, first)

    @cache
    def wilder() -> Directional:
        return directional(bars.high, bars.low, close, first)

    @cache
    def bands() -> tuple[FloatArray, FloatArray, FloatArray]:
        return bollinger(close)

    def percent_b() -> FloatArray:
        upper, _, lower = bands()
        reach = upper - lower
        return np.where(reach == 0, 0.5, (close - lower) / np.where(reach == 0, 1.0, reach))

    def sma_distance(hours: int) -> FloatArray:
        return np.log(close / window_mean(close, hours))

    def ema_distance(hours: int) -> FloatArray:
        return np.log(close / recursive.ema(close, first, hours))

    return {
        **{f"sma_distance_{hours}h": partial(sma_distance, hours) for hours in _SMA_HOURS},
        **{f"ema_distance_{hours}h": partial(ema_distance, hours) for hours in _EMA_HOURS},
        "rsi_wilder_14h": lambda: recursive.rsi(close, first),
        "macd_12_26h": lambda: macd()[0] / close,
        "macd_signal_9h": lambda: macd()[1] / close,
        "macd_histogram": lambda: macd()[2] / close,
        "bollinger_percent_b_20h": percent_b,
        "bollinger_width_20h": lambda: (bands()[0] - bands()[2]) / bands()[1],
        "atr_wilder_14h": lambda: wilder().atr / close,
        "adx_14h": lambda: wilder().adx,
        "plus_di_14h": lambda: wilder().plus_di,
        "minus_di_14h": lambda: wilder().minus_di,
    }


_PRICES = ("high", "low", "close")
_SLOW = warmup(26 + 9, 2 / 27)
_WILDER = warmup(2 * 14, 1 / 14)


def _recursive(name: str, inputs: tuple[str, ...], lead: int, unit: str, source: str) -> Feature:
    return Feature(name, inputs, lookback(lead), unit, f"{source}; starts anew {lead} h before the row's Monday")


GROUP = Group(
    "oscillators",
    (*(Feature(f"sma_distance_{hours}h", ("close",), hours - 1, "log ratio", f"ln(c / SMA{hours}(c))")
       for hours in _SMA_HOURS),
     *(_recursive(f"ema_distance_{hours}h", ("close",), warmup(hours, 2 / (hours + 1)), "log ratio",
                  f"ln(c / EMA{hours}(c)) (TA-Lib EMA)") for hours in _EMA_HOURS),
     _recursive("rsi_wilder_14h", ("close",), _WILDER, "0 to 100",
                "100 U / (U + D), U and D Wilder's means of gains and losses (Wilder 1978, TA-Lib RSI)"),
     _recursive("macd_12_26h", ("close",), _SLOW, "share of price",
                "(EMA12 - EMA26) / c (Appel 2005, TA-Lib MACD)"),
     _recursive("macd_signal_9h", ("close",), _SLOW, "share of price",
                "EMA9(EMA12 - EMA26) / c (Appel 2005, TA-Lib MACD)"),
     _recursive("macd_histogram", ("close",), _SLOW, "share of price",
                "(MACD - signal) / c (Appel 2005, TA-Lib MACD)"),
     Feature("bollinger_percent_b_20h", ("close",), _BAND_HOURS - 1, "0 at the lower, 1 at the upper band",
             "(c - lower) / (upper - lower), bands SMA20 -+ 2 population standard deviations (Bollinger 2001)"),
     Feature("bollinger_width_20h", ("close",), _BAND_HOURS - 1, "share of price",
             "(upper - lower) / SMA20 (Bollinger 2001)"),
     _recursive("atr_wilder_14h", _PRICES, _WILDER, "share of price",
                "Wilder's mean true range / c (Wilder 1978, TA-Lib ATR)"),
     _recursive("adx_14h", _PRICES, _WILDER, "0 to 100",
                "Wilder's mean of 100 abs(+DI - -DI) / (+DI + -DI) (Wilder 1978, TA-Lib ADX)"),
     _recursive("plus_di_14h", _PRICES, _WILDER, "0 to 100",
                "100 +DM / TR, Wilder's sums (Wilder 1978, TA-Lib PLUS_DI)"),
     _recursive("minus_di_14h", _PRICES, _WILDER, "0 to 100",
                "100 -DM / TR, Wilder's sums (Wilder 1978, TA-Lib MINUS_DI)")),
    from_bars=_compute)
