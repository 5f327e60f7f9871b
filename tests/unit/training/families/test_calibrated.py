from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, roc_auc_score

from pipelines.errors import ConfigError, TrainingError, UnsafeArtifact
from pipelines.training import families
from pipelines.training.families import bundle, calibrated, calibrators, container
from tests.unit.training.families.planted import NAMES, auc_interval, rows

SOME = ("lightgbm+platt", "random_forest+isotonic", "logistic_regression+beta", "regime_switching+platt",
        "xgboost+beta", "lstm+isotonic")


def told(count: int = 4000, seed: int = 0, slope: float = 0.4, offset: float = -0.5) -> tuple[np.ndarray, ...]:
    """(what an overconfident model says, labels, the true chances)."""
    rng = np.random.default_rng(seed)
    score = 2.0 * rng.standard_normal(count)
    truth = expit(slope * score + offset)
    return expit(score), (rng.random(count) < truth).astype(float), truth


@pytest.mark.parametrize("method", calibrators.METHODS)
def test_an_overconfident_model_is_brought_down_to_the_true_chances(method: str) -> None:
    said, labels, _ = told()
    later, outcome, truth = told(seed=1)
    map_ = calibrators.learn(method, said, labels)
    calm = expit(map_.log_odds(later))
    assert np.abs(calm - truth).mean() < (0.04 if method == "isotonic" else 0.02)
    assert np.abs(later - truth).mean() > 0.15
    assert log_loss(outcome, calm) < log_loss(outcome, truth) + (0.02 if method == "isotonic" else 0.005)
    order = np.argsort(later)
    assert (np.diff(calm[order]) >= -1e-12).all()
    assert ((calm > 0) & (calm < 1)).all()


def test_platt_is_the_likelihood_of_his_targets() -> None:
    said, labels, _ = told(200)
    ones, zeros = labels.sum(), len(labels) - labels.sum()
    targets = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * logit(said) + ab[1]
        return float(-(targets * log_expit(z) + (1 - targets) * log_expit(-z)).sum())

    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(calibrators.learn("platt", said, labels).numbers, best, rtol=1e-3)


def test_beta_is_kulls_map_and_isotonic_is_scikit_learns() -> None:
    said, labels, _ = told(500)
    map_ = calibrators.learn("beta", said, labels)
    a, b, c = map_.numbers
    odds = np.exp(c) * said**a / (1 - said)**b
    np.testing.assert_allclose(expit(map_.log_odds(said)), odds / (1 + odds), rtol=1e-9)

    def loss(abc: np.ndarray) -> float:
        z = abc[0] * np.log(said) - abc[1] * np.log1p(-said) + abc[2]
        return float(-log_expit(np.where(labels == 1, z, -z)).sum())

    best = minimize(loss, np.ones(3), method="BFGS", options={"gtol": 1e-8})
    assert loss(map_.numbers) == pytest.approx(best.fun, abs=0.01)
    ones, zeros = labels.sum(), len(labels) - labels.sum()
    peer = IsotonicRegression(y_min=1 / (zeros + 2), y_max=(ones + 1) / (ones + 2), out_of_bounds="clip")
    peer.fit(said, labels)
    later = told(seed=3)[0]
    np.testing.assert_allclose(expit(calibrators.learn("isotonic", said, labels).log_odds(later)), peer.predict(later),
                               rtol=1e-9)


@pytest.mark.parametrize("method", calibrators.METHODS)
def test_a_model_that_has_it_backwards_is_silenced_and_not_turned_round(method: str) -> None:
    said, labels, _ = told(slope=-0.5)
    calm = expit(calibrators.learn(method, said, labels).log_odds(np.array([0.05, 0.5, 0.95])))
    assert (np.diff(calm) >= 0).all()
    assert np.abs(calm - labels.mean()).max() < 0.1 if method != "isotonic" else np.abs(calm[1] - labels.mean()) < 0.1


@pytest.mark.parametrize("method", calibrators.METHODS)
def test_classes_that_fall_apart_stay_finite(method: str) -> None:
    map_ = calibrators.learn(method, np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0]), np.array([0, 0, 0, 1, 1, 1.0]))
    assert np.isfinite(map_.log_odds(np.array([0.0, 0.5, 1.0]))).all()


@pytest.mark.parametrize("name", SOME)
def test_any_family_can_be_calibrated(name: str, tmp_path: Path) -> None:
    features, labels, _ = rows(1.5, 6000)
    unseen, outcome, _ = rows(1.5, 1000, seed=1)
    family = families.get(name)
    inner = families.get(name.split("+")[0])
    assert (family.name, family.defaults) == (name, inner.defaults)
    model = family.fit(features, labels, NAMES, family.defaults, seed=1)
    chances = model.predict(unseen)
    low, high = auc_interval(outcome, chances)
    plain = inner.fit(features, labels, NAMES, inner.defaults, seed=1).predict(unseen)
    assert low < roc_auc_score(outcome, plain) < high
    assert log_loss(outcome, chances) < log_loss(outcome, plain) + 0.01
    assert [model.predict(unseen[row:row + 1])[0] for row in range(20)] == chances[:20].tolist()
    # in calibrated log-odds, exactly
    shap = model.contributions(unseen[:50])
    offset = logit(chances[:50]) - shap.sum(axis=1)
    np.testing.assert_allclose(offset, offset[0], atol=2e-4)
    assert int(np.argmax(model.importance())) == 1

    again = family.fit(features, labels, NAMES, family.defaults, seed=1)
    assert again.fingerprint() == model.fingerprint()
    for number, one in enumerate((model, again)):
        (tmp_path / str(number)).mkdir()
        container.write(one.native(), tmp_path / str(number) / calibrated.FILE)
    assert (tmp_path / "0" / calibrated.FILE).read_bytes() == (tmp_path / "1" / calibrated.FILE).read_bytes()
    back = family.load(tmp_path / "0", NAMES)
    assert back.predict(unseen).tobytes() == chances.tobytes()
    assert back.fingerprint() == model.fingerprint()
    with pytest.raises(UnsafeArtifact, match="takes 8 features, 7 are declared"):
        family.load(tmp_path / "0", NAMES[:7])


def test_the_map_is_learned_from_the_latest_rows_and_the_gap_from_nowhere() -> None:
    features, labels, _ = rows(1.5, 1000)
    family = families.get("logistic_regression+platt")
    model = family.fit(features, labels, NAMES, family.defaults, 1)
    inner = families.get("logistic_regression")
    early = inner.fit(features[:750], labels[:750], NAMES, inner.defaults, 1)
    expected = calibrators.learn("platt", early.predict(features[800:]), labels[800:])
    assert model._calibrator.numbers.tolist() == expected.numbers.tolist()  # type: ignore[attr-defined]
    whole = inner.fit(features, labels, NAMES, inner.defaults, 1)
    assert model._inner.fingerprint() == whole.fingerprint()  # type: ignore[attr-defined]


def test_parts_of_one_class_and_unknown_methods_are_refused() -> None:
    features, labels, _ = rows(1.5, 200)
    labels[160:] = 1.0
    with pytest.raises(TrainingError, match="calibrates on the last 40; one part has labels of one class"):
        families.get("lightgbm+platt").fit(features, labels, NAMES, families.get("lightgbm").defaults, 1)
    for name, reason in (("lightgbm+magic", "unknown calibration 'magic' of lightgbm .* platt, isotonic, beta"),
                         ("lightgbm+platt+beta", r"unknown calibration 'platt\+beta'"),
                         ("oracle+platt", "unknown model family 'oracle'")):
        with pytest.raises(ConfigError, match=reason):
            families.get(name)


def repack(file: Path, change: object) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)  # type: ignore[operator]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def say(**changes: object) -> object:
    return lambda members: members.update({calibrated.MAP: json.dumps(
        json.loads(members[calibrated.MAP]) | changes).encode()})


@pytest.mark.parametrize(("change", "reason"), [
    (lambda members: members.update({"../../canary": b"x"}), "is not a zip of calibration.json and model.lgb"),
    (lambda members: members.pop(calibrated.MAP), "is not a zip of calibration.json and model.lgb"),
    (lambda members: members.update({"model.lgb": b"\x00 not a model"}), "is not a LightGBM text model"),
    (lambda members: members.update({"model.pkl": members.pop("model.lgb")}), "is not a zip of"),
    (lambda members: members.update({calibrated.MAP: b"{"}), "not a readable JSON model"),
    (say(numbers=[-1.0, 0.0]), "no platt calibration"), (say(numbers=[1.0]), "no platt calibration"),
    (say(at=[0.5], value=[0.5]), "no platt calibration"), (say(family="lightgbm+beta"), r"is a lightgbm\+beta, not"),
    (say(method="beta"), "something else about itself")])
def test_a_file_that_was_tampered_with_is_refused(change: object, reason: str, tmp_path: Path) -> None:
    family = families.get("lightgbm+platt")
    model = family.fit(*rows(1.0, 400)[:2], NAMES, family.defaults, 1)
    container.write(model.native(), tmp_path / calibrated.FILE)
    repack(tmp_path / calibrated.FILE, change)
    with pytest.raises(UnsafeArtifact, match=reason):
        family.load(tmp_path, NAMES)


def test_a_packed_or_broken_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = families.get("lightgbm+platt")
    model = family.fit(*rows(1.0, 400)[:2], NAMES, family.defaults, 1)
    file = tmp_path / calibrated.FILE
    container.write(model.native(), file)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:  # a bomb would be packed like this
        for name, content in members.items():
            archive.writestr(name, content)
    for content in (file.read_bytes(), b"not a zip", whole[:200], whole.replace(b"tree", b"eert", 1)):
        file.write_bytes(content)
        with pytest.raises(UnsafeArtifact, match="is not a zip "):
            family.load(tmp_path, NAMES)
    file.write_bytes(whole)
    monkeypatch.setattr(bundle, "_MOST_BYTES", 100)
    with pytest.raises(UnsafeArtifact, match="at most 100"):
        family.load(tmp_path, NAMES)


@pytest.mark.parametrize(("method", "numbers", "at", "value", "sound"), [
    ("isotonic", [], [0.1, 0.5], [0.2, 0.3], True), ("isotonic", [], [], [], False),
    ("isotonic", [], [0.5, 0.1], [0.2, 0.3], False), ("isotonic", [], [0.1, 0.5], [0.3, 0.2], False),
    ("isotonic", [], [0.1, 0.5], [0.0, 0.3], False), ("isotonic", [], [0.1], [0.2, 0.3], False),
    ("isotonic", [1.0], [0.1], [0.2], False), ("beta", [1.0, 0.0, -2.0], [], [], True),
    ("beta", [1.0, -0.1, 0.0], [], [], False), ("beta", [1.0, 0.0], [], [], False)])
def test_only_what_a_method_learns_is_its_map(method: str, numbers: list[float], at: list[float], value: list[float],
                                              sound: bool) -> None:
    map_ = calibrators.Calibrator(method, *(np.array(part, dtype=float) for part in (numbers, at, value)))
    assert calibrated._sound(map_) is sound
