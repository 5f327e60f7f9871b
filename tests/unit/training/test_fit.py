from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipelines.contracts.line import Line
from pipelines.contracts.records import EVIDENCE_COLUMNS
from pipelines.errors import TrainingError
from pipelines.training import families, fit
from pipelines.validation import metrics
from pipelines.validation.splits import Fold, plan
from tests.unit.training.conftest import FEATURES, START, make_frame, make_line

PARAMS = {"C": 0.1}
FAMILY = "logistic_regression"


def test_features_are_what_is_left(frame: pd.DataFrame) -> None:
    data = fit.matrix(frame)
    assert data.names == FEATURES
    assert data.features.shape == (len(frame), len(FEATURES))
    assert data.features.dtype == data.labels.dtype == np.float64


@pytest.mark.parametrize(("change", "reason"), [
    (lambda frame: frame.drop(columns=["y", "label_end"]), "lacks y, label_end"),
    (lambda frame: frame.drop(columns=list(FEATURES)), "no feature column"),
    (lambda frame: frame.assign(y=0.5), "labels other than 0 and 1")])
def test_a_snapshot_that_cannot_be_learned_is_refused(frame: pd.DataFrame, change: object, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        fit.matrix(change(frame))  # type: ignore[operator]


def test_fold_scores_add_up_to_the_loss_of_the_predictions(line: Line, frame: pd.DataFrame) -> None:
    data, folds = fit.matrix(frame), plan(line, frame).search
    scores = list(fit.score_folds(data, folds, FAMILY, PARAMS, seed=1))
    found = fit.out_of_sample(data, folds, FAMILY, PARAMS, seed=1)
    for score, (_, rows) in zip(scores, found.groupby("fold"), strict=True):
        losses = metrics.losses(rows["y"], rows["candidate"])
        assert score.loss == pytest.approx(losses.mean())
        assert (score.rows, len(score.blocks)) == (len(rows), 2)  # test windows of two days
        assert np.mean(score.blocks) == pytest.approx(score.loss)
    assert [score.remaining for score in scores] == [2, 1, 0]


def test_a_prediction_does_not_know_what_comes_after_its_fold_starts(line: Line, frame: pd.DataFrame) -> None:
    """Labels known at or after a test window's start may be anything: its predictions and baselines stay."""
    folds = plan(line, frame).evidence
    before = fit.out_of_sample(fit.matrix(frame), folds, FAMILY, PARAMS, seed=1)
    for fold in folds:
        spoiled = frame.copy()
        future = spoiled["label_end"] >= fold.test_start - line.bar * line.walk_forward.embargo_bars
        spoiled.loc[future, "y"] = 1.0 - spoiled.loc[future, "y"]
        after = fit.out_of_sample(fit.matrix(spoiled), [fold], FAMILY, PARAMS, seed=1)
        columns = ["symbol", "event_time", "candidate", "base_rate", "persistence"]
        same = before.loc[before["fold"] == fold.number, columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(after[columns], same)


def test_the_naive_baselines_by_hand() -> None:
    """Training labels 1 1 1 0 after 1, 0 1 after 0: base rate 4/6, persistence 4/6 after 1 and 2/4 after 0."""
    frame = pd.DataFrame({
        "symbol": "A", "event_time": pd.date_range(START, periods=9, freq="h", unit="us"), "x": range(9),
        "y": [1.0, 1, 1, 0, 0, 1, 0, 0, 1], "base_prev_label": [1.0, 1, 1, 1, 0, 0, 1, 0, np.nan]})
    frame["available_at"] = frame["event_time"] + timedelta(hours=1)
    frame["label_end"], frame["forward_return"] = frame["event_time"] + timedelta(hours=2), 0.0
    fold = plan_fold(train=range(6), test=range(6, 9))
    found = fit.out_of_sample(fit.matrix(frame), [fold], FAMILY, PARAMS, seed=1)
    assert tuple(found.columns) == EVIDENCE_COLUMNS
    assert found["base_rate"].tolist() == pytest.approx([4 / 6] * 3)
    assert found["persistence"].tolist() == pytest.approx([4 / 6, 2 / 4, 4 / 6])  # unknown: the base rate
    without = fit.out_of_sample(fit.matrix(frame.drop(columns="base_prev_label")), [fold], FAMILY, PARAMS, seed=1)
    assert without["persistence"].tolist() == pytest.approx([4 / 6] * 3)


def plan_fold(train: range, test: range) -> Fold:
    return Fold(0, np.array(train), np.array(test), START, START + timedelta(hours=6), START + timedelta(hours=9))


@pytest.mark.parametrize(("scheme", "days"), [("rolling", 10), ("expanding", 20)])
def test_the_final_fit_takes_the_last_days(scheme: str, days: int, frame: pd.DataFrame) -> None:
    walk_forward = make_line().walk_forward.model_dump() | {"scheme": scheme}
    data = fit.matrix(frame)
    model, rows = fit.final(data, make_line(walk_forward=walk_forward), FAMILY, PARAMS, seed=1)
    assert len(rows) == days * 24 * 3
    assert rows[-1] == len(frame) - 1
    assert model.predict(data.features[:2]).shape == (2,)


def test_the_planted_edge_is_found_and_noise_is_not(line: Line) -> None:
    losses = {}
    for edge in (1.0, 0.0):
        frame = make_frame(edge=edge)
        found = fit.out_of_sample(fit.matrix(frame), plan(line, frame).evidence, FAMILY, PARAMS, seed=1)
        losses[edge] = (metrics.losses(found["y"], found["base_rate"])
                        - metrics.losses(found["y"], found["candidate"])).mean()
    assert losses[1.0] > 0.02
    assert losses[0.0] < 0.005


def test_the_lexicon_is_a_baseline_of_texts_fitted_on_the_training_rows_alone(line: Line, frame: pd.DataFrame) -> None:
    compound = np.tanh(frame["sentiment_4h"].to_numpy())
    texts = frame.drop(columns="base_prev_label").assign(base_compound=compound)
    folds = plan(line, texts).evidence
    found = fit.out_of_sample(fit.matrix(texts), folds, FAMILY, PARAMS, seed=1)
    assert tuple(found.columns) == (*EVIDENCE_COLUMNS, "lexicon")
    assert found["persistence"].equals(found["base_rate"])  # nobody's label comes before a text's
    for fold in folds:
        mine = found[found["fold"] == fold.number]
        # Platt's sigmoid by another library: Newton on the same two parameters.
        fitted = sm.Logit(texts["y"].iloc[fold.train], sm.add_constant(compound[fold.train])).fit(disp=0)
        expected = texts.iloc[fold.test][["symbol", "event_time"]].assign(
            p=fitted.predict(sm.add_constant(compound[fold.test], has_constant="add")))
        both = mine.merge(expected, on=["symbol", "event_time"])
        assert np.allclose(both["lexicon"], both["p"], atol=2e-3)  # ours is regularised, hardly
    spoiled = texts.assign(y=texts["y"].where(texts["label_end"] < folds[0].test_start, 1 - texts["y"]))
    after = fit.out_of_sample(fit.matrix(spoiled), folds[:1], FAMILY, PARAMS, seed=1)
    first = found[found["fold"] == 0].reset_index(drop=True)
    assert after["lexicon"].equals(first["lexicon"])


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "logistic_regression", "random_forest"])
@pytest.mark.parametrize("order", ["time", "shuffled"])
def test_what_fits_share_changes_no_bit(line: Line, frame: pd.DataFrame, family: str, order: str) -> None:
    """Binned folds kept over trials, slices instead of copies: the predictions of fits from scratch, also on a frame
    whose training rows lie anywhere."""
    frame = frame if order == "time" else frame.sample(frac=1.0, random_state=1, ignore_index=True)
    data, folds, params = fit.matrix(frame), plan(line, frame).search, families.get(family).defaults
    warm = [[score.predictions for score in fit.score_folds(data, folds, family, params, seed=1)] for _ in range(2)]
    for number, fold in enumerate(folds):
        model = families.get(family).fit(data.features[fold.train], data.labels[fold.train], data.names, params, 1)
        alone = model.predict(data.features[fold.test])
        assert all(np.array_equal(found[number], alone) for found in warm)
