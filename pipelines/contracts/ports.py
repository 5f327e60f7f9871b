"""What a new provider, model family or scorer has to offer. One new file and one line of registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.records import Refused
from pipelines.contracts.window import Window

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Batch:
    """What one fetch returned: raw frames by kind (columns of ``contracts.columns``) and rows refused already
    because they could not even be read.

    ``inferred``: kinds whose ``available_at`` follows from a rule and was not told by the source. It holds for a first
    reading only (see ``ingest.hindsight``)."""

    frames: Mapping[Kind, pd.DataFrame] = field(default_factory=dict)
    refused: Sequence[Refused] = ()
    inferred: frozenset[Kind] = frozenset()


@runtime_checkable
class Provider(Protocol):
    """A source of facts."""

    name: str

    def kinds(self) -> frozenset[Kind]:
        """The kinds of facts this provider can deliver."""
        ...

    def symbols(self) -> tuple[str, ...]:
        """The symbols it has bars for, sorted."""
        ...

    def span(self) -> Window | None:
        """The window it has anything for, if it knows."""
        ...

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """Everything that became available in ``window`` (``start <= available_at < end``), unchecked.

        ``symbols`` limits bars and trades; documents and indicators are not per symbol.

        Raises:
            SourceError, SourceUnavailable
        """
        ...


class FittedModel(Protocol):
    """A fitted binary classifier in a native, pickle-free format."""

    family: str
    feature_names: tuple[str, ...]

    def predict(self, features: FloatArray) -> FloatArray:
        """P(y = 1), shape (rows,), for features of shape (rows, len(feature_names))."""
        ...

    def native(self) -> Any:
        """The library object that MLflow's flavour logs (a Booster, a scikit-learn pipeline)."""
        ...


class Family(Protocol):
    """One model family: its search space, how to fit it, how to store it."""

    name: str
    flavor: str

    def space(self, trial: Any) -> dict[str, Any]:
        """Ask an Optuna trial for this family's parameters."""
        ...

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> FittedModel:
        """Fit on (rows, columns) float64 features and {0, 1} labels; one thread; same seed, same bytes."""
        ...

    def load(self, path: Path, feature_names: tuple[str, ...]) -> FittedModel:
        """Load what MLflow stored, without unpickling.

        Raises:
            UnsafeArtifact: the file holds types that are not on this family's list.
        """
        ...


class Scorer(Protocol):
    """Scores texts for sentiment."""

    @property
    def name(self) -> str:
        """Under which its scores are stored: another version is another name."""
        ...

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Columns compound [-1, 1], positive, neutral, negative (shares that add up to 1), one row per text."""
        ...
