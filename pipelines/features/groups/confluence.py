"""Prices at which much was traded, and how many of them meet where the price is now.

*VWAP* is anchored as traders draw it: it begins anew at 00:00 UTC, each day and each Monday, and its bands lie one and
two volume-weighted standard deviations from it. A bar counts with its typical price (h + l + c) / 3. *Profile*: the
volume of the last 24 or 168 bars by price, in ``BINS`` equal steps from their lowest low to their highest high; a bar's
volume lies evenly between its low and its high. The *point of control* is the middle of the fullest step, a *high
volume node* a local maximum of at least ``HIGH`` times the mean step, a *low volume node* a local minimum between
others of at most ``LOW`` times (Steidlmayer & Hawkins, *Steidlmayer on Markets*, Wiley 2003, on the market profile).

Anchored sums run forward from their anchor, which is always inside the look-back; profiles are made anew for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT, window_mean

#: 1970-01-01 was a Thursday: weeks begin three days before it.
_SPANS = {"day": (24, 0), "week": (168, 72)}
BINS = 24
HIGH, LOW = 1.5, 0.5
_RANGE_HOURS = 24


@kernel
def anchored_vwap(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, first: int, period: int,
                  phase: int) -> tuple[FloatArray, FloatArray]:
    """VWAP since the last hour h with (h + ``phase``) % ``period`` == 0, and its volume-weighted standard deviation.

    Deviations are taken from the span's first typical price, so that a high price does not eat the digits.

    Args:
        high, low, close, volume: (hours, symbols); first: hour since 1970 of row 0.

    Returns:
        (hours, symbols) twice; NaN at a missing bar, before any volume, where less than ``PRESENT`` of the span's bars
        is there, and before the first anchor.
    """
    hours, symbols = close.shape
    mean, spread = np.full((hours, symbols), np.nan), np.full((hours, symbols), np.nan)
    for column in range(symbols):
        weight = moment = square = base = 0.0
        begun, seen, there = False, 0, 0
        for row in range(hours):
            if (first + row + phase) % period == 0:
                weight = moment = square = 0.0
                begun, seen, there = True, 0, 0
            if not begun:
                continue
            seen += 1
            traded = volume[row, column]
            price = (high[row, column] + low[row, column] + close[row, column]) / 3.0
            if np.isnan(price) or np.isnan(traded):
                continue
            if there == 0:
                base = price
            there += 1
            gap = price - base
            weight += traded
            moment += traded * gap
            square += traded * gap * gap
            if weight > 0.0 and there >= PRESENT * seen:
                centre = moment / weight
                mean[row, column] = base + centre
                spread[row, column] = np.sqrt(max(square / weight - centre * centre, 0.0))
    return mean, spread


@kernel
def volume_profile(high: FloatArray, low: FloatArray, volume: FloatArray, row: int, column: int, width: int,
                   profile: FloatArray) -> tuple[float, float]:
    """Fill ``profile`` (bins,) with the volume by price of the ``width`` bars up to ``row``; the lowest price and the
    height of a step. A height of 0: no profile (too few bars, no volume, or one price)."""
    bins = len(profile)
    bottom, top, there = np.inf, -np.inf, 0
    for back in range(min(width, row + 1)):
        if not np.isnan(low[row - back, column]) and not np.isnan(volume[row - back, column]):
            bottom, top = min(bottom, low[row - back, column]), max(top, high[row - back, column])
            there += 1
    profile[:] = 0.0
    step = (top - bottom) / bins
    if there < PRESENT * width or not step > 0.0:
        return bottom, 0.0
    total = 0.0
    for back in range(min(width, row + 1)):
        under, over, traded = low[row - back, column], high[row - back, column], volume[row - back, column]
        if np.isnan(under) or np.isnan(traded):
            continue
        total += traded
        start, stop = (under - bottom) / step, (over - bottom) / step
        begin, end = min(int(start), bins - 1), min(int(stop), bins - 1)
        if begin == end:
            profile[begin] += traded
            continue
        density = traded / (stop - start)
        profile[begin] += density * (begin + 1 - start)
        for inner in range(begin + 1, end):
            profile[inner] += density
        profile[end] += density * (stop - end)
    return bottom, step if total > 0.0 else 0.0


@kernel
def profile_levels(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, width: int, bins: int,
                   high_node: float, low_node: float) -> FloatArray:
    """Levels of the trailing profile at every row, shape (4, hours, symbols): point of control, nearest high and low
    volume node (prices; NaN: none), and the volume at the close's step as a share of the fullest step's."""
    hours, symbols = close.shape
    found = np.full((4, hours, symbols), np.nan)
    profile = np.empty(bins)
    for column in range(symbols):
        for row in range(hours):
            price = close[row, column]
            if np.isnan(price):
                continue
            bottom, step = volume_profile(high, low, volume, row, column, width, profile)
            if step == 0.0:
                continue
            fullest, mean = 0, 0.0
            for place in range(bins):
                mean += profile[place] / bins
                if profile[place] > profile[fullest]:
                    fullest = place
            found[0, row, column] = bottom + (fullest + 0.5) * step
            here = min(max(int((price - bottom) / step), 0), bins - 1)
            found[3, row, column] = profile[here] / profile[fullest]
            for place in range(bins):
                before = profile[place - 1] if place > 0 else 0.0
                after = profile[place + 1] if place < bins - 1 else 0.0
                level = bottom + (place + 0.5) * step
                if profile[place] >= high_node * mean and profile[place] >= before and profile[place] >= after:
                    kind = 1
                elif (0 < place < bins - 1 and profile[place] <= low_node * mean and profile[place] <= before
                      and profile[place] <= after):
                    kind = 2
                else:
                    continue
                nearest = found[kind, row, column]
                if np.isnan(nearest) or abs(level - price) < abs(nearest - price):
                    found[kind, row, column] = level
    return found


def _from_bars(bars: Bars) -> Mapping[str, Lazy]:
    """Lazy by span: one pass gives all of a span's levels."""
    high, low, close, volume = (np.ascontiguousarray(field) for field in (bars.high, bars.low, bars.close, bars.volume))

    @cache
    def vwap(span: str) -> tuple[FloatArray, FloatArray]:
        mean, spread = anchored_vwap(high, low, close, volume, bars.first, *_SPANS[span])
        return mean, spread

    @cache
    def profile(span: str) -> FloatArray:
        levels: FloatArray = profile_levels(high, low, close, volume, _SPANS[span][0], BINS, HIGH, LOW)
        return levels

    def average(span: str) -> FloatArray:
        return vwap(span)[0]

    def level(span: str, which: int) -> FloatArray:
        one: FloatArray = profile(span)[which]
        return one

    def position(span: str) -> FloatArray:
        mean, spread = vwap(span)
        return np.where(spread == 0, 0.0, (close - mean) / np.where(spread == 0, 1.0, spread))

    def band(span: str) -> FloatArray:
        place = position(span)
        whole: FloatArray = np.sign(place) * np.minimum(np.floor(np.abs(place)), 2.0)
        return whole

    def levels() -> list[FloatArray]:
        found = []
        for span in _SPANS:
            mean, spread = vwap(span)
            found += [mean + sigmas * spread for sigmas in (-2, -1, 0, 1, 2)]
            found += [level(span, 0), level(span, 1)]
        return found

    def score() -> FloatArray:
        reach = window_mean(high - low, _RANGE_HOURS)
        near, known = np.zeros_like(close), np.zeros_like(close)
        for price in levels():
            near += np.abs(close - price) <= reach
            known += ~np.isnan(price)
        return np.where(np.isnan(reach) | (known == 0), np.nan, near / np.where(known == 0, 1.0, known))

    def direction() -> FloatArray:
        sides = [np.sign(close - price) for span in _SPANS for price in (average(span), level(span, 0))]
        sides.append(np.sign(average("day") - average("week")))
        mean: FloatArray = np.mean(sides, axis=0)
        return mean

    def distance(price: Callable[[], FloatArray]) -> FloatArray:
        gap: FloatArray = np.log(close / price())
        return gap

    values: dict[str, Lazy] = {"confluence_score": score, "confluence_direction": direction}
    for span in _SPANS:
        values |= {
            f"vwap_distance_{span}": partial(distance, partial(average, span)),
            f"vwap_position_{span}": partial(position, span),
            f"vwap_band_{span}": partial(band, span),
            f"poc_distance_{span}": partial(distance, partial(level, span, 0)),
            f"high_node_distance_{span}": partial(distance, partial(level, span, 1)),
            f"low_node_distance_{span}": partial(distance, partial(level, span, 2)),
            f"volume_at_price_{span}": partial(level, span, 3),
        }
    return values


_INPUTS = ("high", "low", "close", "volume")


def _features(span: str) -> tuple[Feature, ...]:
    hours = _SPANS[span][0]
    since = "00:00 UTC" if span == "day" else "Monday 00:00 UTC"
    made = [
        (f"vwap_distance_{span}", "log ratio", f"ln(c / VWAP since {since})"),
        (f"vwap_position_{span}", "standard deviations", f"(c - VWAP) / its volume-weighted deviation since {since}"),
        (f"vwap_band_{span}", "-2 to 2", "full standard deviations from VWAP towards 0, at most 2: the band"),
        (f"poc_distance_{span}", "log ratio", f"ln(c / point of control of the last {hours} h)"),
        (f"high_node_distance_{span}", "log ratio", f"ln(c / nearest high volume node of the last {hours} h)"),
        (f"low_node_distance_{span}", "log ratio", f"ln(c / nearest low volume node of the last {hours} h)"),
        (f"volume_at_price_{span}", "0 to 1", f"volume at the close's step / at the fullest step, last {hours} h"),
    ]
    return tuple(Feature(name, _INPUTS, hours - 1, unit, source, neutral=0.0) for name, unit, source in made)


GROUP = Group(
    "confluence",
    (*(feature for span in _SPANS for feature in _features(span)),
     Feature("confluence_score", _INPUTS, 167, "0 to 1",
             f"share of VWAPs, their bands, points of control and high volume nodes (day and week) within one mean "
             f"range of {_RANGE_HOURS} h of c", neutral=0.0),
     Feature("confluence_direction", _INPUTS, 167, "-1 to 1",
             "mean sign of c against both VWAPs and both points of control, and of the day's VWAP against the week's",
             neutral=0.0)),
    from_bars=_from_bars)
