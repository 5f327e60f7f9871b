"""TF-IDF of word counts and standardised numbers into one logistic regression; stored as skops.

Columns named ``word_*`` (feature group ``words``) are counts: 1 + ln(count), times the inverse document frequency of
the training rows, each row to length 1 (Salton and Buckley 1988; smoothed as scikit-learn does). All others are imputed
by their median and standardised, as ``logistic_regression`` does. Both are fitted with the model, inside the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.features.groups.words import PREFIX
from pipelines.training.families.base import check, check_width, digest, load_skops

_STEPS = [("columns", ColumnTransformer), ("model", LogisticRegression)]
_NUMBERS = [("impute", SimpleImputer), ("scale", StandardScaler)]


class Fitted:
    """A fitted pipeline ``columns (words, numbers) → model``."""

    family = "tfidf_linear"

    def __init__(self, pipeline: Pipeline, feature_names: tuple[str, ...]) -> None:
        self._pipeline = pipeline
        self.feature_names = feature_names
        #: Position among the features of each column that the model sees.
        self._order = np.concatenate([np.asarray(columns) for _, _, columns in _parts(pipeline)]).astype(np.int64)

    def predict(self, features: FloatArray) -> FloatArray:
        # A sparse product goes row by row and entry by entry: one text scores exactly as it did in a batch.
        model = self._pipeline["model"]
        chances: FloatArray = expit(self._transformed(features) @ model.coef_[0] + model.intercept_[0])
        return chances

    def native(self) -> Any:
        return self._pipeline

    def importance(self) -> FloatArray:
        weights: FloatArray = self._placed(np.abs(self._pipeline["model"].coef_))[0]
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """Weight times value, exact for a linear model (Lundberg and Lee 2017, corollary 1) against a text without
        any word, whose numbers are those of the mean training row."""
        return self._placed(self._transformed(features).multiply(self._pipeline["model"].coef_[0]).toarray())

    def fingerprint(self) -> str:
        learned: list[Any] = []
        for name, part, columns in _parts(self._pipeline):
            learned += [name, np.asarray(columns)]
            learned += [part.idf_] if name == "words" else [
                part["impute"].statistics_, part["scale"].mean_, part["scale"].scale_]
        model = self._pipeline["model"]
        return digest(self.family, self.feature_names, *learned, model.coef_, model.intercept_)

    def _transformed(self, features: FloatArray) -> sparse.csr_matrix:
        return sparse.csr_matrix(self._pipeline["columns"].transform(features))

    def _placed(self, values: FloatArray) -> FloatArray:
        placed = np.empty((len(values), len(self.feature_names)))
        placed[:, self._order] = values
        return placed


class TfidfLinearFamily:
    """L2-regularised; ``C`` is the inverse penalty on TF-IDF weights and standardised numbers alike."""

    name = "tfidf_linear"
    flavor = "sklearn"
    defaults: Mapping[str, Any] = {"C": 3.0}
    packages = ("scikit-learn", "skops")
    # Reviewed: a dtype carries no code (the imputer remembers the one it was fitted on).
    trusted_types = ("numpy.dtype",)
    reviewed_types = frozenset({
        "sklearn.pipeline.Pipeline", "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.feature_extraction.text.TfidfTransformer", "sklearn.impute._base.SimpleImputer",
        "sklearn.preprocessing._data.StandardScaler", "sklearn.linear_model._logistic.LogisticRegression",
        "builtins.slice"})
    importance_unit = "|coefficient|, of a TF-IDF weight or per standard deviation"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {"C": trial.suggest_float("C", 0.05, 50.0, log=True)}

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        check(features, labels, feature_names)
        counts = np.array([name.startswith(PREFIX) for name in feature_names], dtype=bool)
        numbers = Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
                            ("scale", StandardScaler())])
        parts = [("words", TfidfTransformer(sublinear_tf=True), np.flatnonzero(counts)),
                 ("numbers", numbers, np.flatnonzero(~counts))]
        pipeline = Pipeline([
            ("columns", ColumnTransformer([part for part in parts if len(part[2])], sparse_threshold=1.0)),
            ("model", LogisticRegression(C=float(params["C"]), max_iter=500, random_state=seed))])
        with threadpool_limits(limits=1):  # the last bits of a BLAS product depend on the number of its threads
            return Fitted(pipeline.fit(features, labels), feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        pipeline = load_skops(path, self.trusted_types, self.reviewed_types)
        if not isinstance(pipeline, Pipeline) or _types(pipeline) != _STEPS or not all(
                isinstance(part, TfidfTransformer) if name == "words" else
                name == "numbers" and isinstance(part, Pipeline) and _types(part) == _NUMBERS
                for name, part, _ in _parts(pipeline)):
            raise UnsafeArtifact(f"{path} is a {type(pipeline).__name__}, not the pipeline columns (words, numbers), "
                                 "model")
        check_width(path, pipeline["columns"].n_features_in_, feature_names)
        return Fitted(pipeline, feature_names)


def _types(pipeline: Pipeline) -> list[tuple[str, type]]:
    return [(name, type(step)) for name, step in pipeline.steps]


def _parts(pipeline: Pipeline) -> list[tuple[str, Any, Any]]:
    """(name, transformer, columns) of the words and of the numbers, as far as there are any."""
    parts: list[tuple[str, Any, Any]] = pipeline["columns"].transformers_
    return [part for part in parts if part[0] != "remainder"]


FAMILY = TfidfLinearFamily()
