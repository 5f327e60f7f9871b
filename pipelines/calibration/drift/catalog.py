"""All scenarios by name. A new family is one file with ``scenarios()``, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pipelines.calibration import scenario as machinery
from pipelines.calibration.drift import coins, losses, market, planted, stationary
from pipelines.calibration.drift.outcome import Scenario

FAMILIES: tuple[Callable[[], Iterator[Scenario]], ...] = (
    stationary.scenarios,
    market.scenarios,
    planted.scenarios,
    losses.scenarios,
    coins.scenarios,
)


def scenarios() -> dict[str, Scenario]:
    """Name → scenario, nulls first."""
    found = [scenario for family in FAMILIES for scenario in family()]
    return {scenario.name: scenario for scenario in sorted(found, key=lambda scenario: scenario.kind != "null")}


def select(patterns: Sequence[str]) -> list[Scenario]:
    """The scenarios that a name or pattern (``null_*``) names; without any, all that need no real data.

    Raises:
        ConfigError: a pattern that fits none.
    """
    return machinery.select(scenarios(), patterns)
