from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from pipelines.errors import UnsafeArtifact
from pipelines.training import families
from pipelines.training.families import container
from tests.unit.training.families.planted import NAMES, rows

BOTH = ("hist_gradient_boosting", "gradient_boosting")


def fitted(name: str) -> tuple[object, np.ndarray]:
    features, labels, _ = rows(1.0, 800)
    family = families.get(name)
    return family.fit(features, labels, NAMES, family.defaults, seed=1), features


@pytest.mark.parametrize("name", BOTH)
def test_contributions_add_up_to_the_log_odds_also_where_values_are_missing(name: str) -> None:
    import shap

    model, features = fitted(name)
    chances = model.predict(features)
    assert np.isnan(features).any(axis=1).sum() > 200
    base = shap.TreeExplainer(model.native() if name == BOTH[0] else model.native()["model"]).expected_value
    told = model.contributions(features).sum(axis=1) + np.ravel(base)[0]
    np.testing.assert_allclose(told, np.log(chances / (1 - chances)), atol=1e-10)
    np.testing.assert_array_equal(model.native().predict_proba(features)[:, 1], chances)


def test_importance_is_the_gain_of_the_splits() -> None:
    """One tree with one split: its gain is the gain by hand (half of XGBoost's equation 7, without its factor)."""
    features, labels, _ = rows(2.0, 800)
    features = np.nan_to_num(features)
    family = families.get("hist_gradient_boosting")
    model = family.fit(features, labels, NAMES, {**family.defaults, "rounds": 1, "max_leaf_nodes": 2,
                                                 "max_features": 1.0, "l2_regularization": 3.0}, seed=1)
    root = model.native()._predictors[0][0].nodes[0]
    gradient, hessian = labels.mean() - labels, np.full(len(labels), labels.mean() * (1 - labels.mean()))
    left = features[:, 1] <= root["num_threshold"]

    def score(part: np.ndarray) -> float:
        return float(gradient[part].sum() ** 2 / (hessian[part].sum() + 3.0))

    gain = score(left) + score(~left) - score(np.ones(len(labels), dtype=bool))
    assert np.flatnonzero(model.importance()).tolist() == [1]
    assert model.importance()[1] == pytest.approx(gain, rel=1e-4)


@pytest.mark.parametrize(("field", "value"), [("left", 10_000), ("left", 0), ("right", 0), ("feature_idx", 99),
                                              ("feature_idx", -1), ("is_categorical", 1)])
def test_a_histogram_tree_that_points_outside_is_refused(field: str, value: int, tmp_path: Path) -> None:
    model, _ = fitted(BOTH[0])
    model.native()._predictors[3][0].nodes[field][0] = value
    container.write(model.native(), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="point outside"):
        families.get(BOTH[0]).load(tmp_path, NAMES)


@pytest.mark.parametrize("spoil", [
    lambda model: model._predictors[0].append(model._predictors[0][0]),
    lambda model: model._predictors[0].__setitem__(0, _cut(model._predictors[0][0])),
    lambda model: setattr(model, "n_trees_per_iteration_", 2),
    lambda model: setattr(model, "_baseline_prediction", np.zeros((1, 2))),
    lambda model: setattr(model._bin_mapper, "is_categorical_", np.ones(8, dtype=np.uint8))])
def test_a_histogram_model_of_another_make_is_refused(spoil: object, tmp_path: Path) -> None:
    model, _ = fitted(BOTH[0])
    spoil(model.native())  # type: ignore[operator]
    container.write(model.native(), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="point outside"):
        families.get(BOTH[0]).load(tmp_path, NAMES)


def _cut(predictor: object) -> object:
    predictor.nodes = predictor.nodes[:0]  # type: ignore[attr-defined]
    return predictor


@pytest.mark.parametrize(("field", "value"), [("left_child", 10_000), ("left_child", 0), ("right_child", -7),
                                              ("feature", 99)])
def test_a_classic_tree_that_points_outside_is_refused(field: str, value: int, tmp_path: Path) -> None:
    model, _ = fitted(BOTH[1])
    tree = model.native()["model"].estimators_[3, 0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes[field][0] = value
    tree.__setstate__({**state, "nodes": nodes})
    container.write(model.native(), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="point outside"):
        families.get(BOTH[1]).load(tmp_path, NAMES)


def test_stages_of_another_make_are_refused(tmp_path: Path) -> None:
    model, features = fitted(BOTH[1])
    model.native()["model"].estimators_[0, 0] = DecisionTreeRegressor(max_depth=1).fit(
        features[:, :3], np.nan_to_num(features[:, 3]))
    container.write(model.native(), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="point outside"):
        families.get(BOTH[1]).load(tmp_path, NAMES)
    model.native()["model"].estimators_ = model.native()["model"].estimators_[:, 0]
    container.write(model.native(), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="other stages"):
        families.get(BOTH[1]).load(tmp_path, NAMES)


def test_a_loss_that_is_none_of_scikit_learns_is_foreign(tmp_path: Path) -> None:
    model, _ = fitted(BOTH[0])
    container.write(model.native(), tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as source:
        members = {name: source.read(name) for name in source.namelist()}
    text = members["schema.json"].decode()
    loss = json.dumps("CyHalfBinomialLoss")
    assert loss in text
    changed = text.replace(loss, '"ndarray"').replace('"sklearn._loss._loss"', '"numpy"')
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as target:
        for name, content in (members | {"schema.json": changed.encode()}).items():
            target.writestr(name, content)
    assert container.foreign(tmp_path / "model.skops", families.get(BOTH[0]).reviewed_types) == ["LossNode"]
    with pytest.raises(UnsafeArtifact, match="nobody reviewed: LossNode"):
        families.get(BOTH[0]).load(tmp_path, NAMES)
