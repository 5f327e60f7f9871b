"""All scenarios by name. A new family is one file with ``scenarios()``, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pipelines.calibration import scenario as machinery
from pipelines.calibration.gate import grid, live, trainings
from pipelines.calibration.gate.outcome import Scenario

FAMILIES: tuple[Callable[[], Iterator[Scenario]], ...] = (
    grid.scenarios,
    live.scenarios,
    trainings.scenarios,
)


def scenarios() -> dict[str, Scenario]:
    """Name → scenario, in the order of the families."""
    return {scenario.name: scenario for family in FAMILIES for scenario in family()}


def select(patterns: Sequence[str]) -> list[Scenario]:
    """The scenarios that a name or pattern (``null_*``) names; without any, all that need no database.

    Raises:
        ConfigError: a pattern that fits none.
    """
    return machinery.select(scenarios(), patterns)
