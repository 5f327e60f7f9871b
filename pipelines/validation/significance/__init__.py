"""Tests that know their error: is a difference real, given how many were tried and how long the data remember?

Labelled frames and series go in (see `labelled`); a transposed, unsorted, annualised or otherwise impossible input is
refused instead of computed. Import the submodules for more than the names here: `sharpe`, `sharpe_difference`,
`overfitting`, `hansen`, `rotation`, `superior` (the door to arch), `forecast`, `sequential`, `evalues`, `bootstrap`.
"""

from __future__ import annotations

from pipelines.validation.significance.block import TTest, block_t_test, noncentrality
from pipelines.validation.significance.evalues import Betting, bet
from pipelines.validation.significance.forecast import MeanTest, cosine_test, diebold_mariano
from pipelines.validation.significance.hansen import Superiority, spa, spa_of_gains
from pipelines.validation.significance.overfitting import Overfitting, pbo
from pipelines.validation.significance.rotation import RotationTest, best_by_rotation, rotation_of_gains
from pipelines.validation.significance.sequential import (
    Boundary,
    constant_boundary,
    crossing_probabilities,
    spending_boundary,
    with_futility,
)
from pipelines.validation.significance.sharpe import (
    DeflatedSharpe,
    Moments,
    deflated_sharpe,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    psr,
    sharpe_ratio,
)
from pipelines.validation.significance.sharpe_difference import SharpeDifference, sharpe_difference
from pipelines.validation.significance.superior import ConfidenceSet, model_confidence_set, step_m
from pipelines.validation.significance.trials import effective_trials, expected_maximum_sharpe

__all__ = [
    "Betting", "Boundary", "ConfidenceSet", "DeflatedSharpe", "MeanTest", "Moments", "Overfitting", "RotationTest",
    "SharpeDifference", "Superiority", "TTest", "best_by_rotation", "bet", "block_t_test", "constant_boundary",
    "cosine_test", "crossing_probabilities", "deflated_sharpe", "diebold_mariano", "effective_trials",
    "expected_maximum_sharpe", "minimum_track_record", "model_confidence_set", "moments", "noncentrality", "pbo",
    "probabilistic_sharpe", "psr", "rotation_of_gains", "sharpe_difference", "sharpe_ratio", "spa", "spa_of_gains",
    "spending_boundary", "step_m", "with_futility",
]
