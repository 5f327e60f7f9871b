"""What training asks of a family beyond the contract: defaults, explanations, and a fingerprint of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pipelines.contracts.ports import FittedModel, FloatArray
from pipelines.errors import TrainingError, UnsafeArtifact
from pipelines.training.families import container


class Fitted(FittedModel, Protocol):
    """A fitted model that can explain itself."""

    def importance(self) -> FloatArray:
        """How much each feature matters over all rows, shape (features,), not negative; the unit is the family's
        ``importance_unit``."""
        ...

    def contributions(self, features: FloatArray) -> FloatArray:
        """SHAP values, shape (rows, features), in the family's ``contribution_unit``."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 over what was learned: equal for equal models, whatever container they are stored in."""
        ...


class Family(Protocol):
    """The contract's family, with what search and record need to know about it."""

    name: str
    flavor: str
    defaults: Mapping[str, Any]
    packages: tuple[str, ...]
    trusted_types: tuple[str, ...]
    reviewed_types: frozenset[str]
    importance_unit: str
    contribution_unit: str

    def space(self, trial: Any) -> dict[str, Any]:
        """Ask an Optuna trial for this family's parameters."""
        ...

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        """Fit on (rows, columns) float64 features (NaN allowed) and {0, 1} labels; same seed, same model."""
        ...

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        """Load what MLflow stored, without unpickling.

        Raises:
            UnsafeArtifact: the file is not of this family's format or holds types that are not on its list.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """What a family may offer beyond :class:`Family`: the part of a fit that depends on the rows and the seed and not
    on the parameters (binning, say), done once for many fits. ``fit`` has to be ``fit_prepared(prepare(...))``: the
    same bytes, whichever way is taken."""

    def prepare(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...], seed: int) -> Any:
        """What :meth:`fit_prepared` needs of these rows; it may not be changed by a fit.

        Raises:
            TrainingError: rows that cannot be learned, as ``fit`` says (:func:`check`).
        """
        ...

    def fit_prepared(self, prepared: Any, params: Mapping[str, Any], seed: int) -> Fitted:
        """Fit on prepared rows; one thread; same seed, same model."""
        ...


@runtime_checkable
class Stopping(Protocol):
    """What a family of boosted rounds may offer beyond :class:`Family`: rows that are watched and not learned from
    decide how many rounds there are."""

    def watch(self, prepared: Any, features: FloatArray, labels: FloatArray) -> Any:
        """Rows to watch while :meth:`fit_stopped` learns from ``prepared`` (:func:`prepare`)."""
        ...

    def fit_stopped(self, prepared: Any, watched: Any, params: Mapping[str, Any], seed: int,
                    patience: int) -> tuple[Fitted, int]:
        """Boost until the log loss of the watched rows has not fallen for ``patience`` rounds, for
        ``params["rounds"]`` rounds at most; the model up to its best round, and how many rounds these are. It is the
        very model that so many ``rounds`` give."""
        ...


@dataclass(frozen=True)
class Rows:
    """Training rows for a family that prepares nothing."""

    features: FloatArray
    labels: FloatArray
    feature_names: tuple[str, ...]


def prepare(family: Family, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            seed: int) -> Any:
    """The training rows as ``family`` likes them, for :func:`fit_prepared`."""
    if isinstance(family, Preparing):
        return family.prepare(features, labels, feature_names, seed)
    return Rows(features, labels, feature_names)


def fit_prepared(family: Family, prepared: Any, params: Mapping[str, Any], seed: int) -> Fitted:
    """``family.fit`` on what :func:`prepare` made, bit for bit."""
    if isinstance(family, Preparing):
        return family.fit_prepared(prepared, params, seed)
    return family.fit(prepared.features, prepared.labels, prepared.feature_names, params, seed)


def requirements(family: Family) -> list[str]:
    """Exact pins of what a loader of this family needs, from what is installed here."""
    return [f"{name}=={version(name)}" for name in ("numpy", *family.packages)]


def check(features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...]) -> None:
    """Refuse a matrix that a library would refuse later, in its own words.

    Raises:
        TrainingError: shapes that do not match, infinite values, or labels of one class.
    """
    if features.ndim != 2 or features.shape != (len(labels), len(feature_names)):
        raise TrainingError(f"features of shape {features.shape} do not match {len(labels)} labels and "
                            f"{len(feature_names)} names")
    infinite = np.flatnonzero(np.isinf(features).any(axis=0))
    if len(infinite):
        broken = [feature_names[column] for column in infinite]
        raise TrainingError(f"infinite values in {', '.join(broken[:5])}; fix the feature, or let it be missing (NaN)")
    if not np.array_equal(np.unique(labels), [0.0, 1.0]):
        raise TrainingError(f"labels are {np.unique(labels)[:5].tolist()}; both classes 0 and 1 are needed to learn")


def digest(*parts: Any) -> str:
    """SHA-256 hex of arrays (with dtype and shape) and of anything else by its text."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update(part if isinstance(part, bytes) else str(part).encode())
    return total.hexdigest()


def artifact(path: Path, name: str) -> Path:
    """The model file ``name`` in the directory that MLflow wrote.

    Raises:
        UnsafeArtifact: it is not there (a pickle may be: it is not opened), or a link.
    """
    found = path / name if path.is_dir() else path
    if found.is_symlink():
        raise UnsafeArtifact(f"{found} is a link; a model is a plain file. Restore it, or train again")
    if not found.is_file() or found.name != name:
        there = sorted(item.name for item in path.iterdir()) if path.is_dir() else [path.name]
        raise UnsafeArtifact(f"no {name} at {path} (there: {', '.join(there)[:200]}); only this format is loaded: "
                             "train the line again to store a native model")
    return found


def check_width(path: Path, found: int, feature_names: tuple[str, ...]) -> None:
    """Refuse a stored model of another width than the one declared: columns would be read as other columns.

    Raises:
        UnsafeArtifact: it takes another number of features.
    """
    if found != len(feature_names):
        raise UnsafeArtifact(f"{path} takes {found} features, {len(feature_names)} are declared; restore the file that "
                             "was registered, or train again")


def load_skops(path: Path, trusted: tuple[str, ...], reviewed: frozenset[str]) -> Any:
    """Read a skops file whose types are all on lists from our code and never from the file.

    Args:
        trusted: what skops has to be allowed beyond the types it trusts by itself.
        reviewed: the estimators that this family's file consists of; skops trusts all of scikit-learn, we do not.

    Raises:
        UnsafeArtifact: not a skops file, or something that is not on the lists.
    """
    import skops.io

    source = artifact(path, "model.skops")
    try:
        foreign = sorted({*container.foreign(source, reviewed),
                          *set(skops.io.get_untrusted_types(file=source)) - set(trusted)})
        if not foreign:
            return skops.io.load(source, trusted=list(trusted))
    except Exception as error:  # a broken file fails in many ways: zip, json, unknown nodes
        raise UnsafeArtifact(f"{source} is not a readable skops file ({type(error).__name__}: {error!s:.200}); "
                             "restore it from the artifact store or train again") from error
    raise UnsafeArtifact(f"{source} holds types that nobody reviewed: {', '.join(foreign)[:300]}; it is not loaded. "
                         "If they are harmless, add them to the family's trusted_types and reviewed_types")
