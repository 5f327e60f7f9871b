"""Prices: a market factor, Student-t shocks, GARCH(1,1) volatility, and the planted drift.

The log return of coin i over hour h is ``s * v_h * sqrt(g_ih * c_ih) * (d_ih + e_ih)``: s its usual volatility, v the
time of day and the regime, g a GARCH(1,1) variance of mean about one (Bollerslev 1986), c a slow log-normal climate
(the second component of Engle and Lee 1999: calm and nervous spells of days), e a Student-t shock of unit variance that
coins share in part, d the planted drift. e is symmetric around zero whatever came before, so with d = 0 the
direction of the next return cannot be predicted from anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.config import Simulator
from pipelines.ingest.simulator.streams import HOURS, Coin, Flags, Floats, Stream, after_shift, stream

FREEDOM = 6.0
#: Variance of tomorrow = OMEGA + (ALPHA * news^2 + BETA) * variance of today; news^2 and variance are capped so that
#: ten years cannot run away.
ALPHA, BETA = 0.06, 0.91
NEWS_CAP, VARIANCE_CAP = 20.0, 16.0
OMEGA = 1 - ALPHA - BETA
#: Log of the climate's variance: standard deviation, half-life in hours, share common to all coins.
CLIMATE_SPREAD, CLIMATE_HALF_LIFE, CLIMATE_COMMON = 0.8, 60.0, 0.5
SHIFT_VOLATILITY, SHIFT_TURNOVER = 2.0, 1.6
#: Drift of an edge of 1 in standard deviations of the hour, and how fast it saturates in the observable mood.
DRIFT, SOFTNESS = 0.33, 0.25
MOMENTUM_HOURS, MOMENTUM_SOFTNESS = 4, 0.35
GAP_SHARE, GAP = 0.4, 0.00003


@dataclass(frozen=True)
class Path:
    """Shape (hours, coins) each: prices, volume, and the drift in standard deviations of the hour's return."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    signal: Floats
    variance: Floats


def simulate(settings: Simulator, coins: tuple[Coin, ...], surprise: Floats) -> Path:
    """The path of all coins.

    Args:
        surprise: observable mood minus its usual level, shape (hours, coins), known at the open of the hour.
    """
    days, count = settings.days, len(coins)
    hours = days * HOURS
    shocks = np.concatenate([_shocks(settings.seed, day, coins) for day in range(days)])
    shifted = after_shift(settings, hours)
    strength = settings.edge * DRIFT * np.where(shifted, -1.0, 1.0)[:, None]
    if settings.edge_input == "sentiment":
        signal = strength * np.tanh(surprise / SOFTNESS)
    else:
        signal = _momentum(strength, shocks)
    variance = _garch(shocks) * _climate(settings.seed, days, count)
    usual = np.array([coin.volatility for coin in coins])
    # Trading is livelier around the American open; the spread of volatility over the day is mild.
    season = np.tile(1 + 0.12 * np.sin(2 * np.pi * (np.arange(HOURS) - 9) / HOURS), days)
    regime = np.where(shifted, SHIFT_VOLATILITY, 1.0)
    sigma = (season * regime)[:, None] * np.sqrt(variance) * usual
    returns = sigma * (signal + shocks)
    noise = np.concatenate([stream(settings.seed, Stream.VOLUME, day).random((HOURS, count, 6)) for day in range(days)])
    opened, high, low, close = _prices(coins, returns, sigma, noise)
    volume = _volume(coins, variance, shocks, season, shifted, noise)
    return Path(opened, high, low, close, volume, signal, variance)


def _shocks(seed: int, day: int, coins: tuple[Coin, ...]) -> Floats:
    """Multivariate Student-t: one chi-square an hour for all coins, so extreme hours are shared as in real markets."""
    rng = stream(seed, Stream.RETURNS, day)
    normal = rng.standard_normal((HOURS, len(coins) + 1))
    mixing = np.sqrt((FREEDOM - 2) / rng.chisquare(FREEDOM, (HOURS, 1)))
    beta = np.array([coin.beta for coin in coins])
    return np.asarray((beta * normal[:, :1] + np.sqrt(1 - beta**2) * normal[:, 1:]) * mixing)


def _garch(shocks: Floats) -> Floats:
    step = BETA + ALPHA * np.minimum(shocks**2, NEWS_CAP)
    variance = np.empty_like(shocks)
    state = np.ones(shocks.shape[1])
    for hour in range(len(shocks)):
        variance[hour] = state
        state = np.minimum(OMEGA + step[hour] * state, VARIANCE_CAP)
    return variance


def _climate(seed: int, days: int, count: int) -> Floats:
    """Slow part of the variance, mean one, shape (hours, coins): the exponential of an AR(1)."""
    keep = 0.5 ** (1 / CLIMATE_HALF_LIFE)
    noise = np.concatenate([stream(seed, Stream.CLIMATE, day).standard_normal((HOURS, count + 1))
                            for day in range(days)])
    own = np.sqrt(1 - CLIMATE_COMMON) * noise[:, 1:] + np.sqrt(CLIMATE_COMMON) * noise[:, :1]
    level = np.empty_like(own)
    state = np.zeros(count)
    for hour in range(len(own)):
        state = keep * state + np.sqrt(1 - keep**2) * own[hour]
        level[hour] = state
    return np.asarray(np.exp(CLIMATE_SPREAD * level - CLIMATE_SPREAD**2 / 2))


def _momentum(strength: Floats, shocks: Floats) -> Floats:
    """Drift that follows the mean standardised return of the last hours. Saturated, so it cannot feed itself."""
    signal = np.zeros_like(shocks)
    standard = np.zeros((len(shocks) + MOMENTUM_HOURS, shocks.shape[1]))
    for hour in range(len(shocks)):
        mean = standard[hour:hour + MOMENTUM_HOURS].sum(axis=0) / MOMENTUM_HOURS
        signal[hour] = strength[hour] * np.tanh(mean / MOMENTUM_SOFTNESS)
        standard[hour + MOMENTUM_HOURS] = signal[hour] + shocks[hour]
    return signal


def _prices(coins: tuple[Coin, ...], returns: Floats, sigma: Floats, noise: Floats) -> tuple[Floats, ...]:
    start = np.log([coin.price for coin in coins])
    close = start + np.cumsum(returns, axis=0)
    before = np.vstack([start, close[:-1]])
    gap = np.where(noise[..., 0] < GAP_SHARE, GAP * (2 * noise[..., 1] - 1), 0.0)
    opened = before + gap
    # Extremes of a Brownian bridge between open and close (Karatzas & Shreve 1991, problem 2.8.13).
    move = close - opened

    def reach(uniform: Floats) -> Floats:
        return np.asarray(np.sqrt(move**2 - 2 * sigma**2 * np.log1p(-uniform)))

    high = opened + (move + reach(noise[..., 2])) / 2
    low = opened + (move - reach(noise[..., 3])) / 2
    decimals = [coin.decimals for coin in coins]
    rounded = []
    for path in (opened, high, low, close):
        prices = np.exp(path)
        for column, places in enumerate(decimals):
            prices[:, column] = np.maximum(np.round(prices[:, column], places), 10.0**-places)
        rounded.append(prices)
    return tuple(rounded)


def _volume(coins: tuple[Coin, ...], variance: Floats, shocks: Floats, season: Floats, shifted: Flags,
            noise: Floats) -> Floats:
    usual = np.array([coin.volume for coin in coins])
    spread = noise[..., 4] + noise[..., 5] - 1
    activity = 0.5 * np.log(variance) + 0.35 * np.minimum(np.abs(shocks), 4) + 0.6 * spread
    return np.round(usual * (season**3 * np.where(shifted, SHIFT_TURNOVER, 1.0))[:, None] * np.exp(activity - 0.3), 3)
