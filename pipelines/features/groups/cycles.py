"""Cycles of a day, a week and a month: how strong they are and where in them the price is.

One line of the discrete Fourier transform each, over a window of whole cycles (Bloomfield, *Fourier Analysis of Time
Series*, 2nd edition, Wiley 2000, section 5.1): the amplitude and phase of the sinusoid that fits best. Slow cycles are
taken from sums of 8 or 24 returns, counted back from the row's own hour, and the damping of such a sum is divided out:
a month needs no hourly detail. The share is the sinusoid's part of the variance of those sums; of ``n`` sums without
any cycle it is 2 / n on average (Fisher's g, Proceedings of the Royal Society A 125, 1929), which is its neutral value.

*price*: cycles of the log price (found in its returns, in which other frequencies hide them less); *activity*: cycles
of the absolute return, which markets really have, as people sleep. The phase is given as cosine and sine, 1 and 0 at
the top of the cycle, and where it is honest: a month fits twice into its window, which tells no phase from a trend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.spectrum import present, returns, weighted

#: Variance below this share of the squares is rounding, not movement.
_FLAT = 1e-12


@dataclass(frozen=True)
class Cycle:
    """``period`` hours, over a window of ``hours``, from sums of ``step`` values."""

    name: str
    period: int
    hours: int
    step: int

    @property
    def terms(self) -> int:
        return self.hours // self.step

    def gain(self) -> float:
        """Amplitude of a sum of ``step`` values by that of the values."""
        turn = math.pi / self.period
        return math.sin(self.step * turn) / math.sin(turn)

    def swing(self) -> float:
        """Amplitude of a price by that of its returns."""
        return 1.0 / (2.0 * math.sin(math.pi / self.period))

    def weights(self, of_price: bool) -> tuple[FloatArray, FloatArray]:
        """Weights of the sums, newest first: with them a cycle of amplitude A in the values gives A cos(phase) and
        A sin(phase), the phase that of the newest hour. ``of_price``: the phase of the price whose returns they are,
        which runs a quarter less half an hour behind."""
        return _weights(self, of_price)


@cache
def _weights(cycle: Cycle, of_price: bool) -> tuple[FloatArray, FloatArray]:
    turn = 2.0 * math.pi / cycle.period
    angle = turn * (cycle.step * np.arange(cycle.terms) + (cycle.step - 1) / 2)
    if of_price:
        angle += turn / 2 - math.pi / 2
    scale = 2.0 / (cycle.terms * cycle.gain())
    return scale * np.cos(angle), scale * np.sin(angle)


DAY = Cycle("day", 24, 21 * 24, 1)
WEEK = Cycle("week", 168, 8 * 168, 8)
MONTH = Cycle("month", 720, 2 * 720, 24)


def measured(values: FloatArray, cycle: Cycle, *, of_price: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A cos(phase) and A sin(phase) of a cycle in ``values`` (hours, symbols), and its share of the variance."""
    sums = weighted(values, np.ones(cycle.step))
    cosine, sine = (weighted(sums, weights, cycle.step) for weights in cycle.weights(of_price))
    each = np.full(cycle.terms, 1.0 / cycle.terms)
    mean, squares = weighted(sums, each, cycle.step), weighted(sums * sums, each, cycle.step)
    variance = squares - mean * mean
    power = 0.5 * cycle.gain() ** 2 * (cosine * cosine + sine * sine)
    share = np.minimum(power / np.where(variance > _FLAT * squares, variance, np.nan), 1.0)
    return cosine, sine, share


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    @cache
    def of(cycle: Cycle, of_price: bool) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Amplitude, cosine and sine of the phase, share."""
        values = returns(bars)
        cosine, sine, share = measured(values if of_price else np.abs(values), cycle, of_price=of_price)
        blind = ~(present(bars, cycle.hours) & ~np.isnan(share))
        length = np.sqrt(cosine * cosine + sine * sine)
        length[blind] = share[blind] = np.nan
        norm = np.where(length > 0, length, np.nan)
        return length * (cycle.swing() if of_price else 1.0), cosine / norm, sine / norm, share

    def part(number: int, cycle: Cycle, of_price: bool) -> FloatArray:
        return of(cycle, of_price)[number]

    found: dict[str, Callable[[], FloatArray]] = {}
    for cycle in (DAY, WEEK, MONTH):
        for prefix, of_price in (("price", True), ("activity", False)):
            for number, what in enumerate(("amplitude", "cos", "sin", "share")):
                found[f"{prefix}_{cycle.name}_{what}"] = partial(part, number, cycle, of_price)
    return found


def _features(cycle: Cycle, prefix: str, *parts: str) -> list[Feature]:
    values = "log closes" if prefix == "price" else "absolute hourly log returns"
    window = f"{values}, {cycle.hours} h" + (f" in sums of {cycle.step} h" if cycle.step > 1 else "")
    told = {
        "amplitude": ("log price", f"amplitude of the {cycle.period} h line of the DFT of {window}", 0.0),
        "cos": ("-1 to 1", f"cosine of the phase now of the {cycle.period} h cycle in {window}: 1 at its top", 0.0),
        "sin": ("-1 to 1", f"sine of the phase now of the {cycle.period} h cycle in {window}: 1 a quarter later", 0.0),
        "share": ("share of variance", f"variance of the {cycle.period} h cycle by that of all ({window})",
                  2.0 / cycle.terms)}
    return [Feature(f"{prefix}_{cycle.name}_{what}", ("close",), cycle.hours, unit, f"{source} (Bloomfield 2000)",
                    neutral) for what, (unit, source, neutral) in told.items() if what in parts]


GROUP = Group(
    "cycles",
    (*_features(DAY, "price", "amplitude", "cos", "sin", "share"),
     *_features(WEEK, "price", "amplitude", "cos", "sin", "share"),
     *_features(MONTH, "price", "amplitude", "share"),
     *_features(DAY, "activity", "cos", "sin", "share"),
     *_features(WEEK, "activity", "share")),
    from_bars=_compute, apart=True)
