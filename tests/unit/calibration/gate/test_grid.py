"""Evidence made of returns, and the gate's level and power on it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.calibration.gate import scenarios
from pipelines.calibration.gate.grid import draw, evidence_of
from pipelines.calibration.gate.returns import World
from pipelines.calibration.scenario import generator, wilson
from pipelines.gate.comparison import CANDIDATE
from pipelines.gate.rules import CHAMPION


def test_the_best_of_the_search_days_meets_the_champion_on_the_others() -> None:
    returns = np.array([[0.0, 0.01, 0.02], [0.0, 0.01, -0.03], [0.005, 0.01, 0.05]]).repeat(30, axis=0)
    found = evidence_of(returns, 60)
    assert found.selected == "trial_0"  # trial_1 is better over all days, and unknown days do not choose
    assert found.search is not None
    assert list(found.search) == [CHAMPION, "trial_0", "trial_1"]
    assert (len(found.search), len(found.losses), found.trials) == (60, 30, 2)
    assert found.search.index[-1] < found.losses.index[0]
    assert found.losses[CANDIDATE].to_numpy() == pytest.approx(np.full(30, 0.99))
    assert found.losses[CHAMPION].to_numpy() == pytest.approx(np.full(30, 0.995))


def test_a_promotion_counts_only_where_it_is_right() -> None:
    """With a gain that cannot be missed the winner is promoted; where the others have it, that one is not right."""
    assert draw(World(gain=(12, 12), better=1), np.random.default_rng(1), True).hit
    outcome = draw(World(trials=2, gain=(12, 12), better=2), np.random.default_rng(1), True)
    assert outcome.hit
    assert outcome.promoted
    assert outcome.rules["best_sharpe"]
    worse = draw(World(gain=(-12, -12), better=20), np.random.default_rng(1), True)
    assert not worse.promoted
    assert not worse.rules["best_sharpe"]


def test_level_and_power_of_the_gate() -> None:
    """What `docs/gate-calibration.md` reports with 1,000 repetitions, in small: 20 equal challengers, and one with +3
    Sharpe. A gate that ignores the number of trials promotes a third of the first."""
    def rate(name: str, world: World, reps: int) -> int:
        return sum(draw(world, generator(name, 0, number)).hit for number in range(reps))

    assert wilson(rate("level", World(), 150), 150).lower < 0.05
    assert rate("level", World(), 150) <= 16  # 5 % of 150 gives more in fewer than 1 of 300 cases
    assert wilson(rate("power", World(gain=(3, 3), better=1), 40), 40).lower > 0.7


def test_names_are_unique_and_kinds_are_known() -> None:
    found = scenarios()
    assert len(found) > 60
    assert {item.kind for item in found.values()} == {"null", "alternative"}
    assert all(item.name == name and item.what and item.counts for name, item in found.items())
