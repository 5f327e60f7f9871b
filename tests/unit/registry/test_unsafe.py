"""Nothing is executed on the way to a model: what is planted is refused, and no canary is ever touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tempfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from pipelines.contracts import tags
from pipelines.contracts.records import Candidate
from pipelines.errors import UnsafeArtifact
from pipelines.registry import models
from pipelines.registry.client import ModelRegistry
from pipelines.training import families
from pipelines.training.families import container
from pipelines.training.families.files import MODEL_FILES
from pipelines.training.record import connect
from tests.unit.registry.test_models import AS_OF
from tests.unit.registry.world import World

NAMES = ("alpha", "beta")


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@cache
def fitted(family: str) -> object:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, len(NAMES)))
    chosen = families.get(family)
    return chosen.fit(features, (features[:, 0] > 0).astype(float), NAMES, chosen.defaults, seed=1).native()


@cache
def written(family: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / MODEL_FILES[families.get(family).flavor]
        container.write(fitted(family), file)
        return file.read_bytes()


def plant(directory: Path, family: str, content: bytes) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / MODEL_FILES[families.get(family).flavor]).write_bytes(content)
    return directory


def test_the_bomb_goes_off_where_it_is_unpickled(canary: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(canary)))
    assert canary.exists()


@pytest.mark.parametrize("family", families.names())
def test_a_pickle_in_place_of_a_model(family: str, canary: Path, tmp_path: Path) -> None:
    for protocol in (0, 2, 5):
        place = plant(tmp_path / "model", family, pickle.dumps(Bomb(canary), protocol))
        with pytest.raises(UnsafeArtifact, match="is not a"):
            families.get(family).load(place, NAMES)
    assert not canary.exists()


@pytest.mark.parametrize("family", ["logistic_regression", "random_forest"])
def test_a_skops_file_with_a_type_that_nobody_reviewed(family: str, canary: Path, tmp_path: Path) -> None:
    bomb = FunctionTransformer(os.system, kw_args={"command": f"touch {canary}"})
    place = plant(tmp_path / "model", family, skops.io.dumps(bomb))
    with pytest.raises(UnsafeArtifact, match=r"nobody reviewed: .*posix\.system"):
        families.get(family).load(place, NAMES)
    assert not canary.exists()


@pytest.mark.parametrize("loader", ["FunctionNode", "MethodNode", "ReduceNode", "PartialNode", "OperatorFuncNode"])
def test_a_skops_node_that_calls_something_under_a_harmless_name(loader: str, tmp_path: Path) -> None:
    content = json.dumps({"__class__": "str", "__module__": "builtins", "__loader__": loader, "content": {}})
    place = tmp_path / "model"
    place.mkdir()
    with zipfile.ZipFile(place / "model.skops", "w") as archive:
        archive.writestr("schema.json", content)
    with pytest.raises(UnsafeArtifact):
        families.get("random_forest").load(place, NAMES)
    assert container.foreign(place / "model.skops", frozenset()) == [loader]


def test_a_pickled_array_inside_of_a_skops_file(canary: Path, tmp_path: Path) -> None:
    """The types are all reviewed; an array of objects would be unpickled by NumPy, were it allowed to."""
    array = io.BytesIO()
    np.save(array, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    place = tmp_path / "model"
    place.mkdir()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(fitted("random_forest")))) as source, \
            zipfile.ZipFile(place / "model.skops", "w") as target:
        names = source.namelist()
        for name in names:
            target.writestr(name, array.getvalue() if name == names[0] else source.read(name))
    with pytest.raises(UnsafeArtifact, match="not a readable skops file"):
        families.get("random_forest").load(place, NAMES)
    assert not canary.exists()


def test_a_member_that_leads_out_of_the_archive(tmp_path: Path) -> None:
    place = plant(tmp_path / "model", "random_forest", skops.io.dumps(fitted("random_forest")))
    with zipfile.ZipFile(place / "model.skops", "a") as archive:
        archive.writestr("../../canary.npy", b"x")
    with pytest.raises(UnsafeArtifact, match=r"nobody reviewed: \.\./\.\./canary\.npy"):
        families.get("random_forest").load(place, NAMES)


@pytest.mark.parametrize("family", families.names())
def test_a_link_in_place_of_a_model(family: str, tmp_path: Path) -> None:
    elsewhere, place = tmp_path / "elsewhere", tmp_path / "model"
    place.mkdir()
    file = place / MODEL_FILES[families.get(family).flavor]
    container.write(fitted(family), plant(elsewhere, family, b"") / file.name)
    families.get(family).load(elsewhere, NAMES)  # the model itself is fine
    file.symlink_to(elsewhere / file.name)
    with pytest.raises(UnsafeArtifact, match="is a link"):
        families.get(family).load(place, NAMES)


@pytest.mark.parametrize("family", families.names())
@pytest.mark.parametrize("other", families.names())
def test_a_model_of_another_family(family: str, other: str, tmp_path: Path) -> None:
    if family == other:
        return
    place = plant(tmp_path / "model", family, written(other))
    with pytest.raises(UnsafeArtifact):
        families.get(family).load(place, NAMES)


class Planted:
    """A registered xgboost model whose files another hand replaces on the way."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.monkeypatch = world, monkeypatch
        self.candidate: Candidate = world.train(AS_OF, family="xgboost")
        self.client = connect(world.settings)

    def load(self, version: int = 1) -> object:
        models._load.cache_clear()
        return models.load(self.world.warehouse, self.world.settings, self.world.line, version)

    def tag(self, name: str, value: str) -> None:
        self.client.set_model_version_tag(self.world.line.registered_model, "1", name, value)


@pytest.fixture
def planted(tracked: World, monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(tracked, monkeypatch)


def test_a_file_with_another_digest_is_not_opened(planted: Planted) -> None:
    download, opened = ModelRegistry.download, []

    def swapped(self: ModelRegistry, source: str, names: tuple[str, ...], directory: Path) -> list[Path]:
        files = download(self, source, names, directory)
        container.write(fitted("xgboost"), files[0])
        return files

    planted.monkeypatch.setattr(ModelRegistry, "download", swapped)
    planted.monkeypatch.setattr(type(families.get("xgboost")), "load", lambda *_: opened.append(1))
    with pytest.raises(UnsafeArtifact, match="is not opened"):
        planted.load()
    assert opened == []


def test_a_version_without_digests_or_of_two_families_is_not_fetched(planted: Planted) -> None:
    fetched: list[object] = []
    planted.monkeypatch.setattr(ModelRegistry, "download", lambda *arguments: fetched.append(arguments))
    planted.tag(tags.FAMILY, "lightgbm")
    with pytest.raises(UnsafeArtifact, match="is lightgbm in MLflow and xgboost in the ledger"):
        planted.load()
    planted.tag(tags.FAMILY, "xgboost")
    for name in (tags.MODEL_FILE, tags.MODEL_CONTENT):
        value = planted.client.get_model_version(planted.world.line.registered_model, "1").tags[name]
        planted.client.delete_model_version_tag(planted.world.line.registered_model, "1", name)
        with pytest.raises(UnsafeArtifact, match="without the digests"):
            planted.load()
        planted.tag(name, value)
    assert fetched == []


@pytest.mark.parametrize("source", ["models:/../../etc", "file:///etc/passwd", "models:/m-1/../../x", "runs:/1/model",
                                    "models:/other/1", ""])
def test_a_source_that_is_no_logged_model_is_not_asked_for(planted: Planted, source: str, tmp_path: Path) -> None:
    registry = ModelRegistry(planted.world.settings)
    planted.monkeypatch.setattr(registry, "_client", None)  # asking would fail in another way
    with pytest.raises(UnsafeArtifact, match="not a logged model"):
        registry.download(source, ("model.ubj",), tmp_path)


def test_a_link_or_a_path_that_leads_elsewhere_is_refused(planted: Planted, tmp_path: Path) -> None:
    import mlflow.artifacts

    secret, place = tmp_path / "secret", tmp_path / "place"
    secret.write_bytes(b"secret")
    place.mkdir()
    (place / "model.ubj").symlink_to(secret)
    (tmp_path / "model.ubj").write_bytes(b"x")
    registry = ModelRegistry(planted.world.settings)
    source = registry.version(planted.world.line, 1).source
    for given in (place / "model.ubj", secret, place / ".." / "model.ubj", place):
        planted.monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda found=given, **_: str(found))
        with pytest.raises(UnsafeArtifact, match="no plain file in its place"):
            registry.download(source, ("model.ubj",), place)


def test_a_forged_version_with_a_fitting_digest_is_still_only_opened_as_its_family(
        planted: Planted, canary: Path, tmp_path: Path) -> None:
    """Whoever can write to MLflow can register a digest; the file still has to be a model and nothing else."""
    client, name = planted.client, planted.world.line.registered_model
    good = Path(tmp_path / "good")
    good.mkdir()
    card = ModelRegistry(planted.world.settings).download(
        ModelRegistry(planted.world.settings).version(planted.world.line, 1).source, ("MLmodel",), good)[0]
    content = pickle.dumps(Bomb(canary))
    place = plant(tmp_path / "forged", "xgboost", content)
    (place / "MLmodel").write_bytes(card.read_bytes())
    logged = client.create_logged_model(client.get_run(planted.candidate.run_id).info.experiment_id, "forged",
                                        planted.candidate.run_id)
    client.log_model_artifacts(logged.model_id, str(place))
    client.finalize_logged_model(logged.model_id, "READY")
    digest = hashlib.sha256(content).hexdigest()
    made = client.create_model_version(name, f"models:/{logged.model_id}", planted.candidate.run_id,
                                       tags={tags.MODEL_FILE: digest, tags.MODEL_CONTENT: digest},
                                       await_creation_for=0, model_id=logged.model_id)
    planted.world.enter(replace(planted.candidate, version=int(made.version)))
    with pytest.raises(UnsafeArtifact, match="is not an XGBoost model"):
        planted.load(int(made.version))
    assert not canary.exists()
