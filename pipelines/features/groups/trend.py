"""Where the price stands in its recent past.

References:
    J.W. Wilder, *New Concepts in Technical Trading Systems*, 1978 (RSI). Wilder's smoothing has an infinite memory;
    here the plain window means of D. Cutler are used, whose value depends on the window alone.
    J. Bollinger, *Bollinger on Bollinger Bands*, McGraw-Hill 2001, chapter 7 (position between the bands).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group
from pipelines.features.numerics.rolling import shift, window_mean, window_std

_SMA_HOURS = (24, 168)
_RSI_HOURS = 14
_BAND_HOURS = 20
_MOMENTUM_HOURS = 168


def _rsi(bars: Bars) -> FloatArray:
    change = bars.close - shift(bars.close, 1)
    gain, loss = (window_mean(np.maximum(side, 0.0), _RSI_HOURS) for side in (change, -change))
    moved = gain + loss
    # A price that did not move is neither strong nor weak.
    return np.where(moved == 0, 50.0, 100.0 * gain / np.where(moved == 0, 1.0, moved))


def _band_position(bars: Bars) -> FloatArray:
    spread = window_std(bars.close, _BAND_HOURS)
    gap = bars.close - window_mean(bars.close, _BAND_HOURS)
    return np.where(spread == 0, 0.0, gap / np.where(spread == 0, 1.0, spread))


def _compute(bars: Bars) -> Mapping[str, FloatArray]:
    return {
        **{f"sma_distance_{hours}h": np.log(bars.close / window_mean(bars.close, hours)) for hours in _SMA_HOURS},
        "rsi_14h": _rsi(bars),
        "bollinger_z_20h": _band_position(bars),
        "momentum_168h": np.log(bars.close / shift(bars.close, _MOMENTUM_HOURS)),
    }


GROUP = Group(
    "trend",
    (*(Feature(f"sma_distance_{hours}h", ("close",), hours - 1, "log ratio", f"ln(c / SMA{hours}(c))")
       for hours in _SMA_HOURS),
     Feature("rsi_14h", ("close",), _RSI_HOURS, "0 to 100",
             "100 U / (U + D), U and D the mean gain and loss over 14 h (Wilder 1978 with Cutler's window means)"),
     Feature("bollinger_z_20h", ("close",), _BAND_HOURS - 1, "standard deviations",
             "(c - SMA20) / population standard deviation over 20 h (Bollinger 2001)"),
     Feature("momentum_168h", ("close",), _MOMENTUM_HOURS, "log return", "ln(c[t] / c[t-168])")),
    from_bars=_compute)
