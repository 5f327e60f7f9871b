"""What a scenario is, what one repetition of it says, and the rate over all of them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtri

from pipelines.errors import ContractError

if TYPE_CHECKING:
    from pipelines.calibration.workshop import Workshop

Kind = Literal["null", "alternative"]
Draw = Callable[[np.random.Generator], "Outcome"]
Outcomes = Callable[[int, int, "Workshop | None"], Iterator["Outcome"]]


@dataclass(frozen=True)
class Outcome:
    """One repetition.

    Attributes:
        hit: what the scenario counts: a false promotion under a null, the right winner promoted (or the loser put
            back) under an alternative.
        promoted: anything was promoted (or put back).
        rules: the same as ``hit`` for other people's rules on the same data, by name.
        delay: days of data time until the decision; NaN where there was none or it has no delay.
    """

    hit: bool
    promoted: bool
    rules: Mapping[str, bool] = field(default_factory=dict)
    delay: float = math.nan


@dataclass(frozen=True)
class Scenario:
    """A way to make evidence whose truth is known. ``counts`` says in words what its rate is a rate of."""

    name: str
    kind: Kind
    what: str
    counts: str
    outcomes: Outcomes
    needs_database: bool = False


@dataclass(frozen=True)
class Interval:
    """A share of repetitions with its Wilson interval."""

    rate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Rate:
    """What was measured: ``rate`` of ``counts`` in ``reps`` repetitions, with its 95 % Wilson interval.

    ``promoted`` is the share of repetitions in which anybody was promoted, ``delay_days`` the median delay of those
    that count, ``rules`` the rates of other people's rules on the same data.
    """

    scenario: str
    kind: Kind
    reps: int
    rate: float
    lower: float
    upper: float
    counts: str
    promoted: float
    delay_days: float
    rules: Mapping[str, Interval] = field(default_factory=dict)


def wilson(hits: int, reps: int, confidence: float = 0.95) -> Interval:
    """Score interval of a binomial share (E. B. Wilson, *JASA* 22, 1927, 209-212).

    Raises:
        ContractError: no repetitions, or more hits than repetitions.
    """
    if reps < 1 or not 0 <= hits <= reps:
        raise ContractError(f"{hits} hits in {reps} repetitions; count them again, at least 1 repetition is needed")
    z = float(-ndtri((1 - confidence) / 2))
    share, weight = hits / reps, z * z / reps
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / reps + weight / (4 * reps))
    # at 0 and 1 the ends are exact; rounding would put them a hair off
    return Interval(share, 0.0 if hits == 0 else centre - half, 1.0 if hits == reps else centre + half)


def summarise(scenario: Scenario, outcomes: Sequence[Outcome]) -> Rate:
    """The rates over all repetitions.

    Raises:
        ContractError: there are none.
    """
    found = wilson(sum(item.hit for item in outcomes), len(outcomes))
    delays = [item.delay for item in outcomes if item.hit and math.isfinite(item.delay)]
    names = outcomes[0].rules
    return Rate(
        scenario.name, scenario.kind, len(outcomes), found.rate, found.lower, found.upper, scenario.counts,
        sum(item.promoted for item in outcomes) / len(outcomes), float(np.median(delays)) if delays else math.nan,
        {name: wilson(sum(item.rules[name] for item in outcomes), len(outcomes)) for name in names})


def repeated(name: str, draw: Draw) -> Outcomes:
    """Independent repetitions: each has a generator of its own, made of the seed, the scenario's name and the number
    of the repetition, so that it can be looked at alone and does not depend on what else is run."""
    def outcomes(reps: int, seed: int, _: Workshop | None) -> Iterator[Outcome]:
        for number in range(reps):
            yield draw(generator(name, seed, number))
    return outcomes


def generator(name: str, seed: int, number: int) -> np.random.Generator:
    """The random numbers of one repetition."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def measure(scenario: Scenario, reps: int, seed: int, workshop: Workshop | None = None,
            watch: Callable[[Iterable[Outcome]], Iterable[Outcome]] = iter) -> Rate:
    """Run a scenario.

    Args:
        reps: at most so many repetitions; a scenario made of real trainings may need a longer world for more.
        watch: wraps the iteration, for a progress bar.

    Raises:
        ContractError: fewer than one repetition.
    """
    if reps < 1:
        raise ContractError(f"{reps} repetitions measure nothing; ask for at least 1, for a rate of 5 % for 1,000")
    return summarise(scenario, list(watch(scenario.outcomes(reps, seed, workshop))))
