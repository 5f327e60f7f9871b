from __future__ import annotations

import dataclasses
import multiprocessing as mp
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.line import Line
from pipelines.training import families, fit, search, stopping
from pipelines.training.families.base import Stopping, prepare
from pipelines.training.kept import Kept
from pipelines.validation import metrics
from pipelines.validation.splits import plan
from pipelines.validation.splits.line_plan import MIN_TRAIN_ROWS
from tests.unit.training.conftest import START, make_frame

BOOSTERS = ("xgboost", "lightgbm", "hist_gradient_boosting")
SEED = 3


def quick(family: str, rounds: int = 40) -> dict[str, Any]:
    """A configuration that learns too much soon."""
    return {**families.get(family).defaults, "rounds": rounds, "learning_rate": 0.2}


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), min_size=1, max_size=400), st.integers(0, 30))
def test_no_label_that_is_learned_reaches_into_what_is_watched(rows: list[tuple[int, int]], embargo: int) -> None:
    event = pd.Series([START + timedelta(hours=hour) for hour, _ in rows])
    end = event + pd.Series([timedelta(hours=length) for _, length in rows])
    positions = np.arange(1000, 1000 + len(rows))
    parts = stopping.split(positions, event, end, timedelta(hours=embargo))
    first = event.max() - (event.max() - event.min()) * stopping.SLICE
    late = int((event >= first).sum())
    if parts is None:
        early = int((end < first - timedelta(hours=embargo)).sum())
        assert min(early, late) < MIN_TRAIN_ROWS
        return
    learned, watched = parts
    assert len(watched) == late
    assert min(event[watched - 1000]) - max(end[learned - 1000]) > timedelta(hours=embargo)
    assert len(learned) >= MIN_TRAIN_ROWS <= len(watched)


@pytest.mark.parametrize(("most", "rounds", "expected"), [
    (100, (), 100),                  # nothing was stopped
    (100, (30, 34, 90), 40),         # 34 / 0.85
    (100, (40, 60), 59),             # the median is between: 50 / 0.85 = 58.8
    (100, (100, 100, 100), 100),     # no more than allowed
    (100, (1, 1, 1), 1)])
def test_the_rounds_of_the_final_fit(most: int, rounds: tuple[int, ...], expected: int) -> None:
    params = {"rounds": most, "learning_rate": 0.1}
    assert stopping.settled(params, rounds) == {**params, "rounds": expected}


@pytest.mark.parametrize("name", BOOSTERS)
def test_the_best_round_of_all_is_found_and_the_model_is_that_of_so_many_rounds(name: str) -> None:
    """Against every number of rounds, fitted and scored one by one."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((700, 4))
    labels = (values[:, 0] + 1.5 * rng.standard_normal(700) > 0).astype(float)
    names, family = ("a", "b", "c", "d"), families.get(name)
    assert isinstance(family, Stopping)
    prepared = prepare(family, values[:400], labels[:400], names, SEED)
    watched = family.watch(prepared, values[400:], labels[400:])
    params = quick(name, 25)
    stopped, rounds = family.fit_stopped(prepared, watched, params, SEED, 25)
    models = [family.fit(values[:400], labels[:400], names, {**params, "rounds": number}, SEED)
              for number in range(1, 26)]
    losses = [metrics.losses(labels[400:], model.predict(values[400:])).mean() for model in models]
    assert rounds == int(np.argmin(losses)) + 1
    assert 1 < rounds < 25
    same = models[rounds - 1]
    assert np.array_equal(stopped.predict(values), same.predict(values))
    assert np.array_equal(stopped.importance(), same.importance())
    impatient = next(at for at in range(25) if min(losses[at + 1:at + 4], default=9.9) >= losses[at])
    assert family.fit_stopped(prepared, watched, params, SEED, 3)[1] <= rounds
    assert family.fit_stopped(prepared, watched, params, SEED, 3)[1] == int(np.argmin(losses[:impatient + 1])) + 1


@pytest.mark.parametrize("name", BOOSTERS)
def test_a_fold_s_rounds_and_forecasts_do_not_know_what_comes_after_it_starts(name: str, line: Line) -> None:
    frame = make_frame()
    folds, params = plan(line, frame).search, quick(name)
    before = list(fit.score_folds(fit.matrix(frame), folds, name, params, SEED, stop=True))
    assert all(score.rounds is not None and 1 <= score.rounds <= 40 for score in before)
    assert min(score.rounds or 0 for score in before) < 40
    for fold, score in zip(folds, before, strict=True):
        spoiled = frame.copy()
        future = spoiled["label_end"] >= fold.test_start - line.bar * line.walk_forward.embargo_bars
        spoiled.loc[future, "y"] = 1.0 - spoiled.loc[future, "y"]
        after, = fit.score_folds(fit.matrix(spoiled), [fold], name, params, SEED, stop=True)
        assert np.array_equal(after.predictions, score.predictions)
        assert after.rounds == score.rounds


def test_what_lies_between_the_two_parts_is_seen_by_neither(line: Line) -> None:
    frame = make_frame()
    fold = plan(line, frame).search[-1]
    data, times = fit.matrix(frame), frame.iloc[fold.train]
    parts = stopping.split(fold.train, times["event_time"], times["label_end"], timedelta(hours=1))
    assert parts is not None
    between = np.setdiff1d(fold.train, np.concatenate(parts))
    assert len(between) == 3 * 3  # three symbols: label of two hours, embargo of one
    spoiled = frame.copy()
    spoiled.loc[between, "y"] = 1.0 - spoiled.loc[between, "y"]
    before, after = (next(fit.score_folds(found, [fold], "lightgbm", quick("lightgbm"), SEED, stop=True))
                     for found in (data, fit.matrix(spoiled)))
    assert np.array_equal(before.predictions, after.predictions)


def test_families_without_rounds_and_folds_that_are_too_short_are_fitted_as_ever(line: Line) -> None:
    frame = make_frame()
    data, folds = fit.matrix(frame), plan(line, frame).search
    for stop in (True, False):
        score = next(fit.score_folds(data, folds, "logistic_regression", {"C": 0.1}, SEED, stop=stop))
        assert score.rounds is None
    short = plan(line, frame).search[0]
    few = type(short)(0, short.train[-200:], short.test, short.train_end, short.test_start, short.test_end)
    whole, stopped = (next(fit.score_folds(data, [few], "lightgbm", quick("lightgbm"), SEED, stop=stop))
                      for stop in (False, True))
    assert np.array_equal(whole.predictions, stopped.predictions)
    assert (whole.rounds, stopped.rounds) == (None, 40)


def test_a_column_is_chosen_without_the_rows_that_are_watched(line: Line) -> None:
    frame = make_frame(extra=4)
    fold, params = plan(line, frame).search[-1], {**quick("lightgbm"), "selection": "importance"}
    times = frame.iloc[fold.train]
    parts = stopping.split(fold.train, times["event_time"], times["label_end"], timedelta(hours=1))
    assert parts is not None
    spoiled = frame.copy()
    spoiled.loc[parts[1], "y"] = 1.0 - spoiled.loc[parts[1], "y"]
    data, other = fit.matrix(frame), fit.matrix(spoiled)
    before, after = (next(fit.score_folds(found, [fold], "lightgbm", params, SEED, stop=True))
                     for found in (data, other))
    chosen = fit.selections(data, [fold], params, SEED, "lightgbm")
    assert chosen is not None
    assert before.columns == after.columns == chosen["share"].sum()
    assert chosen.equals(fit.selections(other, [fold], params, SEED, "lightgbm"))
    assert not np.array_equal(before.predictions, after.predictions)  # but the rounds do depend on them


def test_a_walk_with_stopping_repeats_the_trial(line: Line) -> None:
    frame = make_frame()
    data, folds = fit.matrix(frame), plan(line, frame).search
    scores = list(fit.score_folds(data, folds, "xgboost", quick("xgboost"), SEED, stop=True, look=0.5))
    walked = fit.out_of_sample(fit.matrix(frame), folds, "xgboost", quick("xgboost"), SEED, stop=True)
    told = np.concatenate([score.predictions for score in scores if score.history == 1])
    assert np.array_equal(np.sort(told), np.sort(walked["candidate"].to_numpy()))
    assert scores[0].history == 0.5


@pytest.mark.parametrize("name", BOOSTERS)
def test_what_folds_keep_for_each_other_changes_nothing_also_where_memory_is_short(name: str, line: Line) -> None:
    """Room for nothing, for two parts of a fold, for all."""
    frame = make_frame()
    folds, told = plan(line, frame).search, []
    for limit in (0, 12_000, Kept()._limit):
        data = dataclasses.replace(fit.matrix(frame), kept=Kept(limit))
        told += [np.concatenate([score.predictions for score in fit.score_folds(
            data, folds, name, quick(name, 10), SEED, stop=True)]) for _ in range(2)]
    assert all(np.array_equal(one, told[0]) for one in told)


def _work(url: str, frame: pd.DataFrame, line: Line, out: Any) -> None:
    data, folds = fit.matrix(frame), plan(line, frame).search

    def evaluate(family: str, params: Mapping[str, Any]) -> Iterator[search.FoldScore]:
        return fit.score_folds(data, folds, family, params, SEED, stop=True)

    out.put(search.run(url, "study", family_names=("lightgbm", "xgboost"), trials=6, seed=1, evaluate=evaluate,
                       halving=True, grace=60))


def test_the_same_winner_however_many_workers(new_database: Callable[..., str], line: Line) -> None:
    frame, found = make_frame(), []
    for workers in (1, 2, 8):
        url = new_database(migrated=False)
        search.create(url, "study", ("lightgbm", "xgboost"))
        out = mp.get_context("fork").Queue()
        started = [mp.get_context("fork").Process(target=_work, args=(url, frame, line, out)) for _ in range(workers)]
        for process in started:
            process.start()
        assert sum(out.get(timeout=120) for _ in started) == 6
        for process in started:
            process.join(20)
        trials = search.records(url, "study")
        found.append(sorted((trial.place, str(trial.params), trial.state, trial.value, trial.rounds)
                            for trial in trials))
        best = search.best(trials)
        assert len(best.rounds) == len(best.fold_losses) == 3
        assert max(best.rounds) <= best.params["rounds"]
    assert found[0] == found[1] == found[2]
