"""Models that are a few arrays of numbers, as JSON: a file without code that one can read.

A float64 is written with the digits that bring it back exactly, keys are sorted: the same model is the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import artifact, check_width

FILE = "model.json"
_MOST_BYTES = 32_000_000


class Native:
    """A model as what its file says: names, numbers and lists of them."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = dict(content)

    def text(self) -> str:
        """The file's text."""
        return json.dumps({name: value.tolist() if isinstance(value, np.ndarray) else value
                           for name, value in self.content.items()}, sort_keys=True, allow_nan=False)

    def save_model(self, path: str) -> None:
        """Write the file."""
        Path(path).write_text(self.text(), encoding="utf-8")


def read(path: Path, family: str, feature_names: tuple[str, ...], arrays: Mapping[str, int],
         file: str = FILE) -> dict[str, Any]:
    """What the model file at ``path`` says.

    Args:
        arrays: the members that are arrays of finite numbers, and how many dimensions they have. Besides them there
            are ``family`` and ``names``, and nothing else.

    Raises:
        UnsafeArtifact: it is not there, too large, not of this family, for other features, or holds something else.
    """
    source = artifact(path, file)
    if source.stat().st_size > _MOST_BYTES:
        raise UnsafeArtifact(f"{source} has {source.stat().st_size} bytes; a model here has at most {_MOST_BYTES}")
    try:
        content = json.loads(source.read_text(encoding="utf-8"), parse_constant=_no_constant)
        told, names = content["family"], tuple(content["names"])
        found = {name: _array(content[name], dimensions) for name, dimensions in arrays.items()}
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise UnsafeArtifact(f"{source} is not a readable JSON model ({type(error).__name__}: {error!s:.150}); restore "
                             "it or train again") from error
    if told != family:
        raise UnsafeArtifact(f"{source} is a {told!s:.40}, not a {family}")
    check_width(source, len(names), feature_names)
    if names != feature_names or set(content) != {"family", "names", *arrays}:
        raise UnsafeArtifact(f"{source} says something else about itself than was registered; restore it or "
                             "train again")
    return found


def names_of(path: str) -> tuple[str, tuple[str, ...]]:
    """(family, feature names) as a file tells them; for MLflow's generic flavour, which knows no signature here."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return str(content["family"]), tuple(str(name) for name in content["names"])


def _array(value: Any, dimensions: int) -> FloatArray:
    found = np.array(value, dtype=np.float64)
    if not isinstance(value, list) or found.ndim != dimensions or not np.isfinite(found).all():
        raise ValueError(f"an array of {found.ndim} dimensions where {dimensions} were expected, or not finite")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


class Served:
    """What MLflow's generic flavour calls: the columns by name, the chances."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> FloatArray:
        found: FloatArray = self._model.predict(frame[list(self._model.feature_names)].to_numpy(dtype=np.float64))
        return found


def _load_pyfunc(path: str) -> Served:
    """MLflow's way in (`loader_module`); the file is checked as always."""
    from pipelines.training import families

    family, names = names_of(path)
    return Served(families.get(family).load(Path(path), names))
