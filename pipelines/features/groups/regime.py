"""What kind of market an hour belongs to: by rule, and learned.

The rules read Wilder's ADX and ATR, which start anew as in `pipelines.features.groups.oscillators`; the learned regime
is a hidden Markov model fitted on the four weeks before the row's Monday and filtered forward, never smoothed: see
`pipelines.features.numerics.hmm`. Nothing here sees a bar after its own.

References:
    J.W. Wilder, *New Concepts in Technical Trading Systems*, Trend Research 1978 (ADX above 25: a trend worth
    following; below 20: none).
    J.D. Hamilton, Econometrica 57 (1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.anchors import FIT, WEEK, lookback, warmup
from pipelines.features.numerics.rolling import window_mean

if TYPE_CHECKING:
    from pipelines.features.numerics.directional import Directional

_TRENDING, _RANGING = 25.0, 20.0
_VOLATILE = 1.5
_CALM_HOURS = 168
#: A smaller log range is one basis point: a motionless hour is calm, not minus infinity.
_LEAST_RANGE = 1e-4


def _above(values: FloatArray, limit: float) -> FloatArray:
    return np.where(np.isnan(values), np.nan, np.where(values > limit, 1.0, 0.0))


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    from pipelines.features.numerics.directional import (
        directional,  # compiled loops: only who computes pays for the compiler
    )
    from pipelines.features.numerics.hmm import turbulence

    @cache
    def wilder() -> Directional:
        return directional(bars.high, bars.low, bars.close, bars.first)

    @cache
    def swell() -> FloatArray:
        """ATR as a share of the price over its trailing mean; 1 where nothing moves. Not the ATR in money, which rises
        with the price of a calm trend."""
        atr = wilder().atr / bars.close
        usual = window_mean(atr, _CALM_HOURS)
        return np.where(usual == 0, 1.0, atr / np.where(usual == 0, 1.0, usual))

    def direction() -> FloatArray:
        plus, minus = wilder().plus_di, wilder().minus_di
        moved = plus + minus
        return np.where(moved == 0, 0.0, (plus - minus) / np.where(moved == 0, 1.0, moved))

    @cache
    def learned() -> tuple[FloatArray, FloatArray]:
        return turbulence(bars.log_return, np.log(np.maximum(bars.log_range, _LEAST_RANGE)), bars.first)

    return {
        "regime_trending": lambda: _above(wilder().adx, _TRENDING),
        "regime_ranging": lambda: _above(-wilder().adx, -_RANGING),
        "regime_volatile": lambda: _above(swell(), _VOLATILE),
        "regime_trend_strength": lambda: wilder().adx / _TRENDING,
        "regime_trend_direction": direction,
        "regime_volatility_strength": lambda: np.log(np.maximum(swell(), _LEAST_RANGE)),
        "regime_hmm_turbulent": lambda: learned()[0],
        "regime_hmm_volatility": lambda: learned()[1],
    }


_PRICES = ("high", "low", "close")
_LEAD = warmup(2 * 14, 1 / 14)
_START = f"starts anew {_LEAD} h before the row's Monday"
_FITTED = ("2 normal states of return and log range, 12 rounds of EM on the 672 h before the row's Monday "
           "(Hamilton 1989)")

GROUP = Group(
    "regime",
    (Feature("regime_trending", _PRICES, lookback(_LEAD), "0 or 1", f"ADX14 > 25 (Wilder 1978); {_START}"),
     Feature("regime_ranging", _PRICES, lookback(_LEAD), "0 or 1", f"ADX14 < 20 (Wilder 1978); {_START}"),
     Feature("regime_volatile", _PRICES, lookback(_LEAD) + _CALM_HOURS - 1, "0 or 1",
             f"ATR14 / c > 1.5 times its mean over 168 h; {_START}"),
     Feature("regime_trend_strength", _PRICES, lookback(_LEAD), "1 where a trend begins", f"ADX14 / 25; {_START}"),
     Feature("regime_trend_direction", _PRICES, lookback(_LEAD), "-1 down to 1 up",
             f"(+DI14 - -DI14) / (+DI14 + -DI14) (Wilder 1978); {_START}"),
     Feature("regime_volatility_strength", _PRICES, lookback(_LEAD) + _CALM_HOURS - 1, "log ratio",
             f"ln(s / its mean over 168 h), s = ATR14 / c; {_START}"),
     Feature("regime_hmm_turbulent", _PRICES, FIT + WEEK, "probability",
             f"P(turbulent) given the bars up to the row, {_FITTED}"),
     Feature("regime_hmm_volatility", _PRICES, FIT + WEEK, "log return per sqrt(hour)",
             f"standard deviation of the next hour's return, {_FITTED}")),
    from_bars=_compute)
