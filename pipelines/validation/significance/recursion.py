"""Crossing probabilities of a Brownian motion seen at a few times, by recursive numerical integration.

The density of the paths that are still between their boundaries after one look, convolved with the normal step to the
next, is the density there (P. Armitage, C. K. McPherson and B. C. Rowe, "Repeated significance tests on accumulating
data", *JRSS A* 132(2), 1969, 235-244; C. Jennison and B. W. Turnbull 2000, chapter 19). The integrals are composite
Gauss-Legendre sums whose panels are a few standard deviations of the narrower of the two neighbouring steps wide, so
that looks may be close together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import optimize
from scipy.special import ndtr, ndtri

from pipelines.contracts.ports import FloatArray

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
#: standard deviations beyond which a path's probability is below the last digit
FAR = 8.5
#: narrowest panel as a share of the root of the time passed, against looks that nearly coincide
NARROWEST = 0.1
#: panel in standard deviations of the narrower step; sixteen nodes integrate a normal density there to 1e-10
WIDTH = 3.0


@dataclass(frozen=True)
class Paths:
    """Paths under way after a look, in units of the Brownian motion ``W`` with ``drift`` per unit of information.

    Attributes:
        drift: expected ``W`` at full information.
        time: share of information at the last look; 0 before the first.
        low, high: continuation region of ``W`` at that look.
        past: nodes of the region at the look before, and density times weight there; None until the second look. The
            density of now is their convolution with the normal step since.
        past_time: share of information at the look before.
    """

    drift: float
    time: float = 0.0
    low: float = 0.0
    high: float = 0.0
    past: tuple[FloatArray, FloatArray] | None = None
    past_time: float = 0.0
    _cache: dict[float, tuple[FloatArray, FloatArray]] = field(default_factory=dict, repr=False, compare=False)

    def advance(self, time: float, low_z: float, high_z: float) -> Paths:
        """Go on to the look at ``time``, where only paths with ``low_z <= Z < high_z`` stay."""
        root = np.sqrt(time)
        reach = self.drift * time - FAR * root, self.drift * time + FAR * root
        low, high = max(low_z * root, reach[0]), min(high_z * root, reach[1])
        return Paths(self.drift, time, low, max(low, high), self._nodes(time), self.time)

    def outside(self, time: float, z: float, upper: bool) -> float:
        """Probability of being still under way and having ``Z >= z`` (or ``Z < z``) at ``time``."""
        bound = z * np.sqrt(time)
        if self.time == 0:
            distance = (bound - self.drift * time) / np.sqrt(time)
            return float(ndtr(-distance if upper else distance))
        nodes, mass = self._nodes(time) or (np.zeros(0), np.zeros(0))
        step = time - self.time
        distance = (bound - nodes - self.drift * step) / np.sqrt(step)
        return float(mass @ ndtr(-distance if upper else distance))

    def _density(self, points: FloatArray) -> FloatArray:
        if self.past is None:
            step, centre, mass = self.time, np.zeros(1), np.ones(1)
        else:
            step = self.time - self.past_time
            centre, mass = self.past
        distance = (points[:, None] - centre - self.drift * step) / np.sqrt(step)
        return np.asarray(np.exp(-distance**2 / 2) @ mass / np.sqrt(2 * np.pi * step))

    def _nodes(self, time: float) -> tuple[FloatArray, FloatArray] | None:
        """Nodes of the region and density times weight there, fine enough for a step to ``time``."""
        if self.time == 0:
            return None
        if time not in self._cache:
            step = min(time - self.time, self.time - self.past_time)
            width = max(WIDTH * np.sqrt(step), NARROWEST * np.sqrt(self.time))
            panels = max(1, int(np.ceil((self.high - self.low) / width)))
            edges = np.linspace(self.low, self.high, panels + 1)
            half = (edges[1] - edges[0]) / 2
            nodes = ((edges[:-1] + half)[:, None] + half * NODES).ravel()
            self._cache[time] = nodes, np.tile(half * WEIGHTS, panels) * self._density(nodes)
        return self._cache[time]


def crossing(times: FloatArray, lower: FloatArray, upper: FloatArray, drift: float) -> tuple[FloatArray, FloatArray]:
    """Probability of first being at or above ``upper``, and below ``lower``, at each look.

    Args:
        times: (looks,) ascending shares of information.
        lower, upper: (looks,) bounds of ``Z``; ``lower`` may be -inf.
        drift: expected ``Z`` at share 1.

    Returns:
        Two arrays (looks,).
    """
    paths, up, down = Paths(drift), [], []
    for time, low, high in zip(times, lower, upper, strict=True):
        up.append(paths.outside(time, high, upper=True))
        down.append(paths.outside(time, low, upper=False) if np.isfinite(low) else 0.0)
        paths = paths.advance(time, low, high)
    return np.array(up), np.array(down)


def z_for_probability(paths: Paths, time: float, probability: float, upper: bool) -> float:
    """The ``z`` that paths under way cross at ``time`` with ``probability``; +-37 where that is practically 0."""
    sign = 1.0 if upper else -1.0
    if probability < 1e-280:
        return sign * 37.0
    if paths.time == 0:
        return -sign * float(ndtri(probability)) + paths.drift * float(np.sqrt(time))

    def excess(z: float) -> float:
        return float(np.log(max(paths.outside(time, z, upper), 1e-300)) - np.log(probability))

    centre = paths.drift * float(np.sqrt(time))
    if excess(centre - sign * 12) <= 0:  # all that are under way together are not so probable
        return centre - sign * 12
    return float(optimize.brentq(excess, centre - sign * 12, centre + sign * 38, xtol=1e-10))
