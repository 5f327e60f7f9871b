"""Simulated predictions are what they say, and an edge that dies is seen in the losses alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from pipelines.calibration.drift.losses import EDGES, HOURS, SAID, TRAINED, Said, alarms, simulate
from pipelines.calibration.drift.outcome import OURS


def _skill(part: Said) -> float:
    """Area under the ROC curve."""
    p, y = part.probability.ravel(), part.y.ravel()
    return float(mannwhitneyu(p[y == 1], p[y == 0]).statistic / ((y == 1).sum() * (y == 0).sum()))


@pytest.mark.parametrize(("edge", "skill"), zip(EDGES, (0.53, 0.57, 0.63), strict=True))
def test_probabilities_are_true_until_the_edge_dies(edge: float, skill: float) -> None:
    said = simulate(edge, 0.5, 1200, np.random.default_rng(1), dies=600)
    alive, dead = (Said(said.probability[rows], said.y[rows])
                   for rows in (slice(600 * HOURS), slice(600 * HOURS, None)))
    assert _skill(alive) == pytest.approx(skill, abs=0.008)
    assert _skill(dead) == pytest.approx(0.5, abs=0.012)
    top = alive.probability > np.quantile(alive.probability, 0.8)
    assert alive.y[top].mean() == pytest.approx(alive.probability[top].mean(), abs=0.02)
    assert alive.probability.std() == pytest.approx(dead.probability.std(), rel=0.05)


def test_symbols_have_outcomes_together() -> None:
    """A Gaussian copula of correlation 0.5 gives signs a correlation of 2/pi asin(0.5) = 1/3."""
    y = simulate(0.0, 0.0, 1000, np.random.default_rng(2)).y
    assert np.corrcoef(y[:, 0], y[:, 3])[0, 1] == pytest.approx(1 / 3, abs=0.03)
    assert abs(np.corrcoef(y[1:, 0], y[:-1, 0])[0, 1]) < 0.03


def test_a_death_is_seen_in_the_losses_and_not_in_what_is_said() -> None:
    checks, dies = 34, 14
    said = simulate(1.5, 0.5, TRAINED + SAID + checks, np.random.default_rng(3), TRAINED + SAID + dies)
    found = alarms(said, checks)
    assert not found[OURS][:dies].any()
    assert found[OURS][-1]
    assert not found["prediction"].any()
    assert not found["label"].any()
    first = int(np.argmax(found[OURS]))
    assert int(np.argmax(found["weekly"])) == first + (6 - first) % 7  # seen at the next look
