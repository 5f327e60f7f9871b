from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.records import EVIDENCE_COLUMNS, Candidate, Reason, RequestState, RetrainRequest, SnapshotRef
from pipelines.errors import InsufficientData, StoreUnavailable, TrackingUnavailable, TrainingError
from pipelines.registry import models, reproduce
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.training import fit, lineage, produce, record, search, stage, stopping
from pipelines.validation import metrics
from tests.fixtures.mlflow_server import MlflowServer
from tests.unit.training.conftest import START, make_frame, make_line

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
AS_OF = (START + timedelta(days=20, hours=2)).to_pydatetime()
QUICK = {"families": ["logistic_regression"], "trials": 2, "workers": 1, "nested_runs": 2}


class Bench:
    """One line on a real warehouse, a real study database and a real MLflow server; only the data is made up."""

    def __init__(self, warehouse: Warehouse, settings: Settings, line: Line, frame: pd.DataFrame,
                 monkeypatch: pytest.MonkeyPatch) -> None:
        self.warehouse, self.settings, self.line, self.frame = warehouse, settings, line, frame
        monkeypatch.setattr(stage.snapshot, "training", self._training)
        self.client = record.connect(settings)

    def _training(self, warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[SnapshotRef, pd.DataFrame]:
        ref = snapshots.put(warehouse, self.frame, kind="training", line=line.name, start=START.to_pydatetime(),
                            end=as_of)
        return ref, self.frame

    def claim(self) -> RetrainRequest:
        with self.warehouse.begin() as connection:
            ledger.request_retrain(connection, RetrainRequest(self.line.name, Reason.MANUAL, AS_OF, "ann"), at=AT)
            claimed = ledger.claim_request(connection, self.line.name, claimed_by="test", at=AT,
                                           expires_at=AT + stage.claim_duration(self.line))
        assert claimed is not None
        return claimed

    def open(self, request: RetrainRequest | None = None) -> stage.Session:
        return stage.open_training(self.warehouse, self.settings, self.line, request or self.claim(), at=AT)

    def search(self, session: stage.Session, worker: int = 0) -> int:
        return stage.run_trials(self.warehouse, self.settings, self.line, session, worker)

    def conclude(self, session: stage.Session) -> Candidate:
        return stage.conclude(self.warehouse, self.settings, self.line, session, at=AT)

    def state(self) -> RequestState:
        with self.warehouse.begin() as connection:
            return ledger.requests(connection, self.line.name)[-1].state

    def versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{self.line.registered_model}'"))


@pytest.fixture
def bench(warehouse: Warehouse, mlflow_server: MlflowServer, new_database: Callable[..., str],
          monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[..., Bench]:
    optuna_url = new_database(migrated=False)

    def make(frame: pd.DataFrame | None = None, *, pictures: bool = False, **overrides: object) -> Bench:
        if not pictures:  # a second of drawing in every test would show nothing new
            monkeypatch.setattr(produce.report, "write", lambda place, **_: (place / "model_card.md").write_text("#"))
        name = f"line_{zlib.crc32(request.node.name.encode())}"
        settings = Settings(optuna_url=optuna_url, **mlflow_server.settings)
        return Bench(warehouse, settings, make_line(**({"name": name, "search": QUICK} | overrides)),
                     make_frame() if frame is None else frame, monkeypatch)
    return make


def test_from_a_request_to_a_candidate(bench: Callable[..., Bench]) -> None:
    b = bench(pictures=True, search={
        "families": ["logistic_regression", "lightgbm"], "trials": 5, "workers": 2, "nested_runs": 2})
    session = stage.Session.from_dict(json.loads(json.dumps(asdict(b.open()))))
    assert b.client.get_run(session.run_id).info.status == "RUNNING"
    assert b.search(session, 0) == 5
    assert b.search(session, 1) == 0
    candidate = b.conclude(session)

    assert b.state() == RequestState.SERVED
    with b.warehouse.begin() as connection:
        assert ledger.unjudged(connection, b.line.name) == [candidate]
    assert (candidate.version, candidate.trials, candidate.as_of) == (1, 5, AS_OF)
    assert candidate.trained_through == b.frame["label_end"].max()

    evidence = snapshots.get(b.warehouse, candidate.evidence_digest)
    assert tuple(evidence.columns) == EVIDENCE_COLUMNS
    assert evidence["event_time"].min() == b.frame["event_time"].max() + timedelta(hours=1) - timedelta(days=4)
    assert sorted(evidence["fold"].unique()) == [0, 1, 2, 3]
    scores = {name: metrics.classification(evidence["y"], evidence[name])
              for name in ("candidate", "base_rate", "persistence")}
    assert scores["candidate"]["log_loss"] < scores["base_rate"]["log_loss"] - 0.01  # the edge is planted
    assert abs(scores["persistence"]["log_loss"] - scores["base_rate"]["log_loss"]) < 0.01  # and no persistence

    run = b.client.get_run(session.run_id)
    assert run.info.status == "FINISHED"
    kinds = ("oos", "evidence", "evidence.base_rate", "evidence.persistence", "fold")
    assert {f"{kind}.{name}" for kind in kinds for name in ("log_loss", "brier", "accuracy", "ece")} <= set(
        run.data.metrics)
    assert {"oos.auc", "evidence.auc", "net.sharpe_annualised", "net.sharpe_per_period", "net.max_drawdown",
            "search.trials_complete", "data.train_rows"} <= set(run.data.metrics)
    assert run.data.metrics["evidence.log_loss"] == pytest.approx(scores["candidate"]["log_loss"])
    assert len(b.client.get_metric_history(session.run_id, "fold.log_loss")) == 3 + 4
    assert run.data.params["search.families"] == "logistic_regression, lightgbm"
    assert run.data.params["family"] == candidate.family
    assert {tags.SNAPSHOT: session.snapshot_digest, tags.REQUEST: str(session.request_id), tags.REASON: "manual",
            tags.SEED: str(b.line.search.seed), "mlflow.user": "ann"}.items() <= run.data.tags.items()
    assert all(run.data.tags[name] for name in (tags.GIT_COMMIT, tags.LOCK))
    assert run.data.tags["mlflow.note.content"].startswith("# Sign of the next hour's return")

    with b.warehouse.begin() as connection:
        steps = connection.exec_driver_sql(
            "SELECT step, worker, trials, cpu_seconds, wall_seconds, recipe FROM ai_trading.training_steps ORDER BY id"
        ).all()
    assert [tuple(row[:3]) for row in steps] == [("open", 0, 0), ("trials", 0, 5), ("trials", 1, 0), ("conclude", 0, 0)]
    assert all(row.cpu_seconds > 0 and row.wall_seconds > 0 for row in steps)
    assert [row.recipe for row in steps] == [lineage.recipe(b.line), None, None, None]
    assert (run.data.metrics["cost.cpu_seconds"], run.data.metrics["cost.trials"]) == (
        pytest.approx(sum(row.cpu_seconds for row in steps)), 5)

    files = {item.path for place in ("plots", "tables") for item in b.client.list_artifacts(session.run_id, place)}
    assert files == {f"plots/{name}.png" for name in (
        "roc", "precision_recall", "calibration", "confusion", "importance", "shap_summary", "search_history",
        "distribution", "shap_dependence", "force", "importance_by_fold", "errors",
        "parameter_importance", "equity")} | {f"tables/{name}.csv" for name in (
            "backtest", "trials", "measures", "importance", "importance_by_fold", "errors", "families", "benchmarks",
            "intervals", "stress", "attribution_symbol", "attribution_month",
            "attribution_session", "attribution_regime")}
    children = b.client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{session.run_id}'")
    assert len(children) == 2
    version, = b.versions()
    assert {tags.RUN: session.run_id, tags.FAMILY: candidate.family, tags.EVIDENCE: candidate.evidence_digest,
            tags.AS_OF: session.as_of}.items() <= version.tags.items()
    assert len(version.tags[tags.MODEL_FILE]) == len(version.tags[tags.MODEL_CONTENT]) == 64

    assert b.conclude(session) == candidate
    assert len(b.versions()) == 1


@pytest.mark.parametrize(("place", "name"), [
    (record.Tracker, "register"),      # killed before the version exists
    (stage.ledger, "add_candidate"),   # after it, before the ledger knows
    (record.Tracker, "finish"),        # after the ledger, before the run has ended
])
def test_a_conclusion_that_was_killed_and_run_again_makes_one_version(
        place: Any, name: str, bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()
    session = b.open()
    b.search(session)
    with monkeypatch.context() as killing:
        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt
        killing.setattr(place, name, killed)
        with pytest.raises(KeyboardInterrupt):
            b.conclude(session)
    candidate = b.conclude(session)
    assert [int(version.version) for version in b.versions()] == [candidate.version]
    assert b.client.get_run(session.run_id).info.status == "FINISHED"
    assert b.state() == RequestState.SERVED
    points = b.client.get_metric_history(session.run_id, "evidence.log_loss")
    assert len(points) == 1
    children = b.client.search_runs([b.client.get_run(session.run_id).info.experiment_id],
                                    f"tags.`mlflow.parentRunId` = '{session.run_id}'")
    complete = search.ranked(search.records(b.settings.require("optuna_url"), session.study))
    assert {child.data.tags["tidemark.trial"] for child in children} == {str(trial.number) for trial in complete}
    assert len(children) == len(complete)


def test_the_same_session_gives_the_same_model_content(bench: Callable[..., Bench]) -> None:
    b = bench()
    contents = set()
    for _ in range(2):
        session = b.open()
        b.search(session)
        b.conclude(session)
        contents.add(b.versions()[0].tags[tags.MODEL_CONTENT])
    assert len(b.versions()) == 2
    assert len(contents) == 1


def test_a_search_starts_at_the_configuration_of_the_last_training(bench: Callable[..., Bench]) -> None:
    """It has won on days that this search uses again: the gate is told of the trials that it won against."""
    b = bench(search={**QUICK, "families": ["logistic_regression", "lightgbm"], "trials": 4})
    first = b.open()
    assert first.warm is None
    b.search(first)
    winner = b.conclude(first)
    session = stage.Session.from_dict(json.loads(json.dumps(asdict(b.open()))))
    best = search.best(search.records(b.settings.require("optuna_url"), first.study))
    assert session.warm == {"version": 1, "family": best.family, "params": dict(best.params), "trials": 4}
    run = b.client.get_run(session.run_id)
    assert (run.data.params["warm_start.version"], run.data.params["warm_start.trials"]) == ("1", "4")
    b.search(session)
    tried = search.records(b.settings.require("optuna_url"), session.study)
    assert (tried[0].family, tried[0].params, tried[0].value) == (best.family, best.params, best.value)
    assert (winner.trials, b.conclude(session).trials) == (4, 4 + 4)
    assert b.open().warm["version"] == 2  # type: ignore[index]


def test_a_halved_search_that_chooses_columns_can_be_followed_and_reproduced(bench: Callable[..., Bench]) -> None:
    b = bench(make_frame(extra=4), search={**QUICK, "trials": 9, "halving": "history", "selection": "stability",
                                           "families": ["logistic_regression", "lightgbm"]})
    session = b.open()
    b.search(session)
    candidate = b.conclude(session)
    trials = search.records(b.settings.require("optuna_url"), session.study)
    assert {trial.state for trial in trials} == {"complete", "pruned"}
    assert all(trial.rungs for trial in trials)
    assert all(1 <= number < 12 for trial in trials for number in trial.columns)
    assert candidate.trials == 9
    run = b.client.get_run(session.run_id)
    assert (run.data.params["search.selection"], run.data.params["model.selection"]) == ("stability", "stability")
    chosen = pd.read_csv(b.client.download_artifacts(session.run_id, "selection.csv"), index_col="feature")
    assert chosen.loc["sentiment_4h", "share"] == 1.0
    found = reproduce.reproduce(b.warehouse, b.settings, b.line, 1)
    model, file = (check for check in found.checks if check.what in ("model content", "model file"))
    assert (model.same, file.same) == (True, True)
    own = models.load(b.warehouse, b.settings, b.line, 1)
    assert "sentiment_4h" in own.feature_names
    assert len(own.feature_names) < 12
    assert models.score(own, b.frame, b.line, 1).shape == (len(b.frame),)  # a row with all columns


def test_a_search_that_stops_early_settles_on_rounds_that_can_be_fitted_again(bench: Callable[..., Bench]) -> None:
    b = bench(search={**QUICK, "trials": 3, "families": ["lightgbm", "xgboost"], "early_stopping": True})
    session = b.open()
    b.search(session)
    candidate = b.conclude(session)
    trials = search.records(b.settings.require("optuna_url"), session.study)
    best = search.best(trials)
    assert all(len(trial.rounds) == len(trial.fold_losses) for trial in trials)
    assert 1 <= min(best.rounds) < best.params["rounds"]
    settled = stopping.settled(best.params, best.rounds)
    run = b.client.get_run(session.run_id)
    assert run.data.params["model.rounds"] == str(settled["rounds"])
    assert run.data.params["early_stopping.most"] == str(best.params["rounds"])
    assert run.data.params["early_stopping.folds"] == ", ".join(map(str, best.rounds))
    # What the gate judges was fitted as the model for production is: nothing is watched.
    data, folds = produce.load(b.warehouse, b.line, session)
    walked = fit.out_of_sample(data, folds.evidence, candidate.family, settled, session.seed)
    assert np.array_equal(snapshots.get(b.warehouse, candidate.evidence_digest)["candidate"], walked["candidate"])
    found = reproduce.reproduce(b.warehouse, b.settings, b.line, 1)
    model, file = (check for check in found.checks if check.what in ("model content", "model file"))
    assert (model.same, file.same) == (True, True)
    again = b.open().warm  # the next search may take as many rounds as this one
    assert again is not None
    assert again["params"] == dict(best.params)


def test_nothing_is_taken_over_that_was_chosen_on_the_fresh_days(
        bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()
    session = b.open()
    b.search(session)
    b.conclude(session)
    longer = b.line.walk_forward.model_copy(update={"evidence_days": 5, "search_folds": 2})
    b.line = b.line.model_copy(update={"walk_forward": longer})  # its fresh days begin a day earlier than those before
    assert b.open().warm is None


def test_a_session_of_an_older_version_is_read() -> None:
    older = asdict(stage.Session("line_1h", "run", "study", "digest", "2024-01-01T00:00:00+00:00", 1, "manual", 4, 7))
    del older["warm"]
    assert stage.Session.from_dict(older).warm is None


def test_abort_fails_the_run_and_gives_the_request_back(bench: Callable[..., Bench]) -> None:
    b = bench()
    session = b.open()
    stage.abort(b.warehouse, b.settings, session, "MemoryError: trial 3", at=AT)
    run = b.client.get_run(session.run_id)
    assert (run.info.status, run.data.tags[tags.FAILURE]) == ("FAILED", "MemoryError: trial 3")
    assert b.state() == RequestState.PENDING
    stage.abort(b.warehouse, b.settings, session, "again", at=AT)
    with pytest.raises(TrainingError, match="is FAILED: this session was ended or taken over"):
        b.conclude(session)


def test_abort_after_the_end_changes_nothing(bench: Callable[..., Bench]) -> None:
    b = bench()
    session = b.open()
    b.search(session)
    b.conclude(session)
    stage.abort(b.warehouse, b.settings, session, "late", at=AT)
    assert b.client.get_run(session.run_id).info.status == "FINISHED"
    assert b.state() == RequestState.SERVED


def test_abort_gives_the_request_back_though_mlflow_is_down(
        bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()
    session = b.open()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = b.settings.model_copy(update={"mlflow_url": "http://127.0.0.1:1"})
    with pytest.raises(TrackingUnavailable):
        stage.abort(b.warehouse, gone, session, "down", at=AT)
    assert b.state() == RequestState.PENDING


def test_too_little_history_opens_no_run_and_gives_the_request_back(bench: Callable[..., Bench]) -> None:
    b = bench(make_frame(days=8))
    with pytest.raises(InsufficientData, match=r"has 8\.0 days .* needs 17\.5"):
        b.open()
    assert b.client.get_experiment_by_name(b.line.experiment) is None
    assert b.state() == RequestState.PENDING


def test_an_opening_that_dies_after_the_run_fails_the_run_and_keeps_the_claim(
        bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()

    def down(*_: object) -> None:
        raise StoreUnavailable("the study database is down")
    monkeypatch.setattr(search, "create", down)
    with pytest.raises(StoreUnavailable):
        b.open()
    run, = b.client.search_runs([b.client.get_experiment_by_name(b.line.experiment).experiment_id])
    assert run.info.status == "FAILED"
    assert "study database is down" in run.data.tags[tags.FAILURE]
    assert b.state() == RequestState.CLAIMED  # the same task is retried


def test_opening_again_ends_what_the_killed_attempt_left(bench: Callable[..., Bench]) -> None:
    b = bench()
    request = b.claim()
    first, second = b.open(request), b.open(request)
    assert b.client.get_run(first.run_id).info.status == "FAILED"
    assert "taken over" in b.client.get_run(first.run_id).data.tags[tags.FAILURE]
    assert b.client.get_run(second.run_id).info.status == "RUNNING"
    assert first.snapshot_digest == second.snapshot_digest


def test_dead_runs_are_reaped_and_living_ones_left_alone(
        bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()
    session = b.open()
    now = datetime.now(UTC)
    assert stage.reap(b.warehouse, b.settings, [b.line], at=now) == []
    late, = stage.reap(b.warehouse, b.settings, [b.line], at=now + timedelta(hours=7))
    assert "without a session; marked FAILED" in late
    assert b.client.get_run(session.run_id).info.status == "FAILED"

    stage.abort(b.warehouse, b.settings, session, "gone", at=AT)
    second = b.open()
    b.search(second)
    with monkeypatch.context() as killing:
        killing.setattr(record.Tracker, "finish", lambda *_: None)
        candidate = b.conclude(second)
    assert b.client.get_run(second.run_id).info.status == "RUNNING"
    assert stage.reap(b.warehouse, b.settings, [b.line], at=now) == [
        f"{b.line.name}: run {second.run_id} had registered version {candidate.version}; marked FINISHED"]
    assert b.client.get_run(second.run_id).info.status == "FINISHED"


def test_a_target_that_cannot_be_traded_has_no_net_figures(bench: Callable[..., Bench]) -> None:
    frame = make_frame()
    frame["forward_return"] = np.nan
    frame = frame.drop(columns="base_prev_label")
    b = bench(frame, pictures=True, costs=None, target={"kind": "volatility", "horizon_bars": 1},
              walk_forward={"scheme": "expanding", "train_days": 10, "test_days": 2, "search_folds": 3,
                            "evidence_days": 4, "evidence_fold_days": 2, "embargo_bars": 1})
    session = b.open()
    b.search(session)
    b.conclude(session)
    names = set(b.client.get_run(session.run_id).data.metrics)
    assert not any(name.startswith("net.") for name in names)
    assert b.client.get_run(session.run_id).data.metrics["data.train_rows"] == len(frame)
    plots = {item.path for item in b.client.list_artifacts(session.run_id, "plots")}
    assert "plots/equity.png" not in plots


def test_a_session_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(TrainingError, match="lacks run_id, study"):
        stage.Session.from_dict({"line": "direction_1h"})


def test_the_input_example_prefers_whole_rows() -> None:
    features = np.array([[np.nan, 1.0], [2.0, 3.0]])
    assert produce._example(features).tolist() == [[2.0, 3.0]]
    assert len(produce._example(features[:1])) == 1
