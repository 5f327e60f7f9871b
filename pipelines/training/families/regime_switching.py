"""One logistic regression per regime of the market, each shrunk towards the one that all regimes share; stored as JSON.

A row's weights are ``shared + own of its regime`` with a penalty on both (Evgeniou & Pontil 2004, "Regularized
Multi-Task Learning", equation 8): a regime with few rows cannot afford weights of its own and answers as all rows do.

The regimes are those of the feature group ``regime`` (columns ``regime_trending``, ``regime_ranging``,
``regime_volatile``, of which the first above a half counts) or, where a line does not have it, equal parts of the
training rows by the first of ``VOLATILITY`` that is there. A row without a regime, and every row of a line that has
neither, is answered by the shared weights alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families import document
from pipelines.training.families.base import check, digest

REGIMES = ("regime_trending", "regime_ranging", "regime_volatile")
VOLATILITY = ("realised_volatility_24h", "garman_klass_24h", "parkinson_24h", "atr_14h", "realised_volatility_168h")
#: The members of a model: ``columns`` decide the regime (one with ``edges``, or one a regime); the last row of
#: ``weights``, ``intercepts`` and ``shares`` is of rows without a regime.
_ARRAYS = {"columns": 1, "edges": 1, "median": 1, "mean": 1, "scale": 1, "weights": 2, "intercepts": 1, "shares": 1}
_log = logging.getLogger(__name__)


class Fitted:
    """Fitted weights per regime."""

    family = "regime_switching"

    def __init__(self, arrays: Mapping[str, FloatArray], feature_names: tuple[str, ...]) -> None:
        self._a = dict(arrays)
        self.feature_names = feature_names

    def predict(self, features: FloatArray) -> FloatArray:
        regime, x = self.regimes(features), self._scaled(features)
        score = self._a["intercepts"][regime]
        for column in range(x.shape[1]):  # not by BLAS, whose last bits depend on how many rows are asked for
            score = score + x[:, column] * self._a["weights"][regime, column]
        chances: FloatArray = expit(score)
        return chances

    def regimes(self, features: FloatArray) -> Any:
        """The regime of each row, from 0; the last number is for rows without one."""
        return _regimes(features, self._a["columns"].astype(np.int64), self._a["edges"])

    def native(self) -> Any:
        return document.Native({"family": self.family, "names": list(self.feature_names), **self._a})

    def importance(self) -> FloatArray:
        weights: FloatArray = (np.abs(self._a["weights"]) * self._a["shares"][:, None]).sum(axis=0)
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """The regime's weights times the distance from the mean row; how far the regime's intercept lies from the mean
        one is put on the column that decides it. They add up to the log-odds less the mean intercept."""
        regime, columns = self.regimes(features), self._a["columns"].astype(np.int64)
        values: FloatArray = self._scaled(features) * self._a["weights"][regime]
        if len(columns):
            shift = self._a["intercepts"] - float(self._a["intercepts"] @ self._a["shares"])
            decisive = np.append(columns if len(columns) > 1 else np.repeat(columns, len(shift) - 1), columns[0])
            values[np.arange(len(values)), decisive[regime]] += shift[regime]
        return values

    def fingerprint(self) -> str:
        return digest(self.native().text())

    def _scaled(self, features: FloatArray) -> FloatArray:
        filled = np.where(np.isnan(features), self._a["median"], features)
        scaled: FloatArray = (filled - self._a["mean"]) / self._a["scale"]
        return scaled


class RegimeSwitchingFamily:
    """``C`` is the inverse penalty on the shared weights, ``C * own`` that on a regime's own; ``parts`` is how many
    regimes volatility is cut into where the line has no others."""

    name = "regime_switching"
    flavor = "json"
    defaults: Mapping[str, Any] = {"C": 0.01, "own": 0.3, "parts": 3}
    packages = ("scikit-learn",)
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    importance_unit = "mean |coefficient| per standard deviation"
    contribution_unit = "log-odds"

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "C": trial.suggest_float("C", 1e-4, 10.0, log=True),
            "own": trial.suggest_float("own", 0.01, 3.0, log=True),
            "parts": trial.suggest_int("parts", 2, 4),
        }

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        check(features, labels, feature_names)
        columns, edges = _deciding(features, feature_names, int(params["parts"]))
        regime = _regimes(features, columns, edges)
        count = _count(columns, edges)
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        scale = StandardScaler()
        x = scale.fit_transform(impute.fit_transform(features))
        width, own = x.shape[1], float(np.sqrt(params["own"]))
        # A penalty on own weights that is 1 / own times as strong is the same penalty on columns scaled by its root.
        blocks = [x, *(own * (regime == part)[:, None] * np.column_stack([x, np.ones(len(x))])
                       for part in range(count))]
        model = LogisticRegression(C=float(params["C"]), max_iter=500, random_state=seed)
        with threadpool_limits(limits=1):  # the last bits of a BLAS product depend on the number of its threads
            model.fit(np.hstack(blocks), labels)
        shared, theirs = model.coef_[0, :width], own * model.coef_[0, width:].reshape(count, width + 1)
        return Fitted({
            "columns": columns.astype(np.float64), "edges": edges, "median": impute.statistics_, "mean": scale.mean_,
            "scale": scale.scale_, "weights": np.vstack([shared + theirs[:, :-1], shared]),
            "intercepts": model.intercept_[0] + np.append(theirs[:, -1], 0.0),
            "shares": np.bincount(regime, minlength=count + 1) / len(x)}, feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        found = document.read(path, self.name, feature_names, _ARRAYS)
        columns, rows, width = found["columns"], len(found["weights"]), len(feature_names)
        whole = (all(found[name].shape == (width,) for name in ("median", "mean", "scale"))
                 and (found["scale"] > 0).all() and found["weights"].shape == (rows, width)
                 and rows == _count(columns, found["edges"]) + 1
                 and found["intercepts"].shape == found["shares"].shape == (rows,)
                 and np.isin(columns, np.arange(width)).all() and (np.diff(found["edges"]) >= 0).all())
        if not whole:
            raise UnsafeArtifact(f"{path} holds arrays that do not belong together; restore it or train again")
        return Fitted(found, feature_names)


def _deciding(features: FloatArray, names: tuple[str, ...], parts: int) -> tuple[Any, FloatArray]:
    """(columns that decide the regime, edges between its parts): a column a regime, or one with edges, or none."""
    if set(REGIMES) <= set(names):
        return np.array([names.index(name) for name in REGIMES], dtype=np.int64), np.empty(0)
    for name in VOLATILITY:
        column = names.index(name) if name in names else -1
        if column >= 0 and (there := features[~np.isnan(features[:, column]), column]).size:
            return np.array([column]), np.quantile(there, np.arange(1, parts) / parts)
    _log.info("regime_switching sees one regime only: add the group regime, or volatility, to features.groups")
    return np.empty(0, dtype=np.int64), np.empty(0)


def _count(columns: Any, edges: FloatArray) -> int:
    """How many regimes there are."""
    return len(edges) + 1 if len(columns) == 1 else len(columns)


def _regimes(features: FloatArray, columns: Any, edges: FloatArray) -> Any:
    none = _count(columns, edges)
    if len(columns) == 1:
        value = features[:, columns[0]]
        return np.where(np.isnan(value), none, np.searchsorted(edges, value, side="right"))
    stands = np.column_stack([features[:, columns] > 0.5, np.ones(len(features), dtype=bool)])
    return stands.argmax(axis=1)


FAMILY = RegimeSwitchingFamily()
