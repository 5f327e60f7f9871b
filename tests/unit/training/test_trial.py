from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.training.trial import TrialRecord, ranked, worse


@pytest.mark.parametrize("blocks", [2, 4, 7, 12, 13, 30])
def test_worse_decides_as_scipy_s_wilcoxon_where_there_are_no_ties(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    decided = 0
    for _ in range(60):
        best = rng.normal(0, 1, 30)
        own = best[:blocks] + rng.normal(0.4, 1, blocks)
        p = stats.wilcoxon(own - best[:blocks], alternative="greater", method="exact").pvalue
        expected = bool(p < 0.1 and best.mean() < own.mean())
        assert worse(own.tolist(), best.tolist(), 0.1) is expected
        decided += expected
    assert decided > 0 or blocks < 4  # two blocks say no more than p = 1/4


@pytest.mark.parametrize(("own", "expected"), [
    ([1.0, 1.0, 1.0, 1.0], True),       # 1/16, though all are tied
    ([1.0, 1.0, 1.0], False),           # 1/8
    ([0.0, 0.0, 0.0, 0.0], False),      # the same as the best one
    ([1.0, 0.0, 1.0, 1.0], False)])     # a zero counts for neither side: 1/8
def test_ties_and_zeros(own: list[float], expected: bool) -> None:
    assert worse(own, [0.0] * 6, 0.1) is expected


def test_of_equal_losses_the_one_that_came_first_in_the_budget_wins() -> None:
    again = TrialRecord(9, "complete", 0.5, "xgboost", {}, (), 1.0, place=1)  # run again after its worker had died
    later = TrialRecord(4, "complete", 0.5, "xgboost", {}, (), 1.0, place=4)
    assert ranked([later, again]) == [again, later]
