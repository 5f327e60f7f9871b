from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import ConfigError, TrainingError
from pipelines.training import fit, selection
from pipelines.training.selection import Rows
from pipelines.training.trial import SELECTION
from pipelines.validation import metrics
from pipelines.validation.splits import plan
from tests.unit.training.conftest import START, make_frame, make_line

WAYS = selection.names()
PARAMS = {"C": 1.0}


def rows(columns: int = 20, days: int = 20, symbols: int = 3, edge: float = 0.8, seed: int = 0,
         memory: float = 0.0) -> Rows:
    """Columns 3 and 11 say something of the labels; ``memory``: the autocorrelation of columns and labels."""
    rng = np.random.default_rng(seed)
    hours = days * 24
    noise = rng.standard_normal((hours, columns + 1))
    for hour in range(1, hours):
        noise[hour] = memory * noise[hour - 1] + np.sqrt(1 - memory**2) * noise[hour]
    values = np.repeat(noise[:, :columns], symbols, axis=0) + 0.3 * rng.standard_normal((hours * symbols, columns))
    hidden = edge * (values[:, 3] - values[:, 11]) + np.repeat(noise[:, columns], symbols)
    values[rng.random(values.shape) < 0.02] = np.nan
    times = pd.Series(pd.date_range(START, periods=hours, freq="h", unit="us").repeat(symbols))
    return Rows(values, (hidden > 0).astype(float), times, times + timedelta(hours=2))


@pytest.mark.parametrize("way", WAYS)
def test_the_columns_that_say_something_are_found_and_the_choice_is_the_same_each_time(way: str) -> None:
    chosen = selection.get(way)(rows(), seed=1)
    assert chosen.shape == (20,)
    assert chosen[[3, 11]].all()
    assert chosen.sum() <= 6
    assert np.array_equal(selection.get(way)(rows(), seed=1), chosen)


@pytest.mark.parametrize("way", ["importance", "stability"])
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_of_columns_that_say_nothing_about_one_is_kept(way: str, memory: float) -> None:
    """Also where columns and labels hang together over many hours. One stays in any case."""
    kept = [int(selection.get(way)(rows(12, 12, edge=0.0, seed=seed, memory=memory), seed=seed).sum())
            for seed in range(2)]
    assert sum(kept) <= 4


@pytest.mark.parametrize("way", WAYS)
def test_a_fold_chooses_by_its_own_training_rows_alone(way: str) -> None:
    """Whatever the other rows hold: the same columns, the same predictions."""
    frame = make_frame(extra=4)
    folds = plan(make_line(), frame).search[:1]
    params = {**PARAMS, SELECTION: way}
    before, = fit.score_folds(fit.matrix(frame), folds, "logistic_regression", params, seed=1)
    spoiled = frame.copy()
    others = np.setdiff1d(np.arange(len(frame)), folds[0].train)
    spoiled.loc[others, "y"] = 1 - spoiled.loc[others, "y"]
    spoiled.loc[others, "forward_return"] = 0.0
    after, = fit.score_folds(fit.matrix(spoiled), folds, "logistic_regression", params, seed=1)
    assert np.array_equal(before.predictions, after.predictions)
    assert before.columns is not None
    assert 1 <= before.columns < 12


def test_chosen_on_all_rows_nothing_looks_like_an_edge_and_chosen_inside_the_fold_it_does_not() -> None:
    """400 columns without any edge, 480 rows: those that fit all rows best against those that fit the fold's."""
    frame = make_frame(days=20, symbols=1, edge=0.0, extra=400)
    frame = frame.drop(columns=["sentiment_4h"])
    data, folds = fit.matrix(frame), plan(make_line(), frame).search

    def auc(found: fit.Matrix, params: dict[str, object]) -> float:
        scores = list(fit.score_folds(found, folds, "logistic_regression", params, seed=1))
        tested = np.concatenate([fold.test for fold in folds])
        return metrics.classification(found.labels[tested], np.concatenate([score.predictions for score in scores])
                                      )["auc"]

    score = np.abs(np.nan_to_num(data.features).T @ (data.labels - data.labels.mean()))
    best = np.sort(np.argsort(-score)[:20])
    peeked = dataclasses.replace(data, features=np.ascontiguousarray(data.features[:, best]),
                                 names=tuple(data.names[column] for column in best), kept=type(data.kept)())
    assert auc(peeked, PARAMS) > 0.65
    assert abs(auc(data, {**PARAMS, SELECTION: "stability"}) - 0.5) < 0.09


def test_the_final_model_names_its_columns_and_reads_only_them() -> None:
    frame = make_frame(extra=8)
    data, line = fit.matrix(frame), make_line()
    params = {**PARAMS, SELECTION: "stability"}
    model, used = fit.final(data, line, "logistic_regression", params, seed=1)
    own = fit.own_columns(data, model)
    assert "sentiment_4h" in model.feature_names
    assert len(model.feature_names) < len(data.names)
    assert [data.names[column] for column in own] == list(model.feature_names)
    assert model.predict(data.features[used][:, own]).shape == (len(used),)
    folds = plan(line, frame)
    found = fit.out_of_sample(data, folds.search, "logistic_regression", params, seed=1)
    scored = np.concatenate([score.predictions for score in fit.score_folds(
        data, folds.search, "logistic_regression", params, seed=1)])
    assert np.array_equal(np.sort(found["candidate"]), np.sort(scored))
    table = fit.selections(data, folds.search, params, seed=1)
    assert table is not None
    assert table.index[0] == "sentiment_4h"
    assert table["share"].iloc[0] == 1.0
    assert list(table.columns) == [0, 1, 2, "share"]
    assert fit.selections(data, folds.search, PARAMS, seed=1) is None


@pytest.mark.parametrize(("way", "hours", "reason"), [
    ("stability", 120, "span 5 days"), ("rfecv", 3, "into 4 folds")])
def test_rows_that_say_too_little_are_refused(way: str, hours: int, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        selection.get(way)(rows().part(slice(3 * hours)), seed=1)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown selection 'genetic'.*rfecv"):
        selection.get("genetic")
