"""Gradient boosting on binned features by scikit-learn's HistGradientBoosting (one thread); stored as skops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import Rows, check, check_width, digest, load_skops
from pipelines.training.families.trees import inside

_PLACE = "sklearn.ensemble._hist_gradient_boosting"


class Fitted:
    """A fitted ensemble; a missing value goes to the side that was better for it in training."""

    family = "hist_gradient_boosting"

    def __init__(self, model: HistGradientBoostingClassifier, feature_names: tuple[str, ...]) -> None:
        self._model = model
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        chances: FloatArray = expit(self._model._raw_predict(features, n_threads=1)[:, 0])
        return chances

    def native(self) -> Any:
        return self._model

    def importance(self) -> FloatArray:
        """The loss that each feature's splits took off, over all trees; scikit-learn itself offers none."""
        total = np.zeros(len(self.feature_names))
        for nodes in _trees(self._model):
            splits = nodes[nodes["is_leaf"] == 0]
            np.add.at(total, splits["feature_idx"], splits["gain"])
        return total

    def contributions(self, features: FloatArray) -> FloatArray:
        """Tree SHAP of the margin (Lundberg et al. 2020)."""
        import shap

        values: FloatArray = shap.TreeExplainer(self._model).shap_values(features)
        return values

    def fingerprint(self) -> str:
        return digest(self.family, self.feature_names, self._model._baseline_prediction, *_trees(self._model))


class HistGradientBoostingFamily:
    """Few leaves, many rows a leaf, a random part of the features at each split."""

    name = "hist_gradient_boosting"
    flavor = "sklearn"
    defaults: Mapping[str, Any] = {"rounds": 60, "learning_rate": 0.05, "max_leaf_nodes": 7, "min_samples_leaf": 100,
                                   "max_features": 0.6, "l2_regularization": 5.0}
    packages = ("scikit-learn", "skops")
    # Reviewed: a predictor is arrays of nodes and no code. Its Cython walks them unchecked; `_checked` looks first.
    trusted_types = (f"{_PLACE}.predictor.TreePredictor",)
    reviewed_types = frozenset({
        f"{_PLACE}.gradient_boosting.HistGradientBoostingClassifier", f"{_PLACE}.predictor.TreePredictor",
        f"{_PLACE}.binning._BinMapper", "sklearn.preprocessing._label.LabelEncoder",
        "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss.link.LogitLink", "sklearn._loss.link.Interval",
        "sklearn._loss._loss.CyHalfBinomialLoss"})
    importance_unit = "total gain"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "rounds": trial.suggest_int("rounds", 20, 200, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 31, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 300, log=True),
            "max_features": trial.suggest_float("max_features", 0.2, 1.0),
            "l2_regularization": trial.suggest_float("l2_regularization", 0.1, 100.0, log=True),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        check(features, labels, feature_names)
        model = _model(params, seed)
        with threadpool_limits(limits=1):  # the last bits of a histogram depend on the number of its threads
            model.fit(features, labels)
        return _done(model, feature_names)

    def watch(self, prepared: Rows, features: FloatArray, labels: FloatArray) -> Rows:
        return Rows(features, labels, prepared.feature_names)

    def fit_stopped(self, prepared: Rows, watched: Rows, params: Mapping[str, Any], seed: int,
                    patience: int) -> tuple[Fitted, int]:
        check(prepared.features, prepared.labels, prepared.feature_names)
        model = _model(params, seed).set_params(early_stopping=True, n_iter_no_change=patience, tol=0.0, scoring="loss")
        with threadpool_limits(limits=1):
            model.fit(prepared.features, prepared.labels, X_val=watched.features, y_val=watched.labels)
        best = max(1, int(np.argmax(model.validation_score_)))  # the first score is that of no tree at all
        del model._predictors[best:]
        return _done(model, prepared.feature_names), best

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        model = load_skops(path, self.trusted_types, self.reviewed_types)
        if not isinstance(model, HistGradientBoostingClassifier):
            raise UnsafeArtifact(f"{path} is a {type(model).__name__}, not a HistGradientBoostingClassifier")
        check_width(path, model.n_features_in_, feature_names)
        if not _checked(model):
            raise UnsafeArtifact(f"{path} holds a tree whose nodes point outside of it; restore it or train again")
        return Fitted(model, feature_names)


def _model(params: Mapping[str, Any], seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=int(params["rounds"]), learning_rate=float(params["learning_rate"]),
        max_leaf_nodes=int(params["max_leaf_nodes"]), min_samples_leaf=int(params["min_samples_leaf"]),
        max_features=float(params["max_features"]), l2_regularization=float(params["l2_regularization"]),
        max_bins=63, early_stopping=False, categorical_features=None, random_state=seed)


def _done(model: HistGradientBoostingClassifier, feature_names: tuple[str, ...]) -> Fitted:
    # Of no use once it is fitted, and not stored.
    model._feature_subsample_rng = model._random_seed = model._bin_mapper.random_state = None
    return Fitted(model, feature_names)


def _trees(model: HistGradientBoostingClassifier) -> list[Any]:
    """The nodes of each tree, records of shape (nodes,)."""
    return [stage[0].nodes for stage in model._predictors]


def _checked(model: HistGradientBoostingClassifier) -> bool:
    """Whether a prediction stays inside the arrays and ends. Splits on categories index bitsets; we make none."""
    trees, binned = _trees(model), model._bin_mapper
    return (all(len(stage) == 1 for stage in model._predictors) and model._preprocessor is None
            and model.is_categorical_ is None and not np.any(binned.is_categorical_)
            and len(binned.is_categorical_) == model.n_features_in_ == model._n_features
            and model.n_trees_per_iteration_ == 1 and model._baseline_prediction.shape == (1, 1)
            and all(nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1 and not nodes["is_categorical"].any()
                    and inside(nodes["is_leaf"] == 1, (nodes["left"], nodes["right"]), nodes["feature_idx"],
                               model.n_features_in_) for nodes in trees))


FAMILY = HistGradientBoostingFamily()
