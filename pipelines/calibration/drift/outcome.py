"""What the checks of one line say, and the figures over many lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pipelines.calibration import scenario as machinery
from pipelines.calibration.drift.track import YEAR, Flags, edges
from pipelines.calibration.scenario import Interval, Kind, per_exposure, wilson

if TYPE_CHECKING:
    from pipelines.calibration.drift.coins import RealMarket

#: The product's own alarm among the rules.
OURS = "tidemark"
#: Days after an onset in which an alarm is put down to it.
PATIENCE = 60


@dataclass(frozen=True)
class Seen:
    """What one rule says over the checks of one line.

    Attributes:
        false: alarms that began while nothing had changed.
        on: share of those checks at which it was on.
        hit: without an onset: there was such an alarm. With one: an alarm began within ``PATIENCE`` days after it; what
            was on all the time says nothing new.
        delay: days from the onset to the alarm; NaN without.
    """

    false: int
    on: float
    hit: bool
    delay: float = math.nan


@dataclass(frozen=True)
class Outcome:
    """One line: what each rule says, the product's first, and the days in which nothing had changed."""

    days: int
    rules: Mapping[str, Seen]


Scenario: TypeAlias = machinery.Scenario[Outcome, "RealMarket"]


@dataclass(frozen=True)
class Figures:
    """One rule's: ``rate`` of what the scenario counts with its Wilson interval; false alarms ``per_year`` and the
    share of the checks at which one was ``on``, while nothing had changed; the median delay in days."""

    rate: float
    lower: float
    upper: float
    per_year: Interval
    on: float
    delay_days: float


@dataclass(frozen=True)
class Rate:
    """What was measured, the product's own in front: see `Figures`. ``rules``: others on the same rows."""

    scenario: str
    kind: Kind
    reps: int
    rate: float
    lower: float
    upper: float
    counts: str
    per_year: Interval
    on: float
    delay_days: float
    rules: Mapping[str, Figures] = field(default_factory=dict)


def seen(alarm: Sequence[bool] | Flags, onset: int | None, patience: int = PATIENCE) -> Seen:
    """Count the alarms of daily checks; check ``k`` is made when ``k + 1`` days have passed, so the first that can hold
    anything of a change at day ``onset`` is the check of that number."""
    begins, quiet = edges(alarm), np.asarray(alarm[:onset], dtype=bool)
    on = float(quiet.mean()) if len(quiet) else 0.0
    if onset is None:
        return Seen(len(begins), on, bool(len(begins)))
    after = begins[(begins >= onset) & (begins < onset + patience)]
    return Seen(int((begins < onset).sum()), on, bool(len(after)),
                float(after[0] + 1 - onset) if len(after) else math.nan)


def figures(outcomes: Sequence[Outcome], rule: str) -> Figures:
    """One rule over all lines.

    Raises:
        ContractError: there are none.
    """
    found = [item.rules[rule] for item in outcomes]
    share = wilson(sum(item.hit for item in found), len(found))
    delays = [item.delay for item in found if item.hit and math.isfinite(item.delay)]
    watched = outcomes[0].days / YEAR
    yearly = per_exposure([item.false for item in found], watched) if watched else Interval(*[math.nan] * 3)
    return Figures(
        share.rate, share.lower, share.upper, yearly,
        sum(item.on for item in found) / len(found), float(np.median(delays)) if delays else math.nan)


def summarise(scenario: Scenario, outcomes: Sequence[Outcome]) -> Rate:
    """The figures of a scenario.

    Raises:
        ContractError: there are no repetitions.
    """
    names = list(outcomes[0].rules) if outcomes else [OURS]
    ours = figures(outcomes, names[0])
    return Rate(scenario.name, scenario.kind, len(outcomes), ours.rate, ours.lower, ours.upper, scenario.counts,
                ours.per_year, ours.on, ours.delay_days, {name: figures(outcomes, name) for name in names[1:]})


def measure(scenario: Scenario, reps: int, seed: int, market: RealMarket | None = None,
            watch: Callable[[Iterable[Outcome]], Iterable[Outcome]] = iter) -> Rate:
    """Run a scenario, see ``calibration.scenario.collect``. ``market``: real bars, for the scenarios that need
    them.

    Raises:
        ContractError: fewer than one repetition.
    """
    return summarise(scenario, machinery.collect(scenario, reps, seed, market, watch))
