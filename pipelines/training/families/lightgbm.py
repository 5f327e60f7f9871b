"""Gradient boosting by LightGBM's Booster (deterministic, row-wise, one thread); stored as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import artifact, check, check_width, digest


class Fitted:
    """A fitted Booster."""

    family = "lightgbm"

    def __init__(self, booster: lgb.Booster, feature_names: tuple[str, ...]) -> None:
        self._booster = booster
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._booster.predict(features, num_threads=1), dtype=np.float64)

    def native(self) -> Any:
        return self._booster

    def importance(self) -> FloatArray:
        return np.asarray(self._booster.feature_importance(importance_type="gain"), dtype=np.float64)

    def contributions(self, features: FloatArray) -> FloatArray:
        """Tree SHAP of the margin, by LightGBM itself; the last column (the bias) is dropped."""
        values = self._booster.predict(features, pred_contrib=True, num_threads=1)
        return np.asarray(values, dtype=np.float64)[:, :-1]

    def fingerprint(self) -> str:
        return digest(self.family, self.feature_names, self._booster.model_to_string())


class LightGBMFamily:
    """Few leaves, many rows a leaf."""

    name = "lightgbm"
    flavor = "lightgbm"
    defaults: Mapping[str, Any] = {"rounds": 60, "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 100,
                                   "feature_fraction": 0.6, "bagging_fraction": 0.8, "lambda_l2": 5.0}
    packages = ("lightgbm",)
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    importance_unit = "total gain"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "rounds": trial.suggest_int("rounds", 20, 200, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 3, 31, log=True),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        return self.fit_prepared(self.prepare(features, labels, feature_names, seed), params, seed)

    def prepare(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
                seed: int) -> lgb.Dataset:
        """The rows in bins: a fifth to two fifths of a short fit. Without LightGBM's own filter, which would tie the
        bins to one ``min_data_in_leaf``."""
        check(features, labels, feature_names)
        rows = lgb.Dataset(features, labels, feature_name=list(feature_names), params=_settings(seed))
        return rows.construct()

    def fit_prepared(self, prepared: lgb.Dataset, params: Mapping[str, Any], seed: int) -> Fitted:
        settings = {**_settings(seed), **{key: value for key, value in params.items() if key != "rounds"}}
        booster = lgb.train(settings, prepared, num_boost_round=int(params["rounds"]))
        return Fitted(booster, tuple(prepared.feature_name))

    def watch(self, prepared: lgb.Dataset, features: FloatArray, labels: FloatArray) -> lgb.Dataset:
        return prepared.create_valid(features, labels, params=prepared.params).construct()

    def fit_stopped(self, prepared: lgb.Dataset, watched: lgb.Dataset, params: Mapping[str, Any], seed: int,
                    patience: int) -> tuple[Fitted, int]:
        settings = {**_settings(seed), **{key: value for key, value in params.items() if key != "rounds"}}
        booster = lgb.train(settings, prepared, num_boost_round=int(params["rounds"]), valid_sets=[watched],
                            callbacks=[lgb.early_stopping(patience, verbose=False)])
        return Fitted(booster, tuple(prepared.feature_name)), int(booster.current_iteration())

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        source = artifact(path, "model.lgb")
        try:
            booster = lgb.Booster(model_file=str(source))
        except (lgb.basic.LightGBMError, ValueError) as error:  # ValueError: broken text or JSON in its tail
            raise UnsafeArtifact(f"{source} is not a LightGBM text model ({error!s:.150}); restore or train again"
                                 ) from error
        check_width(source, booster.num_feature(), feature_names)
        return Fitted(booster, feature_names)


def _settings(seed: int) -> dict[str, Any]:
    return {"objective": "binary", "deterministic": True, "force_row_wise": True, "num_threads": 1, "seed": seed,
            "verbosity": -1, "max_bin": 63, "feature_pre_filter": False, "bagging_freq": 1}


FAMILY = LightGBMFamily()
