"""Shadow and rollback: simulated live losses of two versions, looked at as the shadow stage looks at them.

A live hour's loss difference is noise of one standard deviation around a mean; the effect of a scenario is the mean per
day over the standard deviation of a day. A Sharpe difference of 2 a year between two strategies whose differences have
a volatility of their own is ``2 / sqrt(252) = 0.126`` of it. The plans are those of a line that states nothing about
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from pipelines.calibration.gate.outcome import Outcome, Scenario
from pipelines.calibration.gate.trainings import LINE
from pipelines.calibration.scenario import repeated
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Purpose, Step
from pipelines.gate import sequential
from pipelines.gate.sequential import Plan

START = datetime(2024, 1, 1, tzinfo=UTC)
YEAR = 364
SYMBOLS = 5
#: Loss differences of an hour, nats.
SPREAD = 0.01
#: Effects a day: a Sharpe difference of 2 a year, and of 4, 8.
EFFECTS = {"2": 2 / math.sqrt(252), "4": 4 / math.sqrt(252), "8": 8 / math.sqrt(252)}
#: A level for each shadow that would leave 10 % to a year of them: thirteen last 28 days each, and futility, which ends
#: most of them early, makes room for about twice as many.
BUDGET = 1 - 0.9 ** (1 / 26)
FALSE, RIGHT = "a challenger that is no better is promoted", "the better challenger is promoted"
FALSE_BACK, BACK = "an equal champion is rolled back", "the worse champion is rolled back"


def differences(days: int, rng: np.random.Generator, effect: FloatArray | float = 0.0,
                memory: float = 0.0) -> pd.Series:
    """Hourly loss differences (days * 24,), nats by UTC time; ``effect`` per day in standard deviations of a day
    without memory, one value or (days,); ``memory``: of a first-order autoregression of the hours."""
    hours = 24 * days
    shocks = rng.standard_normal(hours + 300) * math.sqrt(1 - memory**2)
    noise = np.asarray(lfilter([1.0], [1.0, -memory], shocks))[300:]
    mean = np.repeat(np.broadcast_to(np.asarray(effect, dtype=np.float64), days), 24) / math.sqrt(24)
    return pd.Series(SPREAD * (noise + mean), index=pd.date_range(START, periods=hours, freq="h", tz="UTC"))


def year(rng: np.random.Generator, rules: Plan, effect: float = 0.0, memory: float = 0.0) -> Outcome:
    """A year of shadows of such challengers, one after another, each as soon as the last is done."""
    values = differences(YEAR, rng, effect, memory)
    rows = pd.Series(SYMBOLS, index=values.index)
    started, end = START, START + timedelta(days=YEAR)
    while started + rules.looks * rules.every <= end:
        looks = sequential.path(values, started, end, rules, rows)
        if looks[-1].decision is Step.PROMOTE:
            return Outcome(True, True, delay=(looks[-1].due - START) / timedelta(days=1))
        started = looks[-1].due
    return Outcome(False, False)


def duel(rng: np.random.Generator, rules: Plan, effect: FloatArray | float = 0.0, memory: float = 0.0,
         since: float = 0.0) -> Outcome:
    """One shadow, or one watch after a promotion; the delay counts from day ``since``."""
    days = math.ceil(rules.looks * rules.every / timedelta(days=1))
    values = differences(days, rng, effect, memory)
    looks = sequential.path(values, START, START + timedelta(days=days), rules, pd.Series(SYMBOLS, index=values.index))
    hit = looks[-1].decision is Step.PROMOTE
    return Outcome(hit, hit, delay=(looks[-1].due - START) / timedelta(days=1) - since)


def scenarios() -> Iterator[Scenario]:
    """All of them, nulls first."""
    shadow, watch = (sequential.plan(LINE, purpose) for purpose in (Purpose.SHADOW, Purpose.ROLLBACK))
    weekly = replace(shadow, looks=52, every=timedelta(days=7))
    span = f"{shadow.looks} looks in {shadow.looks * shadow.every.days} days"
    for memory in (0.0, 0.5, 0.9):
        for name, what, counts, draw in (
                ("shadow_null", f"one shadow, {span}", FALSE, partial(duel, rules=shadow, memory=memory)),
                ("shadow_year_one", "52 weekly looks at one challenger", FALSE,
                 partial(duel, rules=weekly, memory=memory)),
                ("shadow_year_many", f"a year of challengers one after another, {span} each", FALSE,
                 partial(year, rules=shadow, memory=memory)),
                ("rollback_null", f"a watch of {watch.looks} looks in {watch.looks * watch.every.days} days",
                 FALSE_BACK, partial(duel, rules=watch, memory=memory))):
            full = f"{name}_ar{memory:g}"
            yield Scenario(full, "null", f"{what}, hourly autocorrelation {memory:g}", counts, repeated(full, draw))
    for name, what, rules, effect in (
            ("shadow_year_worse2", f"a year of challengers that are 2 Sharpe worse, {span} each", shadow,
             -EFFECTS["2"]),
            ("shadow_year_budget", f"a year of equal challengers, {span} each at a level of {BUDGET:.2g}",
             replace(shadow, alpha=BUDGET), 0.0)):
        yield Scenario(name, "null", what, FALSE, repeated(name, partial(year, rules=rules, effect=effect)))
    half = watch.looks * watch.every.days // 2
    for label, effect in EFFECTS.items():
        dying = np.repeat([0.0, effect], half)
        for name, what, counts, draw in (
                ("shadow_edge", f"one shadow, {span}; the challenger is better", RIGHT,
                 partial(duel, rules=shadow, effect=effect)),
                ("shadow_budget_edge", f"one shadow, {span} at a level of {BUDGET:.2g}; the challenger is better",
                 RIGHT, partial(duel, rules=replace(shadow, alpha=BUDGET), effect=effect)),
                ("shadow_year_edge", "52 weekly looks; the challenger is better", RIGHT,
                 partial(duel, rules=weekly, effect=effect)),
                ("rollback_worse", "the fresh champion is worse than its predecessor", BACK,
                 partial(duel, rules=watch, effect=effect)),
                ("rollback_dies", "the fresh champion's edge dies half-way through the watch", BACK,
                 partial(duel, rules=watch, effect=dying, since=half))):
            full = f"{name}{label}"
            yield Scenario(full, "alternative", f"{what} by {label} Sharpe a year ({effect:.3f} a day)", counts,
                           repeated(full, draw))
