from __future__ import annotations

import io
import math
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from pipelines.errors import ConfigError, TrainingError, UnsafeArtifact
from pipelines.training import families
from pipelines.training.families import container
from pipelines.training.families.base import Preparing, fit_prepared, prepare, requirements
from pipelines.training.families.files import MODEL_FILES

NAMES = ("alpha", "beta", "gamma", "delta")
ROWS = 600


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((ROWS, len(NAMES)))
    labels = (features[:, 1] + 0.5 * rng.standard_normal(ROWS) > 0).astype(float)
    features[rng.random(features.shape) < 0.05] = math.nan
    return features, labels


def write(model: object, family: str, directory: Path) -> Path:
    """The file MLflow's flavour writes, without MLflow."""
    container.write(model.native(), directory / MODEL_FILES[families.get(family).flavor])  # type: ignore[attr-defined]
    return directory


def test_the_registry_knows_its_families() -> None:
    assert families.names() == ("logistic_regression", "random_forest", "hist_gradient_boosting",
                                "gradient_boosting", "xgboost", "lightgbm", "tfidf_linear", "regime_switching", "lstm",
                                "transformer",
                                "voting", "weighted", "stacking", "blending", "dynamic")
    with pytest.raises(ConfigError, match=r"unknown model family 'oracle'.*xgboost"):
        families.get("oracle")


@pytest.mark.parametrize("name", families.installed())
def test_it_learns_and_comes_back_from_its_file_with_the_same_predictions(
        name: str, data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    features, labels = data
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=3)
    predictions = model.predict(features)
    assert predictions.shape == (ROWS,)
    assert predictions.dtype == np.float64
    assert np.mean((predictions > 0.5) == (labels == 1)) > 0.8
    loaded = family.load(write(model, name, tmp_path), NAMES)
    assert np.array_equal(loaded.predict(features), predictions)
    assert loaded.fingerprint() == model.fingerprint()
    with pytest.raises(UnsafeArtifact, match="takes 4 features, 3 are declared"):
        family.load(tmp_path, NAMES[:3])


@pytest.mark.parametrize("name", families.installed())
def test_the_same_seed_gives_the_same_model_and_another_seed_another(
        name: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    family = families.get(name)
    first, again, other = (family.fit(features, labels, NAMES, family.defaults, seed) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint()
    assert first.predict(features).tobytes() == again.predict(features).tobytes()
    if name not in ("logistic_regression", "tfidf_linear", "regime_switching"):  # their optimum is unique
        assert first.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("name", families.installed())
def test_a_forecast_does_not_depend_on_the_rows_around_it(name: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=3)
    whole = model.predict(features)
    assert [model.predict(features[row:row + 1])[0] for row in range(20)] == whole[:20].tolist()


@pytest.mark.parametrize("name", families.installed())
def test_importance_and_contributions_point_at_the_planted_feature(
        name: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=3)
    assert model.importance().shape == (4,)
    assert (model.importance() >= 0).all()
    assert int(np.argmax(model.importance())) == 1
    shap = model.contributions(features[:100])
    assert shap.shape == (100, 4)
    assert int(np.argmax(np.abs(shap).mean(axis=0))) == 1
    # additivity: contributions differ between rows exactly as the output does
    p = model.predict(features[:100])
    output = p if family.contribution_unit == "probability" else np.log(p / (1 - p))
    assert np.allclose(shap.sum(axis=1) - shap.sum(axis=1)[0], output - output[0], atol=1e-4)


@pytest.mark.parametrize("name", ["logistic_regression", "random_forest", "xgboost", "lightgbm"])
def test_contributions_equal_those_of_shap(name: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    import shap

    features, labels = np.nan_to_num(data[0]), data[1]
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=3)
    if name == "logistic_regression":
        pipeline = model.native()
        scaled = pipeline["scale"].transform(features)
        # an independent masker with the whole background: its mean is the training mean
        peer = shap.LinearExplainer(pipeline["model"], shap.maskers.Independent(scaled, len(scaled))).shap_values(
            scaled[:50])
    else:
        peer = shap.TreeExplainer(model.native()).shap_values(features[:50])
        peer = peer[:, :, 1] if np.ndim(peer) == 3 else peer
    assert np.allclose(model.contributions(features[:50]), peer, atol=1e-4)


class Ask:
    """A trial that answers with one end of every range."""

    def __init__(self, end: str) -> None:
        self.end = end

    def suggest_float(self, name: str, low: float, high: float, **_: object) -> float:
        return low if self.end == "low" else high

    suggest_int = suggest_float

    def suggest_categorical(self, name: str, choices: list[str]) -> str:
        return choices[0 if self.end == "low" else -1]


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("name", families.installed())
def test_every_corner_of_the_space_can_be_fitted_and_the_defaults_lie_inside(
        name: str, end: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    family = families.get(name)
    low, high = family.space(Ask("low")), family.space(Ask("high"))
    assert set(low) == set(family.defaults)
    assert all(low[key] <= value <= high[key] for key, value in family.defaults.items())
    model = family.fit(*data, NAMES, {"low": low, "high": high}[end], seed=1)
    p = model.predict(data[0])
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("name", families.installed())
@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda x, y: (np.where(x == x[0, 0], math.inf, x), y), "infinite values in alpha"),
    (lambda x, y: (x, np.ones_like(y)), "both classes"),
    (lambda x, y: (x[:, :2], y), "do not match"),
    (lambda x, y: (x, np.where(np.arange(len(y)) == 0, 2.0, y)), "both classes")])
def test_a_matrix_that_cannot_be_learned_is_refused_in_our_words(
        name: str, spoil: object, reason: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = np.nan_to_num(data[0]), data[1]
    with pytest.raises(TrainingError, match=reason):
        families.get(name).fit(*spoil(features, labels), NAMES, families.get(name).defaults, seed=1)  # type: ignore[operator]


def test_a_foreign_type_is_refused_and_named(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(subprocess.getoutput), tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match=r"nobody reviewed: FunctionNode, .*subprocess\.getoutput"):
        families.get("logistic_regression").load(tmp_path, NAMES)


@pytest.mark.parametrize(("name", "reason"), [
    ("logistic_regression", "is a LogisticRegression, not"), ("random_forest", "reviewed: sklearn.linear_model")])
def test_another_estimator_is_refused_though_skops_trusts_its_types(name: str, reason: str, tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "model.skops")
    assert skops.io.get_untrusted_types(file=tmp_path / "model.skops") == []
    with pytest.raises(UnsafeArtifact, match=reason):
        families.get(name).load(tmp_path, NAMES)


def test_a_pipeline_of_other_steps_is_refused_though_its_types_are_known(
        data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    family = families.get("logistic_regression")
    native = family.fit(*data, NAMES, family.defaults, seed=1).native()
    steps = dict(native.steps)
    native.steps = [("impute", steps["scale"]), ("scale", steps["impute"]), ("model", steps["model"])]
    skops.io.dump(native, tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match="not the pipeline impute, scale, model"):
        family.load(tmp_path, NAMES)


@pytest.mark.parametrize("name", [name for name in families.installed() if families.get(name).flavor == "sklearn"])
def test_the_same_model_is_the_same_file(name: str, data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    family = families.get(name)
    one, other = (family.fit(*data, NAMES, family.defaults, seed=1) for _ in range(2))
    raw = [skops.io.dumps(model.native()) for model in (one, other)]
    assert raw[0] != raw[1]  # memory addresses, times, padding
    first, second = map(container.canonical, raw)
    assert first == second == container.canonical(first)
    container.write(other.native(), tmp_path / "model.skops")
    assert (tmp_path / "model.skops").read_bytes() == first
    back = family.load(tmp_path, NAMES)
    assert back.fingerprint() == one.fingerprint()
    np.testing.assert_array_equal(back.predict(data[0]), one.predict(data[0]))
    assert container.canonical(skops.io.dumps(back.native())) == first  # nothing was lost on the way


def test_the_padding_of_stored_records_is_empty(data: tuple[np.ndarray, np.ndarray]) -> None:
    family = families.get("random_forest")
    content = container.canonical(skops.io.dumps(family.fit(*data, NAMES, family.defaults, seed=1).native()))
    checked = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist()[:-1]:
            nodes = np.load(io.BytesIO(archive.read(name)))
            if nodes.dtype.names and len(nodes):
                used = sum(nodes.dtype[field].itemsize for field in nodes.dtype.names)
                assert used == 57
                assert not np.frombuffer(nodes.tobytes(), np.uint8).reshape(len(nodes), -1)[:, used:].any()
                checked += 1
    assert checked == family.defaults["n_estimators"]


@pytest.mark.parametrize(("name", "file"), [
    ("logistic_regression", "model.skops"), ("random_forest", "model.skops"), ("xgboost", "model.ubj"),
    ("lightgbm", "model.lgb"), ("tfidf_linear", "model.skops"), ("lstm", "model.safetensors"),
    ("transformer", "model.safetensors"), ("regime_switching", "model.json"),
    ("stacking", "ensemble.zip")])
def test_a_broken_or_missing_file_is_refused(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(UnsafeArtifact, match=rf"no {file} at .*model\.pkl"):
        families.get(name).load(tmp_path, NAMES)
    (tmp_path / file).write_bytes(b"\x00 not a model")
    with pytest.raises(UnsafeArtifact, match="is not a"):
        families.get(name).load(tmp_path, NAMES)


def test_a_zip_that_only_looks_like_skops_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", '{"__class__": "system", "__module__": "os", "__loader__": "ReduceNode"}')
    with pytest.raises(UnsafeArtifact):
        families.get("random_forest").load(tmp_path, NAMES)


@pytest.mark.parametrize(("field", "value"), [("left_child", 10_000), ("left_child", 0), ("right_child", -7),
                                              ("feature", 99)])
def test_a_tree_that_points_outside_is_refused(field: str, value: int, data: tuple[np.ndarray, np.ndarray],
                                               tmp_path: Path) -> None:
    """The types are all known, and a prediction would read foreign memory or never end."""
    family = families.get("random_forest")
    model = family.fit(*data, NAMES, family.defaults, seed=1)
    tree = model.native().estimators_[3].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes[field][0] = value
    tree.__setstate__({**state, "nodes": nodes})
    with pytest.raises(UnsafeArtifact, match="point outside"):
        family.load(write(model, "random_forest", tmp_path), NAMES)


def test_requirements_are_exact_pins() -> None:
    import lightgbm

    assert f"lightgbm=={lightgbm.__version__}" in requirements(families.get("lightgbm"))
    assert all("==" in pin for pin in requirements(families.get("random_forest")))


@pytest.fixture(scope="module")
def counts() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Word counts, one of which tells the label, and one number that tells a little."""
    rng = np.random.default_rng(0)
    words = rng.poisson(0.2, (400, 30)).astype(float)
    number = rng.standard_normal(400)
    labels = (words[:, 7] - words[:, 8] + 0.3 * number + 0.3 * rng.standard_normal(400) > 0).astype(float)
    return np.column_stack([number, words]), labels, ("lexicon_compound", *(f"word_{n:04d}" for n in range(30)))


def test_words_are_weighted_and_numbers_standardised_as_by_hand(
        counts: tuple[np.ndarray, np.ndarray, tuple[str, ...]], tmp_path: Path) -> None:
    """Against the formulas: (1 + ln tf) (1 + ln((1 + n) / (1 + df))), rows of length one; and scikit-learn's own."""
    features, labels, names = counts
    family = families.get("tfidf_linear")
    model = family.fit(features, labels, names, {"C": 2.0}, seed=1)
    words, rows = features[:, 1:], len(features)
    with np.errstate(divide="ignore"):
        weights = np.where(words > 0, 1 + np.log(words), 0.0)
    weights = weights * (1 + np.log((1 + rows) / (1 + (words > 0).sum(axis=0))))
    length = np.sqrt((weights**2).sum(axis=1, keepdims=True))
    weights = np.divide(weights, length, out=np.zeros_like(weights), where=length > 0)
    number = (features[:, :1] - features[:, :1].mean()) / features[:, :1].std()
    peer = LogisticRegression(C=2.0, max_iter=500).fit(np.hstack([weights, number]), labels)
    expected = peer.predict_proba(np.hstack([weights, number]))[:, 1]
    assert np.allclose(model.predict(features), expected, atol=1e-4)
    assert np.allclose(model.native().predict_proba(features)[:, 1], model.predict(features), rtol=1e-12)
    assert set(np.argsort(model.importance())[-2:]) == {8, 9}  # names: one number stands before the words
    shap = model.contributions(features)
    chances = model.predict(features)
    assert np.allclose(shap.sum(axis=1) - shap[0].sum(), np.log(chances / (1 - chances)) - np.log(
        chances[0] / (1 - chances[0])), atol=1e-9)
    assert (shap[:, 1:][words == 0] == 0).all()  # a word that is not there says nothing
    loaded = family.load(write(model, "tfidf_linear", tmp_path), names)
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.predict(features).tobytes() == chances.tobytes()


@pytest.mark.parametrize("spoil", [
    lambda native: native["columns"].transformers_.reverse() or native.steps.reverse(),
    lambda native: native["columns"].transformers_.__setitem__(0, ("words", native["model"], [1])),
    lambda native: native["columns"].transformers_.__setitem__(1, ("letters", native["model"], [1]))])
def test_a_pipeline_of_other_parts_is_refused(
        counts: tuple[np.ndarray, np.ndarray, tuple[str, ...]], spoil: Callable[..., object], tmp_path: Path) -> None:
    family = families.get("tfidf_linear")
    native = family.fit(*counts, {"C": 1.0}, seed=1).native()
    spoil(native)
    skops.io.dump(native, tmp_path / "model.skops")
    with pytest.raises(UnsafeArtifact, match=r"not the pipeline columns \(words, numbers\), model"):
        family.load(tmp_path, counts[2])


@pytest.mark.parametrize("name", [name for name in families.names() if isinstance(families.get(name), Preparing)])
def test_rows_prepared_once_give_the_same_models_as_rows_prepared_each_time(
        name: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    """In any order of parameters, however often: nothing of one fit stays in the prepared rows."""
    family = families.get(name)
    low, high = family.space(Ask("low")), family.space(Ask("high"))
    kept = prepare(family, *data, NAMES, 3)
    for params in (high, low, family.defaults, high, low):
        shared, alone = fit_prepared(family, kept, params, 3), family.fit(*data, NAMES, params, 3)
        assert shared.fingerprint() == alone.fingerprint()
        assert shared.predict(data[0]).tobytes() == alone.predict(data[0]).tobytes()
        assert shared.feature_names == NAMES
