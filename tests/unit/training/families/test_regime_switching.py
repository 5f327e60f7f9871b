from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from sklearn.metrics import roc_auc_score

from pipelines.errors import UnsafeArtifact
from pipelines.training import families
from pipelines.training.families import container, document
from pipelines.training.families.regime_switching import REGIMES

FAMILY = families.get("regime_switching")
LINEAR = families.get("logistic_regression")
NAMES = ("edge", "noise", *REGIMES)


def rows(count: int = 3000, seed: int = 0, shares: tuple[float, ...] = (0.5, 0.4, 0.1)) -> tuple[np.ndarray, ...]:
    """The edge points one way where the market trends and the other way where it ranges; (features, labels, regime)."""
    rng = np.random.default_rng(seed)
    regime = rng.choice(3, count, p=shares)
    x = rng.standard_normal((count, 2))
    labels = (rng.random(count) < expit(np.array([1.5, -1.5, 0.0])[regime] * x[:, 0])).astype(float)
    return np.column_stack([x, np.eye(3)[regime]]), labels, regime


def test_each_regime_has_its_own_way() -> None:
    (features, labels, _), (unseen, outcome, _) = rows(), rows(seed=1)
    pooled = LINEAR.fit(features, labels, NAMES, {"C": 1.0}, 1).predict(unseen)
    model = FAMILY.fit(features, labels, NAMES, {"C": 1.0, "own": 1.0, "parts": 3}, 1)
    assert roc_auc_score(outcome, pooled) < 0.62
    assert roc_auc_score(outcome, model.predict(unseen)) > 0.75
    # So little of its own that all regimes answer alike: the pooled regression.
    alike = FAMILY.fit(features, labels, NAMES, {"C": 1.0, "own": 1e-9, "parts": 3}, 1)
    np.testing.assert_allclose(alike.predict(unseen), pooled, atol=1e-4)


def test_it_is_the_penalised_likelihood() -> None:
    """Against a general minimiser of: log loss + |shared|² / 2C + |own|² / (2C · own), regimes' intercepts included."""
    features, labels, regime = rows(400)
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    width, penalty, own = x.shape[1], 0.5, 0.2

    def split(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return theta[0], theta[1:width + 1], theta[width + 1:].reshape(3, width + 1)

    def objective(theta: np.ndarray) -> float:
        start, shared, theirs = split(theta)
        score = start + x @ shared + (x * theirs[regime, :width]).sum(axis=1) + theirs[regime, width]
        fit = -log_expit(np.where(labels == 1, score, -score)).sum()
        return float(fit + (shared @ shared) / (2 * penalty) + (theirs**2).sum() / (2 * penalty * own))

    best = minimize(objective, np.zeros(1 + width + 3 * (width + 1)), method="L-BFGS-B",
                    options={"maxiter": 5000, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-8}).x
    start, shared, theirs = split(best)
    score = start + x @ shared + (x * theirs[regime, :width]).sum(axis=1) + theirs[regime, width]
    model = FAMILY.fit(features, labels, NAMES, {"C": penalty, "own": own, "parts": 3}, 1)
    np.testing.assert_allclose(model.predict(features), expit(score), atol=2e-3)
    nowhere = features.copy()
    nowhere[:, 2:] = 0.0  # no regime: the shared weights alone
    at = (nowhere - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_allclose(model.predict(nowhere), expit(start + at @ shared), atol=2e-3)


def test_a_thin_regime_does_no_harm() -> None:
    """Fifteen rows whose labels happen to say the opposite: alone they would turn the sign, here they answer about as
    all others do."""
    rng = np.random.default_rng(5)
    features = np.column_stack([rng.standard_normal((3000, 2)), np.tile(np.eye(3)[0], (3000, 1))])
    labels = (rng.random(3000) < expit(1.0 * features[:, 0])).astype(float)
    features[-15:, 2:] = np.eye(3)[2]
    labels[-15:] = features[-15:, 0] < 0
    model = FAMILY.fit(features, labels, NAMES, FAMILY.defaults, 1)
    alone = LINEAR.fit(features[-15:], labels[-15:], NAMES, {"C": 1.0}, 1)
    asked = np.array([[1.5, 0.0, 0.0, 0.0, 1.0]])
    assert alone.predict(asked)[0] < 0.4
    usual = model.predict(np.array([[1.5, 0.0, 1.0, 0.0, 0.0]]))[0]
    assert usual > 0.65
    assert abs(model.predict(asked)[0] - usual) < 0.12


def test_without_the_group_volatility_is_cut_into_equal_parts() -> None:
    rng = np.random.default_rng(0)
    calm = np.exp(rng.standard_normal(3000))
    x = rng.standard_normal(3000)
    labels = (rng.random(3000) < expit(np.where(calm > np.quantile(calm, 2 / 3), 2.0, -0.2) * x)).astype(float)
    features = np.column_stack([x, calm])
    features[::50, 1] = math.nan
    names = ("edge", "realised_volatility_24h")
    model = FAMILY.fit(features, labels, names, {"C": 1.0, "own": 1.0, "parts": 3}, 1)
    there = features[~np.isnan(calm * features[:, 1]), 1]
    regime = model.regimes(features)  # type: ignore[attr-defined]
    assert np.bincount(regime).tolist() == [980, 980, 980, 60]  # the last: unknown
    assert np.array_equal(regime[~np.isnan(features[:, 1])],
                          np.searchsorted(np.quantile(there, [1 / 3, 2 / 3]), there, side="right"))
    assert roc_auc_score(labels[regime == 2], model.predict(features[regime == 2])) > 0.8
    # The edges are the training rows': what comes later moves none of them.
    assert model.regimes(np.array([[0.0, 1e9]])).tolist() == [2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", [NAMES, ("edge", "noise", "atr_14h", "x", "y"), ("a", "b", "c", "d", "e")])
def test_contributions_add_up_in_every_regime(names: tuple[str, ...]) -> None:
    features, labels, _ = rows()
    features[::70, 2:] = math.nan
    model = FAMILY.fit(features, labels, names, {"C": 1.0, "own": 0.5, "parts": 3}, 1)
    offset = logit(model.predict(features)) - model.contributions(features).sum(axis=1)
    np.testing.assert_allclose(offset, offset[0], atol=1e-9)
    if names == NAMES:
        assert np.argmax(model.importance()) == 0


@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda said: said.update(weights=said["weights"][:-1]), "do not belong together"),
    (lambda said: said.update(columns=[2.0, 3.0, 99.0]), "do not belong together"),
    (lambda said: said.update(columns=[2.0, 3.0, 3.5]), "do not belong together"),
    (lambda said: said.update(columns=[2.0, 3.0, -1.0]), "do not belong together"),
    (lambda said: said.update(scale=[0.0] * 5), "do not belong together"),
    (lambda said: said.update(columns=[2.0], edges=[2.0, 1.0]), "do not belong together"),
    (lambda said: said.update(mean=[math.nan] * 5), "not a readable JSON model .*NaN is no number"),
    (lambda said: said.update(mean=[10**400] * 5), "not a readable JSON model"),
    (lambda said: said.update(mean=[[1.0]] * 5), "not a readable JSON model"),
    (lambda said: said.update(mean={"a": 1}), "not a readable JSON model"),
    (lambda said: said.pop("edges"), "not a readable JSON model"),
    (lambda said: said.update(more=[1.0]), "something else about itself"),
    (lambda said: said.update(names=["noise", "edge", *REGIMES]), "something else about itself"),
    (lambda said: said.update(names=["edge"]), "takes 1 features, 5 are declared"),
    (lambda said: said.update(family="lstm"), "is a lstm, not a regime_switching")])
def test_a_file_that_was_tampered_with_is_refused(spoil: object, reason: str, tmp_path: Path) -> None:
    model = FAMILY.fit(*rows(300)[:2], NAMES, FAMILY.defaults, 1)
    container.write(model.native(), tmp_path / document.FILE)
    said = json.loads((tmp_path / document.FILE).read_text())
    spoil(said)  # type: ignore[operator]
    (tmp_path / document.FILE).write_text(json.dumps(said))
    with pytest.raises(UnsafeArtifact, match=reason):
        FAMILY.load(tmp_path, NAMES)


def test_a_file_that_is_too_large_or_too_deep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / document.FILE).write_text("[" * 200_000)
    with pytest.raises(UnsafeArtifact, match="not a readable JSON model"):
        FAMILY.load(tmp_path, NAMES)
    monkeypatch.setattr(document, "_MOST_BYTES", 1000)
    with pytest.raises(UnsafeArtifact, match="at most 1000"):
        FAMILY.load(tmp_path, NAMES)


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    one, other = (FAMILY.fit(*rows()[:2], NAMES, FAMILY.defaults, 1) for _ in range(2))
    container.write(one.native(), tmp_path / document.FILE)
    back = FAMILY.load(tmp_path, NAMES)
    assert back.native().text() == one.native().text() == other.native().text()
    features = rows(seed=2)[0]
    assert back.predict(features).tobytes() == one.predict(features).tobytes()
