"""What a whole walk-forward training costs beside the booster fits that it contains; the same of qlib's workflow.

Inside ours (``workflow_over_fits``): read the frozen snapshot, cut the folds, make the study on PostgreSQL, run its
trials fold by fold (``stage.run_trials``: proposals, pruning, every trial's predictions stored), walk forward over the
search and the evidence folds with the best configuration, fit the final model, put the trials' predictions beside each
other, measure, store the evidence. Outside: building the snapshot, the leak audit, MLflow, and the report's pictures.

Inside qlib's (``workflow_over_fits_qlib``, in its own environment): for each fold of the same walk (the same rows of
the same matrix, our family's default parameters) its ``task_train`` of an ``LGBModel``, with its recorder on a local
file store, the handler in qlib's own cache file, and a ``SignalRecord`` of the predictions; no back-test.

The peer is in both rows the very same calls of ``lightgbm.train`` alone, taken down beforehand, datasets made as often
as the work makes them; what qlib notes after each round (the loss on the training rows) is no part of a bare fit. Equal
means that they give the same models. The ratio is the share of the whole that is fits: 0.87 is the promised 1.15 times
the bare fits.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SecretStr

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, parse_line
from pipelines.features import snapshot
from pipelines.store import facts, snapshots
from pipelines.training import families, fit, produce, search, stage
from pipelines.training.measure import measure
from pipelines.training.session import Session
from tests.bench import server
from tests.bench.harness import Case
from tests.bench.qlib import client
from tests.bench.qlib.fits import Fits

SYMBOLS, DAYS, SEED, TRIALS = 16, 62, 5, 8
START = datetime(2022, 1, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
_HOUR = pd.Timedelta("1h")


def cases() -> list[Case]:
    return [_ours(), *([_qlib()] if client.there("workflow_over_fits_qlib") else [])]


@lru_cache(maxsize=1)
def _line() -> Line:
    return parse_line(f"""
        name = "bench"
        title = "The sign of the next hour's return from qlib's 158 columns"
        [target]
        kind = "direction"
        horizon_bars = 1
        [features]
        groups = ["alpha158"]
        [walk_forward]
        train_days = 28
        test_days = 4
        search_folds = 4
        evidence_days = 7
        evidence_fold_days = 1
        [search]
        families = ["lightgbm"]
        trials = {TRIALS}
        seed = {SEED}
    """)


@lru_cache(maxsize=1)
def _frozen() -> Session:
    """The snapshot that is trained on, and a session without a run."""
    warehouse = server.warehouse()
    server.no_bars()
    rng = np.random.default_rng(SEED)
    hours = DAYS * 24
    opened = pd.date_range(START, periods=hours, freq="h").as_unit("us")
    parts = []
    for number in range(SYMBOLS):
        close = 100 * np.exp(np.cumsum(0.005 * rng.standard_normal(hours)))
        before = np.concatenate([[100.0], close[:-1]])
        parts.append(pd.DataFrame({
            "symbol": f"S{number:03d}", "interval": "1h", "event_time": opened, "available_at": opened + _HOUR,
            "open": before, "high": np.maximum(before, close) * (1 + 0.003 * rng.random(hours)),
            "low": np.minimum(before, close) * (1 - 0.003 * rng.random(hours)), "close": close,
            "volume": 1000 * rng.lognormal(0, 1, hours), "source": "bench"}))
    facts.write(warehouse, Kind.BARS, pd.concat(parts))
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE optuna")
    ref, _ = snapshot.training(warehouse, _line(), END)
    return Session("bench", "", "bench", ref.digest, END.isoformat(), None, "bench", TRIALS, SEED)


def _settings() -> Settings:
    url = server.warehouse().engine.url.set(database="optuna").render_as_string(hide_password=False)
    return Settings(optuna_url=SecretStr(url))


def train() -> pd.DataFrame:
    """From the frozen snapshot to the evidence, as ``stage`` and ``produce`` do it."""
    warehouse, settings, line, session = server.warehouse(), _settings(), _line(), _frozen()
    url = settings.require("optuna_url")
    search.create(url, session.study, line.search.families)
    stage.run_trials(warehouse, settings, line, session, 0)
    data, folds = produce.load(warehouse, line, session)
    trials = search.records(url, session.study)
    best = search.best(trials)
    family = str(best.family)
    searched = fit.out_of_sample(data, folds.search, family, best.params, session.seed)
    evidence = fit.out_of_sample(data, folds.evidence, family, best.params, session.seed)
    fit.final(data, line, family, best.params, session.seed)
    produce.search_frame(warehouse, searched, trials)
    measure(line, searched, evidence)
    snapshots.put(warehouse, evidence, kind="evidence", line=line.name, start=folds.evidence_start.to_pydatetime(),
                  end=END)
    return evidence


def _no_study() -> None:
    """A training has a study of its own: take away the one of the run before."""
    search.delete(_settings().require("optuna_url"), _frozen().study)


@lru_cache(maxsize=1)
def _taken_down() -> Fits:
    _no_study()
    fits = Fits()
    with fits.taken_down():
        train()
    return fits


def _ours() -> Case:
    def fresh() -> None:
        _taken_down()
        _no_study()

    return Case("workflow_over_fits", train, lambda: _taken_down().again(), TRIALS, "trials",
                lambda _, models: _taken_down().same(models), fresh=fresh, fresh_peer=_taken_down, runs=5)


@lru_cache(maxsize=1)
def _peer() -> client.Qlib:
    peer, session = client.running(), _frozen()
    data, folds = produce.load(server.warehouse(), _line(), session)
    walk = [*folds.search, *folds.evidence]
    times = data.frame["event_time"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    spans = [[str(times[rows[at]]) for rows in (fold.train, fold.test) for at in (0, -1)] for fold in walk]
    np.savez(peer.home / "matrix.npz", features=data.features, labels=data.labels, times=times,
             symbols=data.frame["symbol"].to_numpy().astype(str))
    family = families.get("lightgbm")
    params: dict[str, Any] = {
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "seed": SEED, "max_bin": 63, "bagging_freq": 1,
        **family.defaults}
    peer.ask("walk", matrix=str(peer.home / "matrix.npz"), spans=spans, rounds=params.pop("rounds"), params=params,
             rows=[[len(fold.train), len(fold.test)] for fold in walk])
    return peer


def _qlib() -> Case:
    return Case("workflow_over_fits_qlib", lambda: _peer().ask("train"), lambda: _peer().ask("bare"), 11, "folds",
                lambda *_: bool(_peer().ask("same")), fresh=_peer, runs=2)
