"""How a symbol stands among the others of its line.

The *market* of a symbol is the equally weighted mean log return of the other symbols: who is part of his own yardstick
has a beta to himself. A row sees of the others what was known at its own time (``features.across``). With fewer than
two symbols there is no market, and every feature has its neutral value.

Beta and correlations are sums over the window of products around the means. Hourly means are a hundredth of the
deviations, so E[xy] - E[x]E[y] loses no digits that matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.rolling import shift, window_mean

_DAY, _WEEK = 24, 168


def others_mean(values: FloatArray) -> FloatArray:
    """Mean of the other symbols' present values, shape (hours, symbols); NaN where there is no other."""
    there = ~np.isnan(values)
    known = np.where(there, values, 0.0)
    total, count = np.zeros((len(values), 1)), np.zeros((len(values), 1))
    # One symbol after the other: numpy's own sum over an axis adds in an order that depends on how many there are.
    for column in range(values.shape[1]):
        total[:, 0] += known[:, column]
        count[:, 0] += there[:, column]
    rest = count - there
    return (total - known) / np.where(rest == 0, np.nan, rest)


def dispersion(values: FloatArray) -> FloatArray:
    """Population standard deviation over the symbols at each hour, shape (hours, 1); NaN for fewer than two."""
    there = ~np.isnan(values)
    count = np.where(there.sum(axis=1, keepdims=True) < 2, np.nan, there.sum(axis=1, keepdims=True))
    total = np.zeros((len(values), 1))
    for column in range(values.shape[1]):
        total[:, 0] += np.where(there[:, column], values[:, column], 0.0)
    mean, squares = total / count, np.zeros((len(values), 1))
    for column in range(values.shape[1]):
        gap = np.where(there[:, column], values[:, column] - mean[:, 0], 0.0)
        squares[:, 0] += gap * gap
    return np.sqrt(squares / count)


def rank(values: FloatArray) -> FloatArray:
    """Share of the other symbols that lie below, equals counting half; NaN where there is no other."""
    there = ~np.isnan(values)
    below = np.zeros_like(values)
    for column in range(values.shape[1]):
        other = values[:, column:column + 1]
        below += np.where(other < values, 1.0, 0.0) + np.where(other == values, 0.5, 0.0)
    rest = there.sum(axis=1, keepdims=True) - 1.0
    return np.where(there, (below - 0.5) / np.where(rest <= 0, np.nan, rest), np.nan)


def moments(x: FloatArray, y: FloatArray, width: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Covariance, variance of ``x`` and variance of ``y`` over the hours of the window that have both; a variance that
    is not above zero is NaN."""
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = np.where(both, x, np.nan), np.where(both, y, np.nan)
    mean_x, mean_y = window_mean(x, width), window_mean(y, width)
    covariance = window_mean(x * y, width) - mean_x * mean_y
    spread = [window_mean(one * one, width) - mean * mean for one, mean in ((x, mean_x), (y, mean_y))]
    of_x, of_y = (np.where(one > 0, one, np.nan) for one in spread)
    return covariance, of_x, of_y


def correlation(x: FloatArray, y: FloatArray, width: int) -> FloatArray:
    """Pearson's correlation over the window, -1 to 1; NaN where one of them does not move."""
    covariance, of_x, of_y = moments(x, y, width)
    return np.clip(covariance / np.sqrt(of_x * of_y), -1.0, 1.0)


def _from_bars(bars: Bars) -> Mapping[str, Lazy]:
    own = bars.log_return

    @cache
    def day() -> FloatArray:
        return np.log(bars.close / shift(bars.close, _DAY))

    @cache
    def market() -> FloatArray:
        return others_mean(own)

    @cache
    def market_day() -> FloatArray:
        return others_mean(day())

    def beta() -> FloatArray:
        covariance, _, of_market = moments(own, market(), _WEEK)
        return covariance / of_market

    def spread() -> FloatArray:
        return np.broadcast_to(dispersion(day()), own.shape).copy()

    def breadth() -> FloatArray:
        return others_mean(np.where(np.isnan(day()), np.nan, (day() > 0).astype(np.float64)))

    return {
        "market_return_1h": market,
        "market_return_24h": market_day,
        "market_volatility_24h": lambda: np.sqrt(window_mean(market() * market(), _DAY)),
        "market_dispersion_24h": spread,
        "market_breadth_24h": breadth,
        "relative_return_24h": lambda: day() - market_day(),
        "return_rank_24h": lambda: rank(day()),
        "market_beta_168h": beta,
        "market_correlation_168h": lambda: correlation(own, market(), _WEEK),
        "market_leads_168h": lambda: correlation(own, shift(market(), 1), _WEEK),
        "market_follows_168h": lambda: correlation(shift(own, 1), market(), _WEEK),
    }


def _feature(name: str, lookback: int, unit: str, source: str, neutral: float = 0.0) -> Feature:
    return Feature(name, ("close", "close of all symbols"), lookback, unit, source, neutral=neutral)


GROUP = Group(
    "cross_asset",
    (_feature("market_return_1h", 1, "log return", "mean log return of the other symbols"),
     _feature("market_return_24h", _DAY, "log return", "mean 24 h log return of the other symbols"),
     _feature("market_volatility_24h", _DAY, "log return per sqrt(hour)", "sqrt(mean of squared market returns, 24 h)"),
     _feature("market_dispersion_24h", _DAY, "log return", "standard deviation over the symbols of 24 h log returns"),
     _feature("market_breadth_24h", _DAY, "0 to 1", "share of the other symbols that rose in 24 h", 0.5),
     _feature("relative_return_24h", _DAY, "log return", "24 h log return - that of the market"),
     _feature("return_rank_24h", _DAY, "0 to 1", "share of the other symbols whose 24 h return is lower", 0.5),
     _feature("market_beta_168h", _WEEK, "ratio", "cov(r, m) / var(m) over 168 h (Sharpe 1964)", 1.0),
     _feature("market_correlation_168h", _WEEK, "-1 to 1", "correlation of r[t] and m[t] over 168 h"),
     _feature("market_leads_168h", _WEEK + 1, "-1 to 1", "correlation of r[t] and m[t-1] over 168 h"),
     _feature("market_follows_168h", _WEEK + 1, "-1 to 1", "correlation of r[t-1] and m[t] over 168 h")),
    from_bars=_from_bars, across_symbols=True)
