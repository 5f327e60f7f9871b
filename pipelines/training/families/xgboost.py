"""Gradient boosting by XGBoost's Booster (histograms, CPU, one thread); stored as ubj."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families.base import artifact, check, check_width, digest

MAX_BIN = 64


class Fitted:
    """A fitted Booster."""

    family = "xgboost"

    def __init__(self, booster: xgb.Booster, feature_names: tuple[str, ...]) -> None:
        self._booster = booster
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._booster.inplace_predict(features, validate_features=False), dtype=np.float64)

    def native(self) -> Any:
        return self._booster

    def importance(self) -> FloatArray:
        gain = self._booster.get_score(importance_type="total_gain")
        return np.array([gain.get(name, 0.0) for name in self.feature_names], dtype=np.float64)

    def contributions(self, features: FloatArray) -> FloatArray:
        """Tree SHAP of the margin, by XGBoost itself; the last column (the bias) is dropped."""
        rows = xgb.DMatrix(features, feature_names=list(self.feature_names), nthread=1)
        return np.asarray(self._booster.predict(rows, pred_contribs=True), dtype=np.float64)[:, :-1]

    def fingerprint(self) -> str:
        return digest(self.family, self.feature_names, bytes(self._booster.save_raw("ubj")))


@dataclass(frozen=True)
class Binned:
    """Training rows in bins. The names stand beside them: a matrix with names hands each of them over in every round of
    boosting, which costs a fifth of the fit."""

    rows: xgb.QuantileDMatrix
    feature_names: tuple[str, ...]


class XGBoostFamily:
    """Few, shallow, strongly regularised rounds."""

    name = "xgboost"
    flavor = "xgboost"
    defaults: Mapping[str, Any] = {"rounds": 60, "learning_rate": 0.05, "max_depth": 3, "min_child_weight": 20.0,
                                   "subsample": 0.8, "colsample_bytree": 0.6, "reg_lambda": 5.0}
    packages = ("xgboost",)
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    importance_unit = "total gain"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "rounds": trial.suggest_int("rounds", 20, 200, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 6),
            "min_child_weight": trial.suggest_float("min_child_weight", 5.0, 100.0, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 100.0, log=True),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        return self.fit_prepared(self.prepare(features, labels, feature_names, seed), params, seed)

    def prepare(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...], seed: int) -> Binned:
        """The rows in bins: a fifth to two fifths of a short fit, and a byte a cell."""
        check(features, labels, feature_names)
        return Binned(xgb.QuantileDMatrix(features, label=labels, nthread=1, max_bin=MAX_BIN), feature_names)

    def fit_prepared(self, prepared: Binned, params: Mapping[str, Any], seed: int) -> Fitted:
        booster = xgb.Booster(_settings(params, seed), [prepared.rows])  # as xgb.train, without its call-backs
        for number in range(int(params["rounds"])):
            booster.update(prepared.rows, number)
        return _done(booster, prepared)

    def watch(self, prepared: Binned, features: FloatArray, labels: FloatArray) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(features, label=labels, nthread=1, max_bin=MAX_BIN, ref=prepared.rows)

    def fit_stopped(self, prepared: Binned, watched: xgb.QuantileDMatrix, params: Mapping[str, Any], seed: int,
                    patience: int) -> tuple[Fitted, int]:
        booster = xgb.Booster(_settings(params, seed), [prepared.rows, watched])
        best, least = 1, math.inf
        for number in range(int(params["rounds"])):
            booster.update(prepared.rows, number)
            loss = float(booster.eval(watched, iteration=number).rsplit(":", 1)[1])
            if loss < least:
                best, least = number + 1, loss
            elif number + 1 - best >= patience:
                break
        return _done(booster[:best], prepared), best

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        source = artifact(path, "model.ubj")
        booster = xgb.Booster({"nthread": 1})
        try:
            booster.load_model(str(source))
        except (xgb.core.XGBoostError, UnicodeDecodeError) as error:  # its message may quote the file's raw bytes
            raise UnsafeArtifact(f"{source} is not an XGBoost model ({error!s:.150}); restore or train again"
                                 ) from error
        check_width(source, booster.num_features(), feature_names)
        booster.feature_names = list(feature_names)
        return Fitted(booster, feature_names)


def _settings(params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {"objective": "binary:logistic", "tree_method": "hist", "max_bin": MAX_BIN, "nthread": 1, "seed": seed,
            "verbosity": 0, **{key: value for key, value in params.items() if key != "rounds"}}


def _done(booster: xgb.Booster, prepared: Binned) -> Fitted:
    booster.reset()
    booster.feature_names = list(prepared.feature_names)
    return Fitted(booster, prepared.feature_names)


FAMILY = XGBoostFamily()
