from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from pipelines.errors import ContractError
from pipelines.validation import metrics


@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.floats(0, 1)), min_size=1, max_size=80),
       st.sampled_from([None, 1, 2, 10, 37]))
@settings(max_examples=200, deadline=None)
def test_the_parts_add_up_to_the_score(rows: list[tuple[int, float]], bins: int | None) -> None:
    y, p = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    parts = metrics.brier_parts(y, p, bins)
    assert parts.score == pytest.approx(brier_score_loss(y, p, labels=[0, 1], pos_label=1), abs=1e-12)
    assert parts.score == pytest.approx(
        parts.reliability - parts.resolution + parts.uncertainty + parts.within_variance - parts.within_covariance,
        abs=1e-12)
    assert parts.score == pytest.approx(parts.reliability - parts.generalised_resolution + parts.uncertainty, abs=1e-12)
    assert min(parts.reliability, parts.resolution, parts.uncertainty, parts.within_variance) >= 0
    if bins is None:
        assert (parts.within_variance, parts.within_covariance) == pytest.approx((0.0, 0.0), abs=1e-15)
    if bins == 1:
        assert parts.resolution == pytest.approx(0.0, abs=1e-15)


def test_by_hand() -> None:
    """Bin one: 0.1, 0.3 with labels 0, 1; bin two: 0.9, 0.9 with labels 1, 1. Base rate 3/4."""
    parts = metrics.brier_parts([0, 1, 1, 1], [0.1, 0.3, 0.9, 0.9], bins=2)
    assert parts.score == pytest.approx((0.01 + 0.49 + 0.01 + 0.01) / 4)
    assert parts.reliability == pytest.approx((2 * 0.3**2 + 2 * 0.1**2) / 4)
    assert parts.resolution == pytest.approx((2 * 0.25**2 + 2 * 0.25**2) / 4)
    assert parts.uncertainty == pytest.approx(0.1875)
    assert parts.within_variance == pytest.approx(2 * 0.1**2 / 4)
    assert parts.within_covariance == pytest.approx(2 * (0.5 * 0.1 + 0.5 * 0.1) / 4)
    assert parts.bins == 2


def test_three_parts_alone_would_not_add_up() -> None:
    generator = np.random.default_rng(1)
    p = generator.uniform(size=500)
    y = (generator.uniform(size=500) < p).astype(float)
    parts = metrics.brier_parts(y, p)
    assert abs(parts.reliability - parts.resolution + parts.uncertainty - parts.score) > 1e-4


def test_no_bins_are_refused() -> None:
    with pytest.raises(ContractError, match="at least one"):
        metrics.brier_parts([1], [0.5], bins=0)
