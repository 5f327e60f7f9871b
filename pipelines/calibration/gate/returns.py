"""Simulated daily returns of a champion and its challengers, whose truth is known.

All contenders share one factor: ``x_it = sd_t (sqrt(c) f_t + sqrt(1 - c) e_it) + m_it / sqrt(252) sd``, so that any two
of them have correlation ``c``, the champion and a challenger too. ``m`` is a Sharpe ratio per year.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.calibration.noise import autoregressive, garch
from pipelines.contracts.ports import FloatArray

Noise = Literal["white", "ar", "garch"]
DAYS_PER_YEAR = 252
DAILY_VOLATILITY = 0.01


@dataclass(frozen=True)
class World:
    """How returns are made.

    Attributes:
        periods, trials: size; the champion comes besides.
        correlation: between any two contenders, in [0, 1).
        noise: ``white`` Gaussian; ``ar``: first-order autoregression of ``memory``, factor and own noise alike, hence
            the differences too; ``garch``: Student-t with five degrees of freedom and a common GARCH(1,1) variance.
        memory: of ``ar``.
        champion: its Sharpe ratio per year; the trials have the same one plus their gains.
        gain: of the trials counted in ``better``, on search days and on fresh days, Sharpe per year.
        better: how many trials have the gain, the first ones; the others equal the champion.
        regime_break: from half-way on all contenders lose 2 Sharpe a year and their volatility doubles.
    """

    periods: int = 504
    trials: int = 20
    correlation: float = 0.5
    noise: Noise = "white"
    memory: float = 0.0
    champion: float = 1.0
    gain: tuple[float, float] = (0.0, 0.0)
    better: int = 0
    regime_break: bool = False

    @property
    def search_periods(self) -> int:
        """The first two thirds are search days, the rest nobody has seen."""
        return self.periods * 2 // 3


def simulate(world: World, rng: np.random.Generator) -> FloatArray:
    """Returns, shape (periods, 1 + trials): the champion first."""
    contenders = world.trials + 1
    noise = _noise(world, rng, contenders + 1)
    shared = np.sqrt(world.correlation) * noise[:, :1] + np.sqrt(1 - world.correlation) * noise[:, 1:]
    sharpe = np.full((world.periods, contenders), world.champion)
    sharpe[:world.search_periods, 1:world.better + 1] += world.gain[0]
    sharpe[world.search_periods:, 1:world.better + 1] += world.gain[1]
    late = np.arange(world.periods) >= world.periods // 2
    if world.regime_break:
        sharpe[late] -= 2.0
        shared = shared * np.where(late, 2.0, 1.0)[:, None]
    returns: FloatArray = DAILY_VOLATILITY * (shared + sharpe / np.sqrt(DAYS_PER_YEAR))
    return returns


def _noise(world: World, rng: np.random.Generator, columns: int) -> FloatArray:
    """(periods, columns) of mean 0 and variance 1."""
    if world.noise == "white":
        return rng.standard_normal((world.periods, columns))
    if world.noise == "ar":
        return autoregressive(rng, world.periods, columns, world.memory)
    return garch(rng, world.periods, columns)
