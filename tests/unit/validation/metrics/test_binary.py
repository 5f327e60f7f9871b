from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError
from pipelines.validation import metrics


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rows = draw(st.integers(2, 60))
    labels = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=rows, max_size=rows))
    # few distinct values: ties matter for the AUC
    chances = draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.500001, 0.7, 0.9, 1.0]), min_size=rows,
                            max_size=rows))
    return np.array(labels), np.array(chances)


@pytest.mark.no_cover
@given(scored())
@settings(max_examples=150, deadline=None)
def test_equal_to_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = drawn
    found = metrics.classification(y, p)
    said = p > 0.5
    clipped = np.clip(p, metrics.CLIP, 1 - metrics.CLIP)
    expected = {
        "log_loss": peer.log_loss(y, clipped, labels=[0, 1]),
        "brier": peer.brier_score_loss(y, p),
        "auc": peer.roc_auc_score(y, p) if 0 < y.sum() < len(y) else math.nan,
        "accuracy": peer.accuracy_score(y, said),
        "precision": peer.precision_score(y, said) if said.any() else math.nan,
        "recall": peer.recall_score(y, said) if y.any() else math.nan,
        "f1": peer.f1_score(y, said) if y.any() or said.any() else math.nan,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    assert tuple(found) == metrics.NAMES
    assert {name for name, value in found.items() if math.isnan(value)} == set(metrics.undefined(y, p))


@pytest.mark.parametrize(("y", "p", "ece"), [
    ([1, 1, 0, 0], [0.95, 0.95, 0.05, 0.05], 0.05),
    ([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], 0.0),
    ([1, 1, 1, 1], [0.0, 0.0, 1.0, 1.0], 0.5),
    ([1, 0], [0.51, 0.59], 0.05),          # one bin: |1 - 1.10| / 2
    ([0, 0, 0, 1], [0.15, 0.25, 0.35, 0.45], (0.15 + 0.25 + 0.35 + 0.55) / 4),
])
def test_expected_calibration_error_by_hand(y: list[int], p: list[float], ece: float) -> None:
    assert metrics.classification(y, p)["ece"] == pytest.approx(ece)


def test_a_certain_mistake_costs_the_clip_and_not_infinity() -> None:
    assert metrics.losses([1.0], [0.0])[0] == pytest.approx(-math.log(1e-6))
    assert metrics.losses([0.0], [1.0])[0] == pytest.approx(-math.log(1e-6), rel=1e-6)
    assert metrics.losses([1.0, 0.0], [0.5, 0.5]).tolist() == pytest.approx([math.log(2)] * 2)


def test_an_undefined_metric_says_why() -> None:
    assert metrics.undefined([1, 1, 1], [0.2, 0.6, 0.7]) == {
        "auc": "all 3 labels are 1; ranking needs both classes"}
    assert set(metrics.undefined([0, 0], [0.2, 0.1])) == {"auc", "recall", "precision", "f1"}


@pytest.mark.parametrize(("y", "p", "reason"), [
    ([], [], "no rows"), ([1, 0], [0.5], "do not match"), ([1, 2], [0.5, 0.5], "other than 0 and 1"),
    ([1, math.nan], [0.5, 0.5], "other than 0 and 1"), ([1, 0], [0.5, 1.1], "outside"),
    ([1, 0], [0.5, math.nan], "outside"), ([[1], [0]], [[0.5], [0.5]], "do not match")])
def test_refusals(y: list, p: list, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        metrics.classification(y, p)
