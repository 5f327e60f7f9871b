"""How much the price moves, by close-to-close and by range estimators.

References:
    M. Parkinson, "The Extreme Value Method for Estimating the Variance of the Rate of Return", Journal of Business
    53 (1980).
    M. Garman & M. Klass, "On the Estimation of Security Price Volatilities from Historical Data", Journal of Business
    53 (1980), their practical estimator, without the small cross term.
    L.C.G. Rogers & S.E. Satchell, "Estimating Variance from High, Low and Closing Prices", Annals of Applied
    Probability 1 (1991): right whatever the drift.
    D. Yang & Q. Zhang, "Drift-Independent Volatility Estimation Based on High, Low, Open, and Close Prices", Journal of
    Business 73 (2000): right whatever the drift and the gaps between bars.
    J.W. Wilder, *New Concepts in Technical Trading Systems*, 1978 (true range; a window mean instead of his smoothing).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group
from pipelines.features.numerics.rolling import shift, window_count, window_mean, window_std

_REALISED_HOURS = (6, 24, 168)
_RANGE_HOURS = 24
_ATR_HOURS = 14
#: Below this an hour's volatility is a frozen price, not a calm one; it keeps the ratio's logarithm finite.
_FLOOR = 1e-6


def _true_range(bars: Bars) -> FloatArray:
    before = shift(bars.close, 1)
    return np.maximum(bars.high, before) - np.minimum(bars.low, before)


def _garman_klass(bars: Bars) -> FloatArray:
    body = np.log(bars.close / bars.open)
    variance = 0.5 * (bars.log_range * bars.log_range) - (2 * math.log(2) - 1) * (body * body)
    return np.sqrt(window_mean(np.maximum(variance, 0.0), _RANGE_HOURS))


def _rogers_satchell(bars: Bars) -> FloatArray:
    """Mean variance over the window, from every bar's high and low above and below its open."""
    up, down, body = (np.log(side / bars.open) for side in (bars.high, bars.low, bars.close))
    return window_mean(np.maximum(up * (up - body) + down * (down - body), 0.0), _RANGE_HOURS)


def _sample_variance(values: FloatArray) -> FloatArray:
    spread, count = window_std(values, _RANGE_HOURS), window_count(values, _RANGE_HOURS)
    return spread * spread * (count / np.maximum(count - 1, 1.0))


def _yang_zhang(bars: Bars) -> FloatArray:
    share = 0.34 / (1.34 + (_RANGE_HOURS + 1) / (_RANGE_HOURS - 1))
    gaps = _sample_variance(np.log(bars.open / shift(bars.close, 1)))
    bodies = _sample_variance(np.log(bars.close / bars.open))
    return np.sqrt(gaps + share * bodies + (1 - share) * _rogers_satchell(bars))


def _compute(bars: Bars) -> Mapping[str, FloatArray]:
    squares = bars.log_return * bars.log_return
    realised = {hours: np.sqrt(window_mean(squares, hours)) for hours in _REALISED_HOURS}
    ranges = window_mean(bars.log_range * bars.log_range, _RANGE_HOURS)
    return {
        **{f"realised_volatility_{hours}h": value for hours, value in realised.items()},
        "parkinson_24h": np.sqrt(ranges / (4 * math.log(2))),
        "garman_klass_24h": _garman_klass(bars),
        "rogers_satchell_24h": np.sqrt(_rogers_satchell(bars)),
        "yang_zhang_24h": _yang_zhang(bars),
        "atr_14h": window_mean(_true_range(bars), _ATR_HOURS) / bars.close,
        "volatility_ratio_24_168h": np.log(np.maximum(realised[24], _FLOOR) / np.maximum(realised[168], _FLOOR)),
    }


GROUP = Group(
    "volatility",
    (*(Feature(f"realised_volatility_{hours}h", ("close",), hours, "log return per sqrt(hour)",
               f"sqrt(mean of squared hourly log returns over {hours} h)") for hours in _REALISED_HOURS),
     Feature("parkinson_24h", ("high", "low"), _RANGE_HOURS - 1, "log return per sqrt(hour)",
             "sqrt(mean of ln(h/l)^2 / (4 ln 2)) (Parkinson 1980)"),
     Feature("garman_klass_24h", ("open", "high", "low", "close"), _RANGE_HOURS - 1, "log return per sqrt(hour)",
             "sqrt(mean of 0.5 ln(h/l)^2 - (2 ln 2 - 1) ln(c/o)^2) (Garman & Klass 1980)"),
     Feature("rogers_satchell_24h", ("open", "high", "low", "close"), _RANGE_HOURS - 1, "log return per sqrt(hour)",
             "sqrt(mean of ln(h/o) ln(h/c) + ln(l/o) ln(l/c)) (Rogers & Satchell 1991)"),
     Feature("yang_zhang_24h", ("open", "high", "low", "close"), _RANGE_HOURS, "log return per sqrt(hour)",
             "sqrt(var ln(o/c[t-1]) + k var ln(c/o) + (1 - k) Rogers-Satchell variance), n = 24, "
             "k = 0.34 / (1.34 + (n + 1) / (n - 1)) (Yang & Zhang 2000)"),
     Feature("atr_14h", ("high", "low", "close"), _ATR_HOURS, "share of price",
             "mean true range over 14 h / c (Wilder 1978, window mean)"),
     Feature("volatility_ratio_24_168h", ("close",), 168, "log ratio",
             "ln(realised volatility 24 h / realised volatility 168 h)")),
    from_bars=_compute)
