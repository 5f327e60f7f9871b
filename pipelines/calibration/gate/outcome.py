"""What one repetition says about the gate, and the rate over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pipelines.calibration import scenario as scenarios
from pipelines.calibration.scenario import Interval, Kind, wilson

if TYPE_CHECKING:
    from pipelines.calibration.gate.workshop import Workshop

Scenario: TypeAlias = scenarios.Scenario["Outcome", "Workshop"]
Outcomes: TypeAlias = "scenarios.Outcomes[Workshop, Outcome]"


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


def measure(scenario: Scenario, reps: int, seed: int, workshop: Workshop | None = None,
            watch: Callable[[Iterable[Outcome]], Iterable[Outcome]] = iter) -> Rate:
    """Run a scenario, see ``calibration.scenario.collect``.

    Raises:
        ContractError: fewer than one repetition.
    """
    return summarise(scenario, scenarios.collect(scenario, reps, seed, workshop, watch))
