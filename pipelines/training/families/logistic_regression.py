"""Logistic regression on imputed (median) and standardised features; stored as skops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import check, check_width, digest, load_skops

_STEPS = [("impute", SimpleImputer), ("scale", StandardScaler), ("model", LogisticRegression)]


class Fitted:
    """A fitted pipeline ``impute → scale → model``."""

    family = "logistic_regression"

    def __init__(self, pipeline: Pipeline, feature_names: tuple[str, ...]) -> None:
        self._pipeline = pipeline
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        # Column by column instead of BLAS, whose last bits depend on how many rows are asked for: one live row has to
        # score exactly as it did in a batch.
        score = np.full(len(features), self._pipeline["model"].intercept_[0])
        for column, weight in zip(self._scaled(features).T, self._pipeline["model"].coef_[0], strict=True):
            score += column * weight
        chances: FloatArray = expit(score)
        return chances

    def native(self) -> Any:
        return self._pipeline

    def importance(self) -> FloatArray:
        weights: FloatArray = np.abs(self._pipeline["model"].coef_[0])
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """Exact for a linear model with independent features: weight times distance from the training mean, which
        after scaling is zero (Lundberg and Lee 2017, corollary 1)."""
        values: FloatArray = self._scaled(features) * self._pipeline["model"].coef_[0]
        return values

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled: FloatArray = self._pipeline["scale"].transform(self._pipeline["impute"].transform(features))
        return scaled

    def fingerprint(self) -> str:
        scale, model = self._pipeline["scale"], self._pipeline["model"]
        return digest(self.family, self.feature_names, self._pipeline["impute"].statistics_, scale.mean_, scale.scale_,
                      model.coef_, model.intercept_)


@dataclass(frozen=True)
class Scaled:
    """Training rows, imputed and standardised, with what did it."""

    impute: SimpleImputer
    scale: StandardScaler
    features: FloatArray
    labels: FloatArray
    feature_names: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        return self.features.nbytes


class LogisticRegressionFamily:
    """L2-regularised; ``C`` is the inverse penalty on standardised features."""

    name = "logistic_regression"
    flavor = "sklearn"
    defaults: Mapping[str, Any] = {"C": 0.01}
    packages = ("scikit-learn", "skops")
    # Reviewed: a dtype carries no code (the imputer remembers the dtype it was fitted on).
    trusted_types = ("numpy.dtype",)
    reviewed_types = frozenset({"sklearn.pipeline.Pipeline", "sklearn.impute._base.SimpleImputer",
                                "sklearn.preprocessing._data.StandardScaler",
                                "sklearn.linear_model._logistic.LogisticRegression"})
    importance_unit = "|coefficient| per standard deviation"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {"C": trial.suggest_float("C", 1e-4, 10.0, log=True)}

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        return self.fit_prepared(self.prepare(features, labels, feature_names, seed), params, seed)

    def prepare(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...], seed: int) -> Scaled:
        """The rows imputed and standardised: about half of a fit."""
        check(features, labels, feature_names)
        impute, scale = SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        return Scaled(impute, scale, scale.fit_transform(impute.fit_transform(features)), labels, feature_names)

    def fit_prepared(self, prepared: Scaled, params: Mapping[str, Any], seed: int) -> Fitted:
        model = LogisticRegression(C=float(params["C"]), max_iter=500, random_state=seed)
        with threadpool_limits(limits=1):  # the last bits of a BLAS product depend on the number of its threads
            model.fit(prepared.features, prepared.labels)
        return Fitted(Pipeline([("impute", prepared.impute), ("scale", prepared.scale), ("model", model)]),
                      prepared.feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        pipeline = load_skops(path, self.trusted_types, self.reviewed_types)
        steps = getattr(pipeline, "steps", [])
        if not isinstance(pipeline, Pipeline) or [(name, type(step)) for name, step in steps] != _STEPS:
            raise UnsafeArtifact(f"{path} is a {type(pipeline).__name__}, not the pipeline impute, scale, model")
        check_width(path, pipeline.n_features_in_, feature_names)
        return Fitted(pipeline, feature_names)


FAMILY = LogisticRegressionFamily()
