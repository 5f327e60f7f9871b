"""What probabilities expect of themselves."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pipelines.monitoring import estimate


def test_every_outcome_weighed_with_its_probability() -> None:
    """Four rows, sixteen worlds: the expectation by enumeration. AUC: expected right pairs over expected pairs."""
    p = np.array([0.2, 0.5, 0.5, 0.9])
    loss = accuracy = right = pairs = 0.0
    for y in itertools.product([0, 1], repeat=4):
        weight = math.prod(chance if up else 1 - chance for up, chance in zip(y, p, strict=True))
        loss += weight * float(np.mean([-math.log(chance if up else 1 - chance)
                                        for up, chance in zip(y, p, strict=True)]))
        accuracy += weight * float(np.mean([(chance > 0.5) == up for up, chance in zip(y, p, strict=True)]))
        for one, other in itertools.product(range(4), repeat=2):
            if y[one] and not y[other]:
                pairs += weight
                right += weight * (1.0 if p[one] > p[other] else 0.5 if p[one] == p[other] else 0.0)
    found = estimate.expected(p)
    assert found["log_loss"] == pytest.approx(loss)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["auc"] == pytest.approx(right / pairs)


def test_true_probabilities_are_met_by_outcomes() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(4, 3, 20_000)
    y = (rng.random(len(p)) < p).astype(float)
    came, thought = estimate.realised(y, p), estimate.expected(p)
    assert came["log_loss"] == pytest.approx(thought["log_loss"], abs=4 * estimate.standard_error(p))
    assert came["accuracy"] == pytest.approx(thought["accuracy"], abs=0.015)
    assert came["auc"] == pytest.approx(thought["auc"], abs=0.015)


def test_it_does_not_see_an_edge_that_dies() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(4, 3, 5000)
    y = (rng.random(len(p)) < 0.5).astype(float)
    off = estimate.realised(y, p)["log_loss"] - estimate.expected(p)["log_loss"]
    assert off > 10 * estimate.standard_error(p)


def test_without_rows_nothing_is_known() -> None:
    none = np.empty(0)
    assert all(math.isnan(value) for found in (estimate.expected(none), estimate.realised(none, none))
               for value in found.values())
    assert math.isnan(estimate.standard_error(none))
    assert math.isnan(estimate.expected(np.full(5, 0.5))["auc"])
