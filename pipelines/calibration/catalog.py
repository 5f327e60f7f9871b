"""All scenarios by name. A new family is one file with ``scenarios()``, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from pipelines.calibration import grid, live, trainings
from pipelines.calibration.outcome import Scenario
from pipelines.errors import ConfigError

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
    known = scenarios()
    if not patterns:
        return [scenario for scenario in known.values() if not scenario.needs_database]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigError(f"no scenario fits {pattern!r}; there are: {', '.join(known)}")
    return [scenario for name, scenario in known.items() if any(fnmatchcase(name, item) for item in patterns)]
