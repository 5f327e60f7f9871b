from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import get_model_info

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.records import SnapshotRef
from pipelines.errors import ConfigError, TrackingUnavailable, TrainingError
from pipelines.training import families, record
from pipelines.training.families.files import MODEL_FILES
from pipelines.training.measure import Measure
from pipelines.training.record import Tracker
from pipelines.training.search import TrialRecord
from tests.fixtures.mlflow_server import MlflowServer
from tests.unit.training.conftest import make_line

NAMES = ("ret_1h", "vol_24h", "sentiment_4h")
AT = datetime(2024, 3, 1, tzinfo=UTC)
SNAPSHOT = SnapshotRef("ab" * 32, "/snapshots/ab.parquet", 100, "training", "direction_1h", AT - timedelta(days=9), AT)


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Line:
    """A line, and so an experiment, of its own for each test."""
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    return make_line(name=f"line_{digest}")


@pytest.fixture
def tracker(mlflow_server: MlflowServer) -> Tracker:
    return Tracker(Settings(**mlflow_server.settings))


@pytest.fixture
def client(tracker: Tracker, mlflow_server: MlflowServer) -> MlflowClient:
    return record.connect(Settings(**mlflow_server.settings))


def begin(tracker: Tracker, line: Line) -> str:
    return tracker.start(line, "a training", {tags.KIND: "training", tags.REQUEST: "7"}, {"search.trials": 4},
                         SNAPSHOT, dict.fromkeys(NAMES, "double"))


def test_a_run_carries_its_parameters_tags_and_dataset(tracker: Tracker, client: MlflowClient, line: Line) -> None:
    run = client.get_run(begin(tracker, line))
    assert client.get_experiment(run.info.experiment_id).name == line.experiment
    assert run.info.status == "RUNNING"
    assert run.data.params == {"search.trials": "4"}
    assert run.data.tags[tags.REQUEST] == "7"
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("direction_1h.training", SNAPSHOT.digest[:32])
    assert json.loads(dataset.profile)["digest"] == SNAPSHOT.digest
    assert json.loads(dataset.source) == {"uri": SNAPSHOT.uri}
    assert [column["name"] for column in json.loads(dataset.schema)["mlflow_colspec"]] == list(NAMES)


def test_logging_twice_leaves_one_point(tracker: Tracker, client: MlflowClient, line: Line) -> None:
    run_id = begin(tracker, line)
    for _ in range(2):
        tracker.measures(run_id, [Measure("oos.auc", 0.6), Measure("fold.auc", 0.5, 0), Measure("fold.auc", 0.7, 1)],
                         {tags.FAMILY: "lightgbm"})
        tracker.params(run_id, {"family": "lightgbm"})
    run = client.get_run(run_id)
    assert run.data.metrics == {"oos.auc": 0.6, "fold.auc": 0.7}
    points = [(point.step, point.value) for point in client.get_metric_history(run_id, "fold.auc")]
    assert points == [(0, 0.5), (1, 0.7)]
    assert run.data.tags[tags.FAMILY] == "lightgbm"
    with pytest.raises(TrainingError, match="MLflow refused"):
        tracker.params(run_id, {"family": "xgboost"})


def test_a_thousand_metrics_and_more_go_through(tracker: Tracker, client: MlflowClient, line: Line) -> None:
    run_id = begin(tracker, line)
    tracker.measures(run_id, [Measure(f"m{number}", 0.5) for number in range(1100)])
    tracker.params(run_id, {f"p{number}": number for number in range(150)})
    run = client.get_run(run_id)
    assert (len(run.data.metrics), len(run.data.params)) == (1100, 151)


def test_the_best_trials_are_nested_once(tracker: Tracker, client: MlflowClient, line: Line) -> None:
    run_id = begin(tracker, line)
    best = [TrialRecord(number, "complete", 0.69 + number / 100, "xgboost", {"rounds": 20, "learning_rate": 0.1},
                        (0.68, 0.70), 1.0) for number in (3, 5)]
    tracker.trials(line, run_id, best)
    tracker.trials(line, run_id, best)
    children = client.search_runs([tracker.experiment(line)], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert sorted((child.info.run_name, child.info.status) for child in children) == [
        ("#1 xgboost trial 3", "FINISHED"), ("#2 xgboost trial 5", "FINISHED")]
    assert {child.data.metrics["oos.log_loss"] for child in children} == {0.72, 0.74}
    assert children[0].data.params == {"family": "xgboost", "rounds": "20", "learning_rate": "0.1"}


@pytest.mark.parametrize("name", [*families.names(), "lightgbm+platt"])
def test_a_model_comes_back_through_its_flavor_and_through_our_loader(
        name: str, tracker: Tracker, client: MlflowClient, mlflow_server: MlflowServer, line: Line,
        tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((300, 3))
    labels = (features[:, 0] + rng.standard_normal(300) > 0).astype(float)
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=5)
    run_id = begin(tracker, line)
    source, digest = tracker.model(line, run_id, model, family, features)
    registered = tracker.register(line, run_id, source, {tags.MODEL_FILE: digest, tags.RUN: run_id}, "a card")

    mlflow.set_tracking_uri(mlflow_server.url)
    address = f"models:/{line.registered_model}/{registered.version}"
    local = Path(mlflow.artifacts.download_artifacts(address, dst_path=str(tmp_path)))
    assert hashlib.sha256((local / MODEL_FILES[family.flavor]).read_bytes()).hexdigest() == digest
    assert np.array_equal(family.load(local, NAMES).predict(features), model.predict(features))

    info = get_model_info(address)
    assert [column.name for column in info.signature.inputs] == list(NAMES)
    assert (local / "input_example.json").exists()
    assert not list(local.rglob("*.pkl"))
    pins = (local / "requirements.txt").read_text()
    assert all(f"{package}==" in pins for package in ("numpy", *family.packages))
    frame = mlflow.models.Model.load(local).load_input_example(str(local))
    served = np.asarray(mlflow.pyfunc.load_model(address).predict(frame))
    assert np.allclose(served[:, 1] if served.ndim == 2 else served, model.predict(frame.to_numpy()), atol=1e-12)

    assert tracker.registered(line, run_id) == record.Registered(registered.version, registered.source, {
        tags.MODEL_FILE: digest, tags.RUN: run_id})
    assert tracker.registered(line, "0" * 32) is None
    assert client.get_run(run_id).outputs.model_outputs[0].model_id == source.removeprefix("models:/")


def test_a_model_that_cannot_be_stored_leaves_nothing(
        tracker: Tracker, client: MlflowClient, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = np.random.default_rng(0).standard_normal((100, 3)), np.arange(100) % 2 * 1.0
    family = families.get("random_forest")
    model = family.fit(features, labels, NAMES, family.defaults, seed=5)
    monkeypatch.setattr(type(family), "trusted_types", ())
    run_id = begin(tracker, line)
    with pytest.raises(TrainingError, match="MLflow refused"):
        tracker.model(line, run_id, model, family, features)
    assert client.search_logged_models([tracker.experiment(line)]) == []


def test_a_dead_run_is_failed_with_its_reason_and_an_ended_one_stands(
        tracker: Tracker, client: MlflowClient, line: Line) -> None:
    assert tracker.running(line) == []
    assert client.get_experiment_by_name(line.experiment) is None
    run_id, other = begin(tracker, line), begin(tracker, line)
    assert {entry[0] for entry in tracker.running(line)} == {run_id, other}
    assert all(abs(started - datetime.now(UTC)) < timedelta(minutes=5) for _, started, _ in tracker.running(line))
    assert tracker.fail(run_id, "InsufficientData: 3 days") is True
    tracker.finish(other)
    assert tracker.fail(other, "too late") is False
    assert tracker.fail(run_id, "again") is False
    failed = client.get_run(run_id)
    assert (failed.info.status, failed.data.tags[tags.FAILURE]) == ("FAILED", "InsufficientData: 3 days")
    assert tracker.status(other) == "FINISHED"
    assert tracker.running(line) == []


def test_a_run_that_cannot_be_opened_is_failed(tracker: Tracker, client: MlflowClient, line: Line) -> None:
    with pytest.raises(TrainingError):
        tracker.start(line, "a training", {}, {"bad\nname?#": 1}, SNAPSHOT, {})
    run, = client.search_runs([tracker.experiment(line)])
    assert run.info.status == "FAILED"
    assert run.data.tags[tags.FAILURE].startswith("could not be opened")


def test_everything_below_a_directory_is_uploaded(tracker: Tracker, client: MlflowClient, line: Line,
                                                  tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc.png").write_bytes(b"png")
    (tmp_path / "model_card.md").write_text("# card")
    run_id = begin(tracker, line)
    tracker.artifacts(run_id, tmp_path)
    assert {item.path for item in client.list_artifacts(run_id)} == {"plots", "model_card.md"}
    assert tracker.link(line, run_id).endswith(f"/runs/{run_id}")


def test_a_server_that_is_down_can_be_tried_again(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingUnavailable, match=r"127\.0\.0\.1:1 does not answer") as caught:
        Tracker(Settings(mlflow_url="http://127.0.0.1:1")).experiment(line)
    assert caught.value.retryable


def test_a_wrong_login_is_named(mlflow_server: MlflowServer, line: Line) -> None:
    with pytest.raises(ConfigError, match="TIDEMARK_MLFLOW_PASSWORD"):
        Tracker(Settings(**{**mlflow_server.settings, "mlflow_password": "wrong-password-1"})).experiment(line)


def test_a_deleted_experiment_is_a_refusal(tracker: Tracker, client: MlflowClient, mlflow_server: MlflowServer,
                                           line: Line) -> None:
    client.delete_experiment(tracker.experiment(line))
    with pytest.raises(TrainingError, match="is deleted in MLflow; restore it"):
        Tracker(Settings(**mlflow_server.settings)).experiment(line)


def test_two_trainings_that_make_the_experiment_at_once_get_the_same_one(
        tracker: Tracker, client: MlflowClient, mlflow_server: MlflowServer, line: Line,
        monkeypatch: pytest.MonkeyPatch) -> None:
    first = tracker.experiment(line)
    late = Tracker(Settings(**mlflow_server.settings))
    look, answers = late._client.get_experiment_by_name, [None]
    monkeypatch.setattr(late._client, "get_experiment_by_name", lambda name: answers.pop() if answers else look(name))
    assert late.experiment(line) == first


def test_an_unknown_flavor_is_refused(tracker: Tracker, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = np.random.default_rng(0).standard_normal((100, 3)), np.arange(100) % 2 * 1.0
    family = families.get("xgboost")
    model = family.fit(features, labels, NAMES, family.defaults, seed=5)
    monkeypatch.setattr(type(family), "flavor", "pickle")
    with pytest.raises(TrainingError, match="no native format here; use one of xgboost, lightgbm, sklearn"):
        tracker.model(line, begin(tracker, line), model, family, features)


def test_everything_a_training_imports_can_be_paid_for_at_once() -> None:
    import importlib
    import sys

    importlib.import_module("pipelines.training.warm")
    assert {"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "skops.io", "shap", "optuna"} <= set(sys.modules)
