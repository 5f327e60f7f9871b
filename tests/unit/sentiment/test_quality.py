"""Quality against labels: figures as scikit-learn has them, halves that never change, honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from pipelines.errors import ContractError
from pipelines.sentiment import quality
from pipelines.sentiment.quality import Labelled


def labelled(rows: int = 400, seed: int = 0, *, graded: bool = False) -> tuple[Labelled, np.ndarray, np.ndarray]:
    """A set with a good and a poor scorer."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, 2, rows).astype(float)
    good, poor = (np.clip(0.3 * truth + noise * rng.standard_normal(rows), -1, 1) for noise in (0.2, 0.6))
    texts = tuple(f"text {seed} {number}" for number in range(rows))
    return Labelled("made", texts, truth + 0.5 if graded else truth, graded), poor, good


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_scikit_learn(seed: int) -> None:
    texts, poor, _ = labelled(seed=seed)
    said = quality.signs(poor)
    assert quality.accuracy(texts.truth, poor) == pytest.approx(accuracy_score(texts.truth, said))
    assert quality.macro_f1(texts.truth, poor) == pytest.approx(f1_score(texts.truth, said, average="macro"))
    assert quality.correlation(texts.truth, poor) == pytest.approx(stats.pearsonr(texts.truth, poor).statistic)


@pytest.mark.parametrize(("compound", "sign"), [(0.05, 1), (-0.05, -1), (0.0499, 0), (-0.0499, 0), (0.0, 0)])
def test_the_thresholds_belong_to_the_feelings(compound: float, sign: int) -> None:
    assert quality.signs(np.array([compound])).tolist() == [sign]


@pytest.mark.parametrize(("text", "apart"), [("a", True), ("b", True), ("c", False), ("\ud83d lone", True)])
def test_the_half_of_a_text_never_changes(text: str, apart: bool) -> None:
    assert quality.is_held_out(text) is apart


def test_each_half_is_measured_alone_and_together_they_are_all_texts() -> None:
    texts, poor, good = labelled()
    rows = quality.compare(texts, {"poor": poor, "good": good}, draws=50)
    assert [(row.half, row.measure) for row in rows] == [
        (half, measure) for half in ("seen", "held out") for measure in ("accuracy", "macro-F1", "correlation")]
    assert {row.half: row.texts for row in rows}["seen"] + {row.half: row.texts for row in rows}["held out"] == 400
    apart = np.array([quality.is_held_out(text) for text in texts.texts])
    held = next(row for row in rows if row.half == "held out" and row.measure == "accuracy")
    assert held.scorers["good"].value == quality.accuracy(texts.truth[apart], good[apart])
    assert held.difference.value == pytest.approx(held.scorers["good"].value - held.scorers["poor"].value)
    assert held.difference.low > 0


def test_grades_have_a_correlation_only() -> None:
    texts, poor, good = labelled(graded=True)
    assert {row.measure for row in quality.compare(texts, {"poor": poor, "good": good}, draws=10)} == {"correlation"}


def test_two_equal_scorers_differ_by_nothing_on_the_same_resamples() -> None:
    texts, poor, _ = labelled()
    for row in quality.compare(texts, {"one": poor, "two": poor.copy()}, draws=50):
        assert (row.difference.value, row.difference.low, row.difference.high) == (0, 0, 0)


def test_the_interval_of_a_share_is_about_the_binomial_one() -> None:
    texts, poor, _ = labelled(rows=3000)
    for row in quality.compare(texts, {"poor": poor}, draws=1000):
        if row.measure == "accuracy":
            share = row.scorers["poor"]
            error = np.sqrt(share.value * (1 - share.value) / row.texts)
            assert (share.high - share.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.1)


@pytest.mark.no_cover
def test_the_interval_covers_the_truth() -> None:
    """A scorer that is right on 70 % of texts: 95 % intervals hold 0.7 in about 95 % of sets."""
    hits = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = rng.choice([-1.0, 1.0], 300)
        said = np.where(rng.random(300) < 0.7, truth, -truth)
        texts = Labelled("coin", tuple(f"{seed}.{number}" for number in range(300)), truth, False)
        share = quality.compare(texts, {"coin": said}, draws=200)[0].scorers["coin"]
        hits.append(share.low <= 0.7 <= share.high)
    assert 0.85 <= np.mean(hits) <= 0.99


def test_what_never_varies_has_no_correlation_and_a_small_half_no_figures() -> None:
    texts, poor, _ = labelled()
    flat = [row for row in quality.compare(texts, {"flat": np.zeros(400)}, draws=10) if row.measure == "correlation"]
    assert all(np.isnan(row.scorers["flat"].value) for row in flat)
    few = Labelled("few", texts.texts[:12], texts.truth[:12], False)
    assert quality.compare(few, {"poor": poor[:12]}, draws=10) == []


def test_refuses_scores_of_other_texts() -> None:
    texts, poor, _ = labelled()
    with pytest.raises(ContractError, match="400 texts"):
        quality.compare(texts, {"poor": poor[1:]})
    with pytest.raises(ContractError, match="pass one for each"):
        quality.compare(texts, {})
