"""Loading a version: native formats only, the file's digest checked before it is opened, its content after."""

from __future__ import annotations

import hashlib
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FittedModel, FloatArray
from pipelines.errors import RegistryError, UnsafeArtifact
from pipelines.registry.client import ModelRegistry
from pipelines.store import Warehouse, ledger
from pipelines.training import families
from pipelines.training.families.files import MODEL_FILES

CARD = "MLmodel"


def load(warehouse: Warehouse, settings: Settings, line: Line, version: int) -> FittedModel:
    """The model of a version, ready to predict; loaded once per process.

    Which family it is comes from the ledger, never from the artifact: nothing in a file decides how it is opened.

    Raises:
        RegistryError: the ledger or MLflow has no such version.
        UnsafeArtifact: not in the family's native format, or not the file that was registered.
        TrackingUnavailable: MLflow cannot be reached.
    """
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, line.name, version)
    key = _Key(settings, line)
    return _load(key, version, candidate.family, candidate.run_id)


def score(model: FittedModel, frame: pd.DataFrame, line: Line, version: int) -> FloatArray:
    """P(y = 1) of each row of a frame that holds the model's columns (float64), shape (rows,).

    Raises:
        RegistryError: columns are missing; the message names them.
    """
    missing = [name for name in model.feature_names if name not in frame]
    if missing:
        raise RegistryError(f"version {version} of {line.name} was trained on {', '.join(missing[:5])}"
                            f"{' and more' if len(missing) > 5 else ''}, which the line no longer builds; put the "
                            "group back into features.groups, or start a new line for the new features")
    if frame.empty:
        return np.empty(0)
    return model.predict(frame.loc[:, list(model.feature_names)].to_numpy(dtype=np.float64))


class _Key:
    """Where a model lives: equal for the same server and line, whatever object describes them."""

    def __init__(self, settings: Settings, line: Line) -> None:
        self.settings, self.line = settings, line
        self._id = (settings.require("mlflow_url"), line.registered_model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)


@lru_cache(maxsize=32)
def _load(where: _Key, version: int, family_name: str, run_id: str) -> FittedModel:
    registry = ModelRegistry(where.settings)
    found = registry.version(where.line, version)
    what = f"{where.line.registered_model} version {version}"
    if found.run_id != run_id:
        raise RegistryError(f"{what} belongs to run {found.run_id} in MLflow and to {run_id} in the ledger: these are "
                            "two models. Is TIDEMARK_MLFLOW_URL the server that this ledger belongs to?")
    recorded, content = found.tags.get(tags.MODEL_FILE), found.tags.get(tags.MODEL_CONTENT)
    if recorded is None or content is None:
        raise UnsafeArtifact(f"{what} was registered without the digests of its file and content, so nobody can tell "
                             "whose file it is; it is not fetched. Train again")
    if found.tags.get(tags.FAMILY, family_name) != family_name:
        raise UnsafeArtifact(f"{what} is {found.tags[tags.FAMILY]} in MLflow and {family_name} in the ledger; it is "
                             "not fetched. Set the tag back, or train again")
    family = families.get(family_name)
    name = MODEL_FILES[family.flavor]
    with tempfile.TemporaryDirectory(prefix="tidemark-model-") as directory:
        file, card = registry.download(found.source, (name, CARD), Path(directory))
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != recorded:
            raise UnsafeArtifact(f"{name} of {what} has the SHA-256 {digest[:12]}…, but {recorded[:12]}… was "
                                 "registered; it is not opened. Restore the artifact, or train again")
        model = family.load(file.parent, _feature_names(card, what))
    if model.fingerprint() != content:
        raise UnsafeArtifact(f"{what} holds another model, or other feature names, than were registered; restore the "
                             "artifact, or train again")
    return model


def _feature_names(card: Path, what: str) -> tuple[str, ...]:
    """The columns of the signature, in order."""
    from mlflow.models import Model

    try:
        return tuple(str(name) for name in Model.load(str(card)).signature.inputs.input_names())
    except Exception as error:  # a broken card fails in many ways: YAML, JSON, missing keys
        raise UnsafeArtifact(f"{what} has no readable signature ({type(error).__name__}); models are stored with one: "
                             "train again") from error
