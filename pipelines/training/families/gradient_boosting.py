"""Classic gradient boosting on exact splits (Friedman 2001, 2002) by scikit-learn, on features imputed by their
median; stored as skops.

Slower than its histogram siblings: it looks at every value, so it takes half of the rows and few features a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import check, check_width, digest, load_skops
from pipelines.training.families.trees import check_trees

_STEPS = [("impute", SimpleImputer), ("model", GradientBoostingClassifier)]


class Fitted:
    """A fitted pipeline ``impute → model``."""

    family = "gradient_boosting"

    def __init__(self, pipeline: Pipeline, feature_names: tuple[str, ...]) -> None:
        self._pipeline = pipeline
        self._model = pipeline["model"]
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        chances: FloatArray = expit(self._pipeline.decision_function(features))
        return chances

    def native(self) -> Any:
        return self._pipeline

    def importance(self) -> FloatArray:
        weights: FloatArray = self._model.feature_importances_
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """Tree SHAP of the margin (Lundberg et al. 2020)."""
        import shap

        values: FloatArray = shap.TreeExplainer(self._model).shap_values(self._pipeline["impute"].transform(features))
        return values

    def fingerprint(self) -> str:
        parts: list[Any] = [self._pipeline["impute"].statistics_, self._model.init_.class_prior_,
                            self._model.learning_rate]
        for tree in (stage.tree_ for stage in self._model.estimators_[:, 0]):
            parts += [tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.value]
        return digest(self.family, self.feature_names, *parts)


class GradientBoostingFamily:
    """Few shallow trees, each on a random half of the rows."""

    name = "gradient_boosting"
    flavor = "sklearn"
    defaults: Mapping[str, Any] = {"rounds": 40, "learning_rate": 0.07, "max_depth": 3, "min_samples_leaf": 50,
                                   "max_features": 0.2}
    packages = ("scikit-learn", "skops")
    # Reviewed: a tree is arrays of nodes and no code, looked through by `check_trees`; a dtype carries no code.
    trusted_types = ("sklearn.tree._tree.Tree", "numpy.dtype")
    reviewed_types = frozenset({
        "sklearn.pipeline.Pipeline", "sklearn.impute._base.SimpleImputer",
        "sklearn.ensemble._gb.GradientBoostingClassifier", "sklearn.dummy.DummyClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor", "sklearn.tree._tree.Tree",
        "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss.link.LogitLink", "sklearn._loss.link.Interval",
        "sklearn._loss._loss.CyHalfBinomialLoss"})
    importance_unit = "mean impurity decrease"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "rounds": trial.suggest_int("rounds", 20, 80, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 5),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 200, log=True),
            "max_features": trial.suggest_float("max_features", 0.05, 0.3),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        check(features, labels, feature_names)
        model = GradientBoostingClassifier(
            n_estimators=int(params["rounds"]), learning_rate=float(params["learning_rate"]),
            max_depth=int(params["max_depth"]), min_samples_leaf=int(params["min_samples_leaf"]),
            max_features=float(params["max_features"]), subsample=0.5, random_state=seed)
        pipeline = Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("model", model)])
        pipeline.fit(features, labels)
        model._rng = None  # of no use once it is fitted, and not stored
        for stage in model.estimators_[:, 0]:
            stage.random_state = None
        return Fitted(pipeline, feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        pipeline = load_skops(path, self.trusted_types, self.reviewed_types)
        steps = getattr(pipeline, "steps", [])
        if not isinstance(pipeline, Pipeline) or [(name, type(step)) for name, step in steps] != _STEPS:
            raise UnsafeArtifact(f"{path} is a {type(pipeline).__name__}, not the pipeline impute, model")
        check_width(path, pipeline.n_features_in_, feature_names)
        model = pipeline["model"]
        stages = np.asarray(model.estimators_)
        if (stages.ndim, stages.shape[1:]) != (2, (1,)) or not isinstance(model.init_, DummyClassifier) or not all(
                isinstance(stage, DecisionTreeRegressor) for stage in stages[:, 0]):
            raise UnsafeArtifact(f"{path} holds other stages than one regression tree each; restore it or train again")
        check_trees((stage.tree_ for stage in stages[:, 0]), len(feature_names), 1, path)
        return Fitted(pipeline, feature_names)


FAMILY = GradientBoostingFamily()
