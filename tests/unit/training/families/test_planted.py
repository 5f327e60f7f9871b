"""Every family finds an edge that is there, and none that is not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.training import families
from tests.unit.training.families.planted import NAMES, auc_interval, rows


@pytest.mark.parametrize("name", families.names())
def test_a_planted_edge_is_found_within_the_interval_of_the_true_chances(name: str) -> None:
    features, labels, _ = rows(1.5)
    unseen, outcome, truth = rows(1.5, seed=1)
    family = families.get(name)
    chances = family.fit(features, labels, NAMES, family.defaults, seed=1).predict(unseen)
    low, high = auc_interval(outcome, chances)
    assert low > 0.7
    # A twentieth of the telling cells is missing, so not quite all that is to be known can be known.
    assert low - 0.03 < roc_auc_score(outcome, truth) < high + 0.03


@pytest.mark.parametrize("name", families.names())
def test_where_there_is_no_edge_the_forecast_stays_near_the_base_rate(name: str) -> None:
    features, labels, _ = rows(0.0)
    unseen, outcome, _ = rows(0.0, seed=1)
    family = families.get(name)
    chances = family.fit(features, labels, NAMES, family.defaults, seed=1).predict(unseen)
    low, high = auc_interval(outcome, chances)
    assert low < 0.5 < high
    assert abs(chances.mean() - labels.mean()) < 0.03
    assert np.std(chances) < 0.12
