"""The mood of the market as it was known at a time: the public indices with their ages, and an index of our own.

Our index runs from 0 (fear) to 100 (greed). Each component is a number per day; its score is the percentile rank of
today's among its last ``DAYS`` values, turned round where more means fear; the index is the plain mean of the scores.
Ranks need no scale, survive outliers, and compare each market with its own habit. The choice of components follows the
published descriptions of the indices of alternative.me (volatility, momentum and volume, social media) and CNN (put and
call options, VIX, momentum); dominance, surveys and search trends are left out, and so is every other index: what has
been mixed already is shown beside ours and not mixed again.

A component whose newest value is too old, or that has too short a history, is left out, and it is said why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.sentiment.aggregate import MARKET
from pipelines.store import Warehouse, asof, derived, tables

#: Days behind a percentile rank, and the fewest that make one.
DAYS, FEWEST_DAYS = 90, 30
#: Components that an index needs at least.
FEWEST_COMPONENTS = 3
#: The public indices → the age from which on a value is stale, counted from the day it describes. VIX and put/call have
#: no values for weekends and holidays; all of them are published a day later.
INDICES = {"fear_greed": timedelta(days=3), "vix": timedelta(days=6), "put_call": timedelta(days=6)}
BARS_STALE, SOCIAL_STALE = timedelta(hours=36), timedelta(hours=36)
#: Share of a day that must have been collected for its texts to count.
FEWEST_COLLECTED = 0.5
_TREND, _USUAL = timedelta(days=7), timedelta(days=30)
_DAY = timedelta(days=1)

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Reading:
    """A public index: its newest value known at the time, the day it describes, when it became known, its age."""

    name: str
    value: float | None
    event_time: datetime | None
    available_at: datetime | None
    age_hours: float | None
    stale: bool


@dataclass(frozen=True)
class Component:
    """A part of our index: today's value, its score (None if left out), days compared with, why it was left out."""

    name: str
    value: float | None
    score: float | None
    days: int
    left_out: str | None = None


@dataclass(frozen=True)
class MarketMood:
    """All of it, as of ``as_of`` (UTC). ``index`` is None when fewer than ``FEWEST_COMPONENTS`` are left."""

    as_of: datetime
    index: float | None
    readings: tuple[Reading, ...]
    components: tuple[Component, ...]


def market_mood(bars: pd.DataFrame, indicators: pd.DataFrame, social: pd.DataFrame, as_of: datetime) -> MarketMood:
    """The mood from what was known.

    Args:
        bars: latest revisions known at ``as_of``, ``DAYS`` and 30 days back: ``symbol``, ``interval``, ``event_time``,
            ``close``, ``volume``.
        indicators: all revisions known: ``name``, ``event_time``, ``available_at``, ``revision``, ``value``.
        social: aggregates of ``*`` over one day, one a day: ``at``, ``weighted``, ``coverage``.

    Past days are compared as they are known at ``as_of``; public indices count from when they were public.
    """
    moments = [as_of - number * _DAY for number in range(DAYS)]
    prices = _Basket(bars[pd.to_datetime(bars["event_time"], utc=True) < as_of])
    components = (
        _component("volatility", -1, *_aged(prices.volatility(moments), prices.newest, as_of, BARS_STALE)),
        _component("momentum", 1, *_aged(prices.momentum(moments), prices.newest, as_of, BARS_STALE)),
        _component("volume", 1, *_aged(prices.volume(moments), prices.newest, as_of, BARS_STALE)),
        _component("social", 1, *_social(social, as_of)),
        *(_component(name, -1, _in_force(indicators, name, moments), _why_stale(indicators, name, as_of))
          for name in ("put_call", "vix")))
    scores = [component.score for component in components if component.score is not None]
    index = round(float(np.mean(scores)), 1) if len(scores) >= FEWEST_COMPONENTS else None
    return MarketMood(as_of, index, tuple(_reading(indicators, name, as_of) for name in INDICES), components)


def known(warehouse: Warehouse, as_of: datetime) -> MarketMood:
    """``market_mood`` of a warehouse.

    Raises:
        StoreUnavailable
    """
    start = as_of - DAYS * _DAY - _USUAL - _DAY
    bars = asof.read(warehouse, Kind.BARS, as_of=as_of, start=start, end=as_of)
    indicators = asof.read(warehouse, Kind.INDICATORS, as_of=as_of, names=list(INDICES), revisions="all",
                           start=as_of - DAYS * _DAY - max(INDICES.values()))
    where: dict[str, object] = {"symbol": MARKET, "window": "1d"}
    last = derived.read(warehouse, tables.sentiment_aggregates, columns=["at"], where=where, order=["-at"], limit=1,
                        as_of=as_of)
    days = [(last["at"][0] - number * _DAY).to_pydatetime() for number in range(DAYS)] if len(last) else [as_of]
    social = derived.read(warehouse, tables.sentiment_aggregates, columns=["at", "weighted", "coverage"],
                          where={**where, "at": days}, as_of=as_of)
    return market_mood(bars, indicators, social, as_of)


def percentile(values: Floats) -> float:
    """Rank of the first value among all, ties in the middle, from 0 to 100 (exclusive)."""
    return float(100 * (np.sum(values < values[0]) + 0.5 * np.sum(values == values[0])) / len(values))


def _component(name: str, sign: int, values: Floats, why: str | None) -> Component:
    there = values[~np.isnan(values)]
    now = float(values[0]) if len(values) and not np.isnan(values[0]) else None
    if why is None and now is None:
        why = "no value"
    if why is None and len(there) < FEWEST_DAYS:
        why = f"only {len(there)} days of history, {FEWEST_DAYS} are needed"
    score = None if why else round(percentile(sign * there), 1)
    return Component(name, now, score, len(there), why)


class _Basket:
    """All symbols of the commonest interval with equal weights."""

    def __init__(self, bars: pd.DataFrame) -> None:
        if len(bars):
            bars = bars[bars["interval"] == bars["interval"].mode()[0]]
        self.newest: datetime | None = None
        if bars.empty:
            self._ends = pd.DatetimeIndex([], tz="UTC")
            return
        width = pd.Timedelta(bars["interval"].iloc[0])
        close, volume = (bars.pivot_table(index="event_time", columns="symbol", values=name, aggfunc="last")
                         for name in ("close", "volume"))
        self._ends = pd.DatetimeIndex(close.index) + width
        self.newest = self._ends[-1].to_pydatetime()
        moves = np.log(close.where(close > 0)).diff().mean(axis=1).fillna(0.0).to_numpy()
        self._sums = [np.concatenate([[0.0], np.cumsum(power)]) for power in (moves, moves**2)]
        traded = np.cumsum(volume.fillna(0.0).to_numpy(), axis=0)
        self._volume = np.concatenate([np.zeros((1, traded.shape[1])), traded])

    def _place(self, moments: list[datetime]) -> Any:
        return np.searchsorted(self._ends, pd.DatetimeIndex(moments).as_unit("us"), side="right")

    def _spans(self, moments: list[datetime], length: timedelta) -> tuple[Any, Any, Any]:
        """First and last bar of the stretches that end at the moments, and which of them are full of bars."""
        if not len(self._ends):
            nothing = np.zeros(len(moments), dtype=np.int64)
            return nothing, nothing, nothing > 0
        begin, end = self._place([at - length for at in moments]), self._place(moments)
        return begin, end, (begin > 0) & (end > begin)

    def momentum(self, moments: list[datetime]) -> Floats:
        """Return of the basket over seven days (log)."""
        begin, end, full = self._spans(moments, _TREND)
        return np.where(full, self._sums[0][end] - self._sums[0][begin], np.nan) if full.any() else _nan(moments)

    def volatility(self, moments: list[datetime]) -> Floats:
        """Root mean square of its returns per bar over seven days."""
        begin, end, full = self._spans(moments, _TREND)
        if not full.any():
            return _nan(moments)
        return np.where(full, np.sqrt((self._sums[1][end] - self._sums[1][begin]) / np.maximum(end - begin, 1)), np.nan)

    def volume(self, moments: list[datetime]) -> Floats:
        """Volume of the day over the daily mean of 30 days, mean over the symbols, with the sign of the day's return:
        much trade in a rising market is greed, in a falling one fear, and little trade is little of either."""
        first, last, full = self._spans(moments, _USUAL)
        before = self._spans(moments, _DAY)[0]
        if not full.any():
            return _nan(moments)
        day, usual = self._volume[last] - self._volume[before], (self._volume[last] - self._volume[first]) / _USUAL.days
        traded = usual > 0
        ratio = np.where(traded, day / np.where(traded, usual, 1.0), 0.0).sum(axis=1)
        ratio /= np.maximum(traded.sum(axis=1), 1)
        sign = np.sign(self._sums[0][last] - self._sums[0][before])
        return np.where(full & traded.any(axis=1), sign * ratio, np.nan)


def _nan(moments: list[datetime]) -> Floats:
    return np.full(len(moments), np.nan)


def _aged(values: Floats, newest: datetime | None, as_of: datetime, stale: timedelta) -> tuple[Floats, str | None]:
    return values, None if newest is None or as_of - newest <= stale else (
        f"stale: the newest is from {newest:%Y-%m-%d %H:%M}")


def _social(social: pd.DataFrame, as_of: datetime) -> tuple[Floats, str | None]:
    rows = social[social["at"] <= as_of].sort_values("at", ascending=False).head(DAYS)
    values = np.where(rows["coverage"] >= FEWEST_COLLECTED, rows["weighted"], np.nan).astype(np.float64)
    if rows.empty:
        return values, None
    if rows["coverage"].iloc[0] < FEWEST_COLLECTED:
        return values, f"collected for {rows['coverage'].iloc[0]:.0%} of the day only"
    return _aged(values, rows["at"].iloc[0].to_pydatetime(), as_of, SOCIAL_STALE)


def _in_force(indicators: pd.DataFrame, name: str, moments: list[datetime]) -> Floats:
    """The value known at each moment: of the latest day, in its latest revision; NaN if stale by then."""
    own = indicators[indicators["name"] == name].sort_values(["event_time", "available_at", "revision"])
    found = [own[own["available_at"] <= at].iloc[-1:] for at in moments]
    return np.array([row["value"].iloc[0] if len(row) and at - row["event_time"].iloc[0] <= INDICES[name] else np.nan
                     for row, at in zip(found, moments, strict=True)], dtype=np.float64)


def _reading(indicators: pd.DataFrame, name: str, as_of: datetime) -> Reading:
    own = indicators[(indicators["name"] == name) & (indicators["available_at"] <= as_of)]
    if own.empty:
        return Reading(name, None, None, None, None, True)
    row = own.sort_values(["event_time", "available_at", "revision"]).iloc[-1]
    age = as_of - row["event_time"].to_pydatetime()
    return Reading(name, float(row["value"]), row["event_time"].to_pydatetime(), row["available_at"].to_pydatetime(),
                   round(age / timedelta(hours=1), 1), age > INDICES[name])


def _why_stale(indicators: pd.DataFrame, name: str, as_of: datetime) -> str | None:
    reading = _reading(indicators, name, as_of)
    if reading.event_time is None or not reading.stale:
        return None
    return f"stale: the newest is of {reading.event_time:%Y-%m-%d}"
