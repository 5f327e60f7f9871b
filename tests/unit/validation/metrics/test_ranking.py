from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pipelines.errors import ContractError
from pipelines.validation import metrics

ROW = st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.5, 0.9]),
                st.sampled_from([-0.02, -0.01, 0.0, 0.01, math.nan]))


@pytest.mark.no_cover
@given(st.lists(ROW, min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_each_time_as_scipy(rows: list[tuple[int, float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["at", "p", "r"])
    found = metrics.information_coefficient(frame["at"], frame["p"], frame["r"])
    expected = {}
    for at, part in frame.dropna().groupby("at"):
        if len(part) >= 3 and part["p"].nunique() > 1 and part["r"].nunique() > 1:
            expected[at] = spearmanr(part["p"], part["r"]).statistic
    assert found.series.index.tolist() == list(expected)
    assert found.series.to_numpy() == pytest.approx(list(expected.values()), abs=1e-12)
    assert found.skipped == frame["at"].nunique() - len(expected)
    if expected:
        assert found.mean == pytest.approx(np.mean(list(expected.values())), abs=1e-12)
    values = list(expected.values())
    if len(values) > 1 and np.std(values) > 1e-9:
        assert found.ratio == pytest.approx(np.mean(values) / np.std(values, ddof=1))
    else:
        assert math.isnan(found.ratio)


def test_by_hand() -> None:
    """Perfect order, reversed order, and one swap among three (rank correlation 1 - 6 * 2 / 24 = 0.5)."""
    at = np.repeat([0, 1, 2], 3)
    found = metrics.information_coefficient(at, [1, 2, 3] * 3, [0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.2, 0.1, 0.3])
    assert found.series.tolist() == pytest.approx([1.0, -1.0, 0.5])
    assert (found.mean, found.periods, found.skipped) == (pytest.approx(1 / 6), 3, 0)
    assert found.ratio == pytest.approx((1 / 6) / np.std([1, -1, 0.5], ddof=1))


def test_refusals() -> None:
    with pytest.raises(ContractError, match="columns of the same rows"):
        metrics.information_coefficient([1], [0.5, 0.1], [0.1])
    with pytest.raises(ContractError, match="1 predictions are missing"):
        metrics.information_coefficient([1, 1], [0.5, math.nan], [0.1, 0.2])
    with pytest.raises(ContractError, match="at least 2"):
        metrics.information_coefficient([1], [0.5], [0.1], min_symbols=1)
