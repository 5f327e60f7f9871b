"""Only what was registered is loaded, and only in its native format. On a real MLflow server."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.records import Candidate
from pipelines.errors import RegistryError, TrackingUnavailable, UnsafeArtifact
from pipelines.registry import models
from pipelines.store import snapshots
from pipelines.training import families, fit
from pipelines.training.record import connect
from tests.unit.registry.world import DAY, START, World, make_rows

AS_OF = START + 23 * DAY
PICKLE = b"cos\nsystem\n(S'false'\ntR."  # calls os.system when opened


@pytest.mark.parametrize("family", [*families.names(), "random_forest+isotonic"])
def test_a_loaded_model_predicts_what_was_trained(tracked: World, family: str) -> None:
    candidate = tracked.train(AS_OF, family=family)
    data = fit.matrix(snapshots.get(tracked.warehouse, candidate.snapshot_digest))
    expected, _ = fit.final(data, tracked.line, family, families.get(family).defaults, 0)
    model = models.load(tracked.warehouse, tracked.settings, tracked.line, candidate.version)
    assert (model.family, model.feature_names) == (family, data.names)
    np.testing.assert_array_equal(model.predict(data.features[:50]), expected.predict(data.features[:50]))
    assert models.load(tracked.warehouse, tracked.settings, tracked.line, candidate.version) is model


def test_what_was_not_registered_is_not_opened(tracked: World, tmp_path: Path) -> None:
    candidate = tracked.train(AS_OF)
    client, name = connect(tracked.settings), tracked.line.registered_model

    def load(version: int) -> object:
        return models.load(tracked.warehouse, tracked.settings, tracked.line, version)

    recorded = client.get_model_version(name, "1").tags
    client.set_model_version_tag(name, "1", tags.MODEL_FILE, "0" * 64)
    with pytest.raises(UnsafeArtifact, match="is not opened"):
        load(1)
    client.set_model_version_tag(name, "1", tags.MODEL_FILE, recorded[tags.MODEL_FILE])
    client.set_model_version_tag(name, "1", tags.MODEL_CONTENT, "0" * 64)
    with pytest.raises(UnsafeArtifact, match="holds another model"):
        load(1)
    client.set_model_version_tag(name, "1", tags.MODEL_CONTENT, recorded[tags.MODEL_CONTENT])

    # Somebody points new versions at a pickle, and at a model without a signature.
    pickled, bare = tmp_path / "pickled", tmp_path / "bare"
    for directory, file, content in ((pickled, "model.pkl", PICKLE), (bare, "model.skops", b"zip")):
        directory.mkdir()
        (directory / file).write_bytes(content)
        (directory / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
        version = _forge(client, tracked, candidate, directory)
        with pytest.raises(UnsafeArtifact, match="without the digests"):
            load(version)
        for tag in (tags.MODEL_FILE, tags.MODEL_CONTENT):
            client.set_model_version_tag(name, str(version), tag, hashlib.sha256(content).hexdigest())
        with pytest.raises(UnsafeArtifact, match="MLflow refused" if directory is pickled else "no readable signature"):
            load(version)
    assert load(1).predict(np.zeros((1, 13))).shape == (1,)  # type: ignore[attr-defined]


def _forge(client: MlflowClient, tracked: World, candidate: Candidate, directory: Path) -> int:
    logged = client.create_logged_model(client.get_run(candidate.run_id).info.experiment_id, "forged", candidate.run_id)
    client.log_model_artifacts(logged.model_id, str(directory))
    client.finalize_logged_model(logged.model_id, "READY")
    made = client.create_model_version(tracked.line.registered_model, f"models:/{logged.model_id}", candidate.run_id,
                                       await_creation_for=0, model_id=logged.model_id)
    tracked.enter(replace(candidate, version=int(made.version)))
    return int(made.version)


def test_ledger_and_server_have_to_belong_together(tracked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RegistryError, match="has no version 7; it has none yet"):
        models.load(tracked.warehouse, tracked.settings, tracked.line, 7)
    candidate = tracked.train(AS_OF)
    source = connect(tracked.settings).get_model_version(tracked.line.registered_model, "1").source
    connect(tracked.settings).create_model_version(
        tracked.line.registered_model, source, candidate.run_id, await_creation_for=0,
        model_id=source.removeprefix("models:/"))
    tracked.enter(replace(candidate, version=2, run_id="somewhere"))
    with pytest.raises(RegistryError, match="two models"):
        models.load(tracked.warehouse, tracked.settings, tracked.line, 2)
    tracked.enter(replace(candidate, version=3))
    with pytest.raises(RegistryError, match="MLflow refused"):
        models.load(tracked.warehouse, tracked.settings, tracked.line, 3)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = Settings(mlflow_url="http://127.0.0.1:9", mlflow_password="x")
    with pytest.raises(TrackingUnavailable):
        models.load(tracked.warehouse, nowhere, tracked.line, 1)


def test_missing_features_are_named(world: World) -> None:
    candidate = world.train(AS_OF)
    model = world.models[candidate.version]
    frame = make_rows(world.line, START, 1)
    assert models.score(model, frame, world.line, 1).shape == (len(frame),)
    assert models.score(model, frame.iloc[:0], world.line, 1).shape == (0,)
    with pytest.raises(RegistryError, match="version 1 of direction_1h was trained on return_1h, which the line no"):
        models.score(model, frame.drop(columns="return_1h"), world.line, 1)
    with pytest.raises(RegistryError, match="and more"):
        models.score(model, frame.iloc[:, :3], world.line, 1)
