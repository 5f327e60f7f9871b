"""Random forest, small on purpose: one thread and a search have to fit into a minute; stored as skops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import check, check_width, digest, load_skops
from pipelines.training.families.trees import check_trees


class Fitted:
    """A fitted forest; missing values go down the side that the training rows with a missing value took."""

    family = "random_forest"

    def __init__(self, forest: RandomForestClassifier, feature_names: tuple[str, ...]) -> None:
        self._forest = forest
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        chances: FloatArray = self._forest.predict_proba(features)[:, 1]
        return chances

    def native(self) -> Any:
        return self._forest

    def importance(self) -> FloatArray:
        weights: FloatArray = self._forest.feature_importances_
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """Tree SHAP of P(y = 1) (Lundberg et al. 2020)."""
        import shap

        values: FloatArray = shap.TreeExplainer(self._forest).shap_values(features)[:, :, 1]
        return values

    def fingerprint(self) -> str:
        parts: list[Any] = [self.family, self.feature_names]
        for tree in (member.tree_ for member in self._forest.estimators_):
            parts += [tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.value,
                      tree.missing_go_to_left]
        return digest(*parts)


class RandomForestFamily:
    """Shallow trees on halves of the rows; leaves stay large, for hourly returns are nearly all noise."""

    name = "random_forest"
    flavor = "sklearn"
    defaults: Mapping[str, Any] = {"n_estimators": 40, "max_depth": 5, "min_samples_leaf": 50, "max_features": 0.2}
    packages = ("scikit-learn", "skops")
    # Reviewed: a tree is arrays of nodes and no code. scikit-learn checks their shapes when it loads them, but trusts
    # the indices in them when it predicts; `check_trees` does not.
    trusted_types = ("sklearn.tree._tree.Tree",)
    reviewed_types = frozenset({"sklearn.ensemble._forest.RandomForestClassifier",
                                "sklearn.tree._classes.DecisionTreeClassifier", "sklearn.tree._tree.Tree"})
    importance_unit = "mean impurity decrease"
    contribution_unit = "probability"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "n_estimators": trial.suggest_int("n_estimators", 20, 60, step=10),
            "max_depth": trial.suggest_int("max_depth", 3, 7),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 200, log=True),
            "max_features": trial.suggest_float("max_features", 0.05, 0.3),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        check(features, labels, feature_names)
        forest = RandomForestClassifier(
            n_estimators=int(params["n_estimators"]), max_depth=int(params["max_depth"]),
            min_samples_leaf=int(params["min_samples_leaf"]), max_features=float(params["max_features"]),
            max_samples=0.5, random_state=seed, n_jobs=1)
        return Fitted(forest.fit(np.asarray(features, dtype=np.float32), labels), feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        forest = load_skops(path, self.trusted_types, self.reviewed_types)
        if not isinstance(forest, RandomForestClassifier):
            raise UnsafeArtifact(f"{path} is a {type(forest).__name__}, not a RandomForestClassifier")
        check_width(path, forest.n_features_in_, feature_names)
        check_trees((member.tree_ for member in forest.estimators_), forest.n_features_in_, 2, path)
        return Fitted(forest, feature_names)


FAMILY = RandomForestFamily()
