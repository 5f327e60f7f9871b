"""A search over two families of boosters beside the loop that everybody writes first: the same space, the same TPE, the
same folds, but scikit-learn's classifiers made anew for each trial and fold, and every fold of every trial.

Both sides use one thread. The naive loop is not even asked to store its trials; ours keeps its study on PostgreSQL, as
trainings do. ``search_vs_naive_bins`` gives the naive loop our number of bins, a quarter of the libraries' own. What
two workers gain (``search_two_workers``) stands beside what two processes gain that share nothing at all
(``two_processes``): the machine's own bound. ``search_early_stopping`` is our search with early stopping beside our
search without: above 1 it saves time.
"""

from __future__ import annotations

import multiprocessing as mp
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import optuna
import pandas as pd
import sqlalchemy as sa
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

from pipelines.contracts.line import Line
from pipelines.training import families, fit, search, stopping
from pipelines.validation.splits import Fold, plan
from tests.bench import server
from tests.bench.harness import Case

FAMILIES, TRIALS, SEED, AHEAD = ("lightgbm", "xgboost"), 48, 7, 4
#: Trials side by side where two workers share a study: with 4 one of them would wait now and then.
AHEAD_OF_TWO = 8
SYMBOLS, FEATURES, DAYS = 5, 58, 53
WITHIN = 0.001
_LINE = Line.model_validate({
    "name": "bench_1h", "title": "bench", "target": {"kind": "direction", "horizon_bars": 1},
    "features": {"groups": ["returns"]}, "search": {"families": FAMILIES, "trials": TRIALS},
    "walk_forward": {"train_days": 28, "test_days": 4, "search_folds": 4, "evidence_days": 7}})
_NAMES = {"rounds": "n_estimators", "min_data_in_leaf": "min_child_samples", "feature_fraction": "colsample_bytree",
          "bagging_fraction": "subsample", "lambda_l2": "reg_lambda"}
_numbers = count()


@lru_cache(maxsize=1)
def frame() -> pd.DataFrame:
    """Rows of ``SYMBOLS`` x 24 x ``DAYS`` hours with an edge in three of the columns, clear enough for
    the best trials of two searches to differ by less than ``WITHIN``."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=24 * DAYS, freq="h", tz="UTC", unit="us").repeat(SYMBOLS)
    values = rng.standard_normal((len(times), FEATURES))
    signal = 1.2 * np.sign(values[:, 0]) + 0.6 * np.sign(values[:, 1]) + 0.4 * (np.abs(values[:, 2]) > 1)
    forward = 0.004 * (signal + rng.standard_normal(len(times)))
    table = pd.DataFrame(values, columns=[f"feature_{number}" for number in range(FEATURES)])
    return pd.concat([pd.DataFrame({
        "symbol": np.tile([f"S{number}" for number in range(SYMBOLS)], 24 * DAYS), "event_time": times,
        "available_at": times + pd.Timedelta(hours=1)}), table, pd.DataFrame({
            "y": (forward > 0).astype(float), "label_end": times + pd.Timedelta(hours=2),
            "forward_return": forward})], axis=1)


def folds() -> tuple[Fold, ...]:
    return plan(_LINE, frame()).search


def auc(data: fit.Matrix, predictions: np.ndarray) -> float:
    """Of all test rows together."""
    return float(roc_auc_score(data.labels[np.concatenate([fold.test for fold in folds()])], predictions))


def ours(workers: int = 1, ahead: int = AHEAD, stop: bool = False) -> float:
    """AUC of the best trial, fitted as the model for production is; ``workers`` processes share the study."""
    url, name = _database(), f"bench/{next(_numbers)}"
    search.create(url, name, FAMILIES)
    _side_by_side(workers, lambda number: _work(url, name, ahead, stop))
    best = search.best(search.records(url, name))
    data = fit.matrix(frame())
    return auc(data, np.concatenate([score.predictions for score in fit.score_folds(
        data, folds(), str(best.family), stopping.settled(best.params, best.rounds), SEED)]))


def naive(trials: int = TRIALS, seed: int = SEED, bins: bool = False) -> float:
    """AUC of the best trial of the naive loop."""
    data, parts = fit.matrix(frame()), folds()
    found: list[np.ndarray] = []

    def objective(trial: optuna.Trial) -> float:
        family = trial.suggest_categorical("family", list(FAMILIES))
        params = families.get(family).space(search._Prefixed(trial, family))
        chances = []
        for fold in parts:
            model = _classifier(family, params, bins)
            model.fit(data.features[fold.train], data.labels[fold.train])
            chances.append(model.predict_proba(data.features[fold.test])[:, 1])
        found.append(np.concatenate(chances))
        labels = data.labels[np.concatenate([fold.test for fold in parts])]
        return float(-np.mean(np.log(np.where(labels == 1, found[-1], 1 - found[-1]))))

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True,
                                             n_startup_trials=2 * len(FAMILIES) + 2)
    study = optuna.create_study(sampler=sampler)
    for family in FAMILIES:
        defaults = families.get(family).defaults
        study.enqueue_trial({"family": family} | {f"{family}.{key}": value for key, value in defaults.items()})
    study.optimize(objective, n_trials=trials)
    return auc(data, found[study.best_trial.number])


def cases() -> list[Case]:
    def close(one: float, other: float) -> bool:
        return one >= other - WITHIN

    def part(number: int) -> None:
        naive(TRIALS // 8, number)

    def in_turn() -> None:
        for number in range(2):
            part(number)

    return [
        Case("search_vs_naive", ours, naive, TRIALS, "trials", close, runs=1),
        Case("search_vs_naive_bins", ours, lambda: naive(bins=True), TRIALS, "trials", close, runs=1),
        Case("search_early_stopping", lambda: ours(stop=True), ours, TRIALS, "trials", close, runs=1),
        Case("search_two_workers", lambda: ours(2, AHEAD_OF_TWO), lambda: ours(1, AHEAD_OF_TWO), TRIALS, "trials",
             lambda one, other: one == other, runs=1),
        Case("two_processes", lambda: _side_by_side(2, part), in_turn, TRIALS // 4,
             "trials", lambda one, other: one == other, runs=2)]


def _work(url: str, name: str, ahead: int, stop: bool) -> None:
    data, parts = fit.matrix(frame()), folds()

    def evaluate(family: str, params: Mapping[str, Any]) -> Iterator[search.FoldScore]:
        return fit.score_folds(data, parts, family, params, SEED, stop=stop)

    search.run(url, name, family_names=FAMILIES, trials=TRIALS, seed=SEED, evaluate=evaluate, ahead=ahead,
               halving=True)


def _side_by_side(workers: int, work: Callable[[int], Any]) -> None:
    if workers == 1:
        work(0)
        return
    started = [mp.get_context("fork").Process(target=work, args=(number,)) for number in range(workers)]
    for process in started:
        process.start()
    for process in started:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a worker ended with {process.exitcode}")


def _classifier(family: str, params: Mapping[str, Any], bins: bool) -> Any:
    named = {_NAMES.get(key, key): value for key, value in params.items()}
    if family == "lightgbm":
        return LGBMClassifier(**named, **({"max_bin": 63} if bins else {}), subsample_freq=1, n_jobs=1,
                              random_state=SEED, verbosity=-1)
    return XGBClassifier(**named, **({"max_bin": 64} if bins else {}), n_jobs=1, random_state=SEED)


@lru_cache(maxsize=1)
def _database() -> str:
    """A database of studies on the benches' server."""
    where = server.warehouse().engine.url
    engine = sa.create_engine(where, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE optuna_bench"))
    engine.dispose()
    return where.set(database="optuna_bench").render_as_string(hide_password=False)
