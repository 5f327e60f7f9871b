"""Any family with calibrated probabilities: ``lightgbm+platt`` in ``search.families``, say; stored as a zip of both.

Calibration happens inside the fold: the model is fitted on the first rows, the map is learned from the last fifth of
them, and then the model is fitted anew on all rows, for the latest are worth most (scikit-learn's
CalibratedClassifierCV with ``ensemble=False`` does the same over folds). A twentieth of the rows between the two parts
is left out, as a family does not know the label's horizon: where labels reach further than that, the map has seen a
little of what the model learned from. Both parts are training rows; no row of a test window is ever seen.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError, UnsafeArtifact
from pipelines.training.families import calibrators, container, document
from pipelines.training.families.base import artifact, check, digest
from pipelines.training.families.calibrators import Calibrator

if TYPE_CHECKING:
    from pipelines.training.families import base

FILE, MAP = "model.zip", "calibration.json"
#: Parts of the rows, from the end: what the map is learned from, and what is left out before it.
LATEST, GAP = 0.2, 0.05
_ARRAYS = {"numbers": 1, "at": 1, "value": 1}
_MOST_BYTES = 256_000_000


class Native:
    """Both parts as one file."""

    def __init__(self, model: Any, file: str, calibration: document.Native) -> None:
        self._model, self._file, self._calibration = model, file, calibration

    def save_model(self, path: str) -> None:
        """Write the file; the same model is the same bytes."""
        with tempfile.TemporaryDirectory(prefix="tidemark-model-") as directory:
            for native, name in ((self._model, self._file), (self._calibration, MAP)):
                container.write(native, Path(directory) / name)
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
                for name in sorted({self._file, MAP}):
                    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                    info.create_system, info.external_attr = 3, 0o600 << 16
                    target.writestr(info, (Path(directory) / name).read_bytes())
        Path(path).write_bytes(buffer.getvalue())


class Fitted:
    """A fitted model and the map of its probabilities."""

    def __init__(self, family: CalibratedFamily, inner: base.Fitted, calibrator: Calibrator) -> None:
        self.family, self.feature_names = family.name, inner.feature_names
        self._of, self._inner, self._calibrator = family, inner, calibrator

    def predict(self, features: FloatArray) -> FloatArray:
        chances: FloatArray = expit(self._calibrator.log_odds(self._inner.predict(features)))
        return chances

    def native(self) -> Any:
        said = document.Native({"family": self.family, "names": list(self.feature_names),
                                **{name: getattr(self._calibrator, name) for name in _ARRAYS}})
        return Native(self._inner.native(), self._of.inner_file, said)

    def importance(self) -> FloatArray:
        return self._inner.importance()

    def contributions(self, features: FloatArray) -> FloatArray:
        """The model's own contributions, stretched so that they add up in calibrated log-odds (the rescale rule for
        chains of models: Chen, Lundberg & Lee 2022, "Explaining a series of models by propagating Shapley values")."""
        values = self._inner.contributions(features)
        chances, total = self._inner.predict(features), values.sum(axis=1)
        if self._of.inner.contribution_unit == "probability":
            base = np.clip(chances - total, 0.0, 1.0)
        else:
            base = expit(logit(chances) - total)
        change = self._calibrator.log_odds(chances) - self._calibrator.log_odds(base)
        stretch = np.divide(change, total, out=np.zeros_like(total), where=np.abs(total) > 1e-12)
        stretched: FloatArray = values * stretch[:, None]
        return stretched

    def fingerprint(self) -> str:
        of = self._calibrator
        return digest(self.family, self._inner.fingerprint(), of.method, of.numbers, of.at, of.value)


class CalibratedFamily:
    """A family and a method of calibration, by the name ``family+method``."""

    flavor = "zip"
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    contribution_unit = "log-odds"

    def __init__(self, inner: base.Family, method: str, inner_file: str) -> None:
        self.inner, self.method, self.inner_file = inner, method, inner_file
        self.name, self.defaults = f"{inner.name}+{method}", inner.defaults
        self.packages = tuple(dict.fromkeys((*inner.packages, "scikit-learn")))
        self.importance_unit = inner.importance_unit

    def space(self, trial: Any) -> dict[str, Any]:
        return self.inner.space(trial)

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        """Fit on rows in the order of time.

        Raises:
            TrainingError: one of the two parts has labels of one class only.
        """
        check(features, labels, feature_names)
        start = len(labels) - round(LATEST * len(labels))
        end = start - round(GAP * len(labels))
        if min(len(np.unique(labels[:end])), len(np.unique(labels[start:]))) < 2:
            raise TrainingError(f"{self.name} learns from the first {end} rows and calibrates on the last "
                                f"{len(labels) - start}; one part has labels of one class only: give it more rows, or "
                                f"name {self.inner.name} without calibration")
        early = self.inner.fit(features[:end], labels[:end], feature_names, params, seed)
        with threadpool_limits(limits=1):  # the last bits of a BLAS product depend on the number of its threads
            calibrator = calibrators.learn(self.method, early.predict(features[start:]), labels[start:])
        return Fitted(self, self.inner.fit(features, labels, feature_names, params, seed), calibrator)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        source = artifact(path, FILE)
        with tempfile.TemporaryDirectory(prefix="tidemark-model-") as directory:
            for name, content in _members(source, {self.inner_file, MAP}).items():
                (Path(directory) / name).write_bytes(content)
            said = document.read(Path(directory), self.name, feature_names, _ARRAYS, MAP)
            inner = self.inner.load(Path(directory), feature_names)
        calibrator = Calibrator(self.method, **said)
        if not _sound(calibrator):
            raise UnsafeArtifact(f"{source} holds a map that is no {self.method} calibration; restore it or train "
                                 "again")
        return Fitted(self, inner, calibrator)


def _sound(map_: Calibrator) -> bool:
    """Whether the numbers are what the method learns: slopes not negative, corners in order and inside (0, 1)."""
    if map_.method == "isotonic":
        return bool(0 < len(map_.at) == len(map_.value) and len(map_.numbers) == 0 and (np.diff(map_.at) >= 0).all()
                    and (np.diff(map_.value) >= 0).all() and map_.value[0] > 0 and map_.value[-1] < 1)
    slopes = {"platt": 1, "beta": 2}[map_.method]
    return (len(map_.numbers) == slopes + 1 and bool((map_.numbers[:-1] >= 0).all())
            and len(map_.at) == len(map_.value) == 0)


def _members(source: Path, names: set[str]) -> dict[str, bytes]:
    """The content of a zip that holds these members, stored as they are, and nothing else."""
    if source.stat().st_size > _MOST_BYTES:
        raise UnsafeArtifact(f"{source} has {source.stat().st_size} bytes; a model here has at most {_MOST_BYTES}")
    try:
        with zipfile.ZipFile(source) as archive:
            listed = archive.infolist()
            if sorted(item.filename for item in listed) != sorted(names) or any(
                    item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size
                    for item in listed):
                raise ValueError(f"it holds {', '.join(item.filename for item in listed)[:100]}")
            return {item.filename: archive.read(item) for item in listed}
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, OSError) as error:
        raise UnsafeArtifact(f"{source} is not a zip of {' and '.join(sorted(names))} ({type(error).__name__}: "
                             f"{error!s:.150}); restore it or train again") from error


def _load_pyfunc(path: str) -> Any:
    """MLflow's way in (`loader_module`); the file is checked as always."""
    from pipelines.training import families

    with tempfile.TemporaryDirectory(prefix="tidemark-model-") as directory:
        with zipfile.ZipFile(path) as archive:
            (Path(directory) / MAP).write_bytes(archive.read(MAP))
        family, names = document.names_of(str(Path(directory) / MAP))
    return document.Served(families.get(family).load(Path(path), names))
