"""What the ensembles share: members of other families, forecasts that their members have not learned from, one file.

An ensemble is a weighted sum of its members' log-odds (a logarithmic opinion pool; Genest & Zidek, "Combining
Probability Distributions", *Statistical Science* 1(1), 1986) or of their probabilities. Members are fitted with their
families' defaults: what is searched is how they are combined.

Weights are learned from forecasts of rows that come after the ones their members were fitted on. The training rows
have to be in order of time, as a snapshot's are. A label may reach over rows that follow, so a twentieth of the rows
(``GAP``) lies between a member's last training row and its first forecast.

The file is a ZIP of the members' native files and a JSON that says what they are: no code, and the same model is the
same bytes.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError, UnsafeArtifact
from pipelines.training import families
from pipelines.training.families import base, bundle, container, document
from pipelines.training.families.files import MODEL_FILES

FILE = MODEL_FILES["ensemble"]
CARD = "ensemble.json"
MEMBERS = {"linear+boosting": ("logistic_regression", "lightgbm"),
           "linear+forest": ("logistic_regression", "random_forest"),
           "linear+forest+boosting": ("logistic_regression", "random_forest", "lightgbm")}
#: Share of the rows between a member's training and its forecasts.
GAP = 0.05
#: Inner folds: the first part is only learned from.
PARTS = 5
#: Fewest rows to learn a member or a weight from.
LEAST = 30
#: Log-odds further out than this are taken for it: a forest may say 0 or 1.
FURTHEST = 8.0
_ALLOWED = {name for names in MEMBERS.values() for name in names}


@dataclass(frozen=True)
class Pool:
    """How members are put together: ``intercept`` plus ``weights`` (members,) times their log-odds, or, where
    ``of_chances``, the weighted mean of their probabilities."""

    weights: FloatArray
    intercept: float = 0.0
    of_chances: bool = False

    def chances(self, odds: FloatArray) -> FloatArray:
        """P(y = 1) from the members' log-odds (rows, members)."""
        parts = expit(odds) if self.of_chances else odds
        total = np.full(len(odds), 0.0 if self.of_chances else self.intercept)
        for member, weight in enumerate(self.weights):  # not by BLAS: a row alone has to score as it does in a batch
            total += weight * parts[:, member]
        return total if self.of_chances else np.asarray(expit(total), dtype=np.float64)


class Native:
    """The members and their pool; as a file: see the module."""

    def __init__(self, family: str, members: Sequence[base.Fitted], pool: Pool, feature_names: tuple[str, ...]) -> None:
        self.family, self.members, self.pool, self.feature_names = family, tuple(members), pool, feature_names

    def save_model(self, path: str) -> None:
        """Write the file; the same model is the same bytes."""
        meaning = {"family": self.family, "names": list(self.feature_names),
                   "members": [member.family for member in self.members],
                   "weights": [float(weight) for weight in self.pool.weights], "intercept": self.pool.intercept,
                   "of_chances": self.pool.of_chances}
        content = {CARD: json.dumps(meaning, sort_keys=True).encode()}
        with tempfile.TemporaryDirectory(prefix="tidemark-ensemble-") as directory:
            for place, member in enumerate(self.members):
                name = MODEL_FILES[families.get(member.family).flavor]
                container.write(member.native(), Path(directory, name))
                content[f"{place}/{name}"] = Path(directory, name).read_bytes()
        bundle.write(Path(path), content)


class Fitted:
    """A fitted ensemble."""

    def __init__(self, native: Native) -> None:
        self.family, self.feature_names, self._native = native.family, native.feature_names, native

    def predict(self, features: FloatArray) -> FloatArray:
        return self._native.pool.chances(log_odds(self._native.members, features))

    def native(self) -> Any:
        return self._native

    def importance(self) -> FloatArray:
        """Weighted mean of the members' shares of importance."""
        total = np.zeros(len(self.feature_names))
        for member, weight in zip(self._native.members, np.abs(self._native.pool.weights), strict=True):
            own = member.importance()
            total += weight * own / own.sum() if own.sum() > 0 else 0.0
        return total

    def contributions(self, features: FloatArray) -> FloatArray:
        """Members' SHAP values, weighted; in the unit of the pool. A member that explains itself in the other unit is
        rescaled so that its parts still add up to its distance from its base (the rescale rule of Shrikumar, Greenside
        & Kundaje 2017)."""
        pool = self._native.pool
        total = np.zeros(features.shape)
        for member, weight in zip(self._native.members, pool.weights, strict=True):
            total += weight * _told(member, features, "probability" if pool.of_chances else "log-odds")
        return total

    def fingerprint(self) -> str:
        pool = self._native.pool
        return base.digest(self.family, self.feature_names, np.asarray(pool.weights), pool.intercept, pool.of_chances,
                           *(member.fingerprint() for member in self._native.members))


class Ensemble(ABC):
    """What all ensemble families have in common; a family adds ``name``, ``combine`` and, if it likes, its space."""

    name: str
    flavor = "ensemble"
    defaults: Mapping[str, Any] = {"members": "linear+forest+boosting"}
    packages: tuple[str, ...] = ("scikit-learn", "lightgbm", "skops")
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    importance_unit = "weighted share of the members' importance"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {"members": trial.suggest_categorical("members", sorted(MEMBERS))}

    @abstractmethod
    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        """The members to predict with, and how."""

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        base.check(features, labels, feature_names)
        names = MEMBERS[str(params["members"])]
        members, pool = self.combine(Rows(features, labels, feature_names, names, seed), params)
        return Fitted(Native(self.name, members, pool, feature_names))

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        source = base.artifact(path, FILE)
        try:
            meaning = json.loads(bundle.member(source, CARD))
            names, weights = tuple(map(str, meaning["members"])), np.array(meaning["weights"], dtype=np.float64)
            pool = Pool(weights, float(meaning["intercept"]), bool(meaning["of_chances"]))
            named = (str(meaning["family"]), tuple(map(str, meaning["names"])))
        except (KeyError, ValueError, TypeError) as error:
            raise UnsafeArtifact(f"{source} does not say what it is ({type(error).__name__}: {error!s:.150}); restore "
                                 "it from the artifact store or train again") from error
        base.check_width(source, len(named[1]), feature_names)
        if named != (self.name, feature_names) or not set(names) <= _ALLOWED:
            raise UnsafeArtifact(f"{source} is a {named[0]} of {', '.join(names)[:100]}, not a {self.name} on the "
                                 "features that are declared; restore it or train again")
        if weights.shape != (len(names),) or not np.isfinite([*weights, pool.intercept]).all():
            raise UnsafeArtifact(f"{source} weighs {len(names)} members with {weights}; restore it or train again")
        members = list(_members(source, names, feature_names))
        return Fitted(Native(self.name, members, pool, feature_names))


@dataclass(frozen=True)
class Rows:
    """Training rows in order of time, and the families to learn from them."""

    features: FloatArray
    labels: FloatArray
    feature_names: tuple[str, ...]
    members: tuple[str, ...]
    seed: int

    def fit(self, rows: slice = slice(None)) -> list[base.Fitted]:
        """One member of each family, fitted on these rows.

        Raises:
            TrainingError: the rows hold one class only.
        """
        found = []
        for name in self.members:
            family = families.get(name)
            found.append(family.fit(self.features[rows], self.labels[rows], self.feature_names, family.defaults,
                                    self.seed))
        return found

    def ahead(self) -> tuple[FloatArray, FloatArray]:
        """Log-odds (rows, members) of the rows after the first part by members that were fitted on the rows before
        them, less the gap; and these rows' labels.

        Raises:
            TrainingError: too few rows, or a part that holds one class only.
        """
        count = len(self.labels)
        bounds = np.linspace(0, count, PARTS + 1).astype(int)
        gap = max(1, int(GAP * count))
        if bounds[1] - gap < LEAST:
            raise TrainingError(f"{count} rows are too few to learn weights from; give the line more train_days")
        odds = [log_odds(self.fit(slice(0, begin - gap)), self.features[begin:end])
                for begin, end in itertools.pairwise(bounds[1:])]
        return np.concatenate(odds), self.labels[bounds[1]:]


def log_odds(members: Sequence[base.Fitted], features: FloatArray) -> FloatArray:
    """The members' log-odds, (rows, members), at most ``FURTHEST`` from 0."""
    with np.errstate(divide="ignore"):
        odds = np.stack([logit(member.predict(features)) for member in members], axis=1)
    clipped: FloatArray = np.clip(odds, -FURTHEST, FURTHEST)
    return clipped


def _told(member: base.Fitted, features: FloatArray, unit: str) -> FloatArray:
    told = member.contributions(features)
    own = families.get(member.family).contribution_unit
    if own == unit:
        return told
    chances = np.clip(member.predict(features), expit(-FURTHEST), expit(FURTHEST))
    moved = told.sum(axis=1)
    if own == "log-odds":
        there = chances - expit(logit(chances) - moved)
    else:
        there = logit(chances) - logit(np.clip(chances - moved, expit(-FURTHEST), expit(FURTHEST)))
    scale: FloatArray = np.where(moved == 0, 0.0, there / np.where(moved == 0, 1.0, moved))
    return told * scale[:, None]


def _members(source: Path, names: Sequence[str], feature_names: tuple[str, ...]) -> Iterator[base.Fitted]:
    """Each member by the loader of its own family, which looks into its file as it always does."""
    files = [f"{place}/{MODEL_FILES[families.get(name).flavor]}" for place, name in enumerate(names)]
    content = bundle.read(source, [CARD, *files])
    for name, file in zip(names, files, strict=True):
        with tempfile.TemporaryDirectory(prefix="tidemark-ensemble-") as directory:
            place = Path(directory, Path(file).name)
            place.write_bytes(content[file])
            yield families.get(name).load(place.parent, feature_names)


def _load_pyfunc(path: str) -> Any:
    """MLflow's way in (`loader_module`); the file is checked as always."""
    meaning = json.loads(bundle.member(Path(path), CARD))
    family = families.get(str(meaning["family"]))
    return document.Served(family.load(Path(path), tuple(map(str, meaning["names"]))))
