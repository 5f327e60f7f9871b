"""What a scenario is, how its repetitions are drawn, and intervals of what they say."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, Literal, TypeVar

import numpy as np
from scipy.special import chdtri, ndtri

from pipelines.errors import ConfigError, ContractError

Kind = Literal["null", "alternative"]
#: What a repetition says, and where it is made when random numbers are not enough: scratch databases, real bars.
Said = TypeVar("Said")
Place = TypeVar("Place")
Outcomes = Callable[[int, int, Place | None], Iterator[Said]]


@dataclass(frozen=True)
class Scenario(Generic[Said, Place]):
    """A way to make evidence whose truth is known. ``counts`` says in words what its rate is a rate of; ``outcomes``
    gives so many repetitions of a seed, made at a place."""

    name: str
    kind: Kind
    what: str
    counts: str
    outcomes: Outcomes[Place, Said]
    needs_database: bool = False
    needs_data: bool = False


@dataclass(frozen=True)
class Interval:
    """A rate with its 95 % interval."""

    rate: float
    lower: float
    upper: float


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


def per_exposure(counts: Sequence[int], exposure: float, confidence: float = 0.95) -> Interval:
    """Events per unit of exposure, and the exact interval of a Poisson mean (F. Garwood, *Biometrika* 28, 1936,
    437-442), widened by the dispersion of ``counts`` where they vary more than Poisson's (quasi-likelihood: P.
    McCullagh and J. A. Nelder, *Generalized Linear Models*, 1989, section 6.2.3): repetitions with one unlucky
    reference have many events each.

    Args:
        counts: events of each repetition.
        exposure: of each repetition, such as years; positive.

    Raises:
        ContractError: no counts, a negative one, or no exposure.
    """
    if not counts or min(counts) < 0 or exposure <= 0:
        raise ContractError(f"counts {list(counts)[:5]} over {exposure} each; give at least one count, none below 0, "
                            "and a positive exposure")
    total, mean = sum(counts), sum(counts) / len(counts)
    spread = float(np.var(counts, ddof=1)) if len(counts) > 1 else mean
    dispersion = max(1.0, spread / mean) if total else 1.0
    tail, whole = (1 - confidence) / 2, len(counts) * exposure
    lower = dispersion * float(chdtri(2 * total / dispersion, 1 - tail)) / 2 if total else 0.0
    upper = dispersion * float(chdtri(2 * total / dispersion + 2, tail)) / 2
    return Interval(total / whole, lower / whole, upper / whole)


def repeated(name: str, draw: Callable[[np.random.Generator], Said]) -> Outcomes[Place, Said]:
    """Independent repetitions: each has a generator of its own, made of the seed, the scenario's name and the number
    of the repetition, so that it can be looked at alone and does not depend on what else is run."""
    def outcomes(reps: int, seed: int, _: Place | None) -> Iterator[Said]:
        for number in range(reps):
            yield draw(generator(name, seed, number))
    return outcomes


def generator(name: str, seed: int, number: int) -> np.random.Generator:
    """The random numbers of one repetition."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def collect(scenario: Scenario[Said, Place], reps: int, seed: int, place: Place | None = None,
            watch: Callable[[Iterable[Said]], Iterable[Said]] = iter) -> list[Said]:
    """Run a scenario: what all its repetitions say.

    Args:
        reps: at most so many repetitions; a scenario made of real trainings may need a longer world for more.
        watch: wraps the iteration, for a progress bar.

    Raises:
        ContractError: fewer than one repetition.
    """
    if reps < 1:
        raise ContractError(f"{reps} repetitions measure nothing; ask for at least 1, for a rate of 5 % for 1,000")
    return list(watch(scenario.outcomes(reps, seed, place)))


def select(known: Mapping[str, Scenario[Said, Place]], patterns: Sequence[str]) -> list[Scenario[Said, Place]]:
    """The scenarios that a name or pattern (``null_*``) names; without any, all that need neither database nor data.

    Raises:
        ConfigError: a pattern that fits none.
    """
    if not patterns:
        return [scenario for scenario in known.values() if not (scenario.needs_database or scenario.needs_data)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigError(f"no scenario fits {pattern!r}; there are: {', '.join(known)}")
    return [scenario for name, scenario in known.items() if any(fnmatchcase(name, item) for item in patterns)]
