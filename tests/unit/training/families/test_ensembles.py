"""Ensembles: weights against other solvers, forecasts ahead that see nothing behind, files that are looked through."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from pipelines.errors import TrainingError, UnsafeArtifact
from pipelines.training import families
from pipelines.training.families.dynamic import lately
from pipelines.training.families.ensemble import FILE, GAP, MEMBERS, PARTS, Pool, Rows, log_odds
from pipelines.training.families.stacking import meta
from pipelines.training.families.weighted import best_weights
from tests.unit.training.families.planted import NAMES, rows

ENSEMBLES = ("voting", "weighted", "stacking", "blending", "dynamic")
FEATURES, LABELS, _ = rows(1.0, count=1500)


def fitted(name: str, members: str = "linear+boosting", **params: float) -> families.base.Fitted:  # type: ignore[name-defined]
    family = families.get(name)
    return family.fit(FEATURES, LABELS, NAMES, {**family.defaults, "members": members, **params}, seed=1)


def opinions(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of three members, a good one, a poor one and one that says nothing; and what happened."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(count)
    labels = (rng.random(count) < expit(truth)).astype(float)
    said = [truth + noise * rng.standard_normal(count) for noise in (0.3, 2.0)]
    return np.stack([*said, 0.5 * rng.standard_normal(count)], axis=1), labels


class TestWeights:
    odds, labels = opinions()

    def test_on_the_simplex_no_grid_point_is_better(self) -> None:
        chances = expit(self.odds)
        weights = best_weights(chances, self.labels, shrink=1e-9)
        assert weights.sum() == pytest.approx(1.0)
        assert (weights >= 0).all()
        steps = np.linspace(0, 1, 21)
        grid = [log_loss(self.labels, chances @ (one, other, 1 - one - other))
                for one, other in itertools.product(steps, steps) if one + other <= 1 + 1e-12]
        assert log_loss(self.labels, chances @ weights) <= min(grid) + 1e-7

    def test_a_strong_penalty_gives_equal_weights(self) -> None:
        np.testing.assert_allclose(best_weights(expit(self.odds), self.labels, shrink=1e6), 1 / 3, atol=1e-4)

    def test_stacking_is_logistic_regression_where_no_weight_is_held_at_zero(self) -> None:
        pool = meta(self.odds, self.labels, penalty=1e-9)
        peer = LogisticRegression(C=np.inf, tol=1e-10).fit(self.odds, self.labels)
        assert (peer.coef_[0] > 0).all()
        np.testing.assert_allclose(pool.weights, peer.coef_[0], atol=2e-4)
        assert pool.intercept == pytest.approx(peer.intercept_[0], abs=2e-4)

    def test_a_member_that_is_wrong_has_no_vote(self) -> None:
        assert meta(np.column_stack([self.odds[:, 0], -self.odds[:, 1]]), self.labels, 1e-6).weights[1] == 0

    def test_who_was_good_lately_weighs_most(self) -> None:
        """The first member knows the first half, the second the second."""
        half = len(self.labels) // 2
        good, nothing = self.odds[:, 0], np.zeros(len(self.labels))
        odds = np.stack([np.r_[good[:half], nothing[half:]], np.r_[nothing[:half], good[half:]]], axis=1)
        weights = lately(odds, self.labels, half_life=0.1, rate=50.0)
        assert weights.sum() == pytest.approx(1.0)
        assert weights[1] > 0.95
        losses = [log_loss(self.labels, expit(column)) for column in odds.T]
        expected = np.exp(-50 * np.array(losses))
        np.testing.assert_allclose(lately(odds, self.labels, half_life=1e9, rate=50.0), expected / expected.sum())


def test_weights_are_learned_from_rows_that_no_member_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[slice] = []
    original = Rows.fit
    monkeypatch.setattr(Rows, "fit", lambda self, part=slice(None): (seen.append(part), original(self, part))[1])
    given = Rows(FEATURES, LABELS, NAMES, MEMBERS["linear+boosting"], 1)
    odds, labels = given.ahead()
    size = len(LABELS) // PARTS
    assert [part.stop for part in seen] == [begin * size - int(GAP * len(LABELS)) for begin in range(1, PARTS)]
    np.testing.assert_array_equal(labels, LABELS[size:])
    # The forecasts of the second part are those of members that know the first part less the gap.
    first = original(given, slice(0, size - int(GAP * len(LABELS))))
    np.testing.assert_array_equal(odds[:size], log_odds(first, FEATURES[size:2 * size]))


@pytest.mark.parametrize("name", ENSEMBLES)
def test_labels_of_noise_give_members_that_know_nothing_no_say(name: str) -> None:
    """Members overfit what they have learned; weights learned from the same rows would trust them for it."""
    features, labels, _ = rows(0.0, count=1500, seed=4)
    family = families.get(name)
    model = family.fit(features, labels, NAMES, family.defaults, seed=1)
    assert model.predict(rows(0.0, count=500, seed=5)[0]).std() < 0.1


@pytest.mark.parametrize("name", ENSEMBLES)
def test_contributions_add_up_to_the_distance_from_the_members_bases(name: str) -> None:
    model = fitted(name, "linear+forest+boosting")
    some = FEATURES[:20]
    pool, members = model.native().pool, model.native().members
    chances = [member.predict(some) for member in members]
    bases = []
    for member, said in zip(members, chances, strict=True):
        moved = member.contributions(some).sum(axis=1)
        bases.append(said - moved if member.family == "random_forest" else expit(logit(said) - moved))
    unit = (lambda p: p) if pool.of_chances else logit
    expected = sum(weight * (unit(said) - unit(base)) for weight, said, base in zip(pool.weights, chances, bases,
                                                                                   strict=True))
    np.testing.assert_allclose(model.contributions(some).sum(axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_one_row_scores_as_it_does_among_others(name: str) -> None:
    model = fitted(name)
    together = model.predict(FEATURES[:50])
    assert [model.predict(FEATURES[row:row + 1])[0] for row in range(50)] == together.tolist()


class TestFile:
    @staticmethod
    def stored(directory: Path, model: families.base.Fitted | None = None) -> Path:  # type: ignore[name-defined]
        (model or fitted("stacking")).native().save_model(str(directory / FILE))
        return directory

    @pytest.mark.parametrize("name", ENSEMBLES)
    def test_the_same_model_is_the_same_bytes_and_comes_back(self, name: str, tmp_path: Path) -> None:
        model = fitted(name)
        first = (self.stored(tmp_path, model) / FILE).read_bytes()
        assert (self.stored(tmp_path, fitted(name)) / FILE).read_bytes() == first
        again = families.get(name).load(tmp_path, NAMES)
        assert again.fingerprint() == model.fingerprint()
        np.testing.assert_array_equal(again.predict(FEATURES), model.predict(FEATURES))

    @staticmethod
    def changed(path: Path, **members: bytes | None) -> None:
        source = zipfile.ZipFile(io.BytesIO((path / FILE).read_bytes()))
        content: dict[str, bytes | None] = {name: source.read(name) for name in source.namelist()} | members
        with zipfile.ZipFile(path / FILE, "w") as target:
            for name, data in content.items():
                if data is not None:
                    target.writestr(name, data)

    def card(self, path: Path, **values: object) -> bytes:
        return json.dumps(json.loads(zipfile.ZipFile(path / FILE).read("ensemble.json")) | values).encode()

    def test_what_does_not_belong_there_is_refused(self, tmp_path: Path) -> None:
        family = families.get("stacking")
        for values, told in (({"family": "voting"}, "is a voting of"),
                             ({"members": ["logistic_regression", "oracle"]}, "of logistic_regression, oracle"),
                             ({"weights": [1.0]}, "weighs 2 members"), ({"weights": [1.0, float("nan")]}, "weighs"),
                             ({"weights": "many"}, "does not say what it is")):
            self.changed(self.stored(tmp_path), **{"ensemble.json": self.card(tmp_path, **values)})
            with pytest.raises(UnsafeArtifact, match=told):
                family.load(tmp_path, NAMES)
        for members, told in (({"2/model.skops": b""}, "is not a zip of"), ({"1/model.lgb": None}, "is not a zip of"),
                              ({"0/model.skops": b"no skops"}, "skops"), ({"ensemble.json": b"{"}, "does not say")):
            self.changed(self.stored(tmp_path), **members)  # type: ignore[arg-type]
            with pytest.raises(UnsafeArtifact, match=told):
                family.load(tmp_path, NAMES)
        (tmp_path / FILE).write_bytes(b"no zip")
        with pytest.raises(UnsafeArtifact, match="not a zip that was written here"):
            family.load(tmp_path, NAMES)

    def test_more_features_than_declared_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnsafeArtifact):
            families.get("stacking").load(self.stored(tmp_path), NAMES[:-1])


@pytest.mark.parametrize("name", ["weighted", "stacking", "dynamic", "blending"])
def test_too_few_rows_say_so(name: str) -> None:
    family = families.get(name)
    with pytest.raises(TrainingError, match=r"80 rows are too few.*train_days"):
        family.fit(FEATURES[:80], LABELS[:80], NAMES, family.defaults, seed=1)


def test_a_pool_of_chances_is_their_mean() -> None:
    odds = logit(np.array([[0.2, 0.6], [0.9, 0.5]]))
    np.testing.assert_allclose(Pool(np.array([0.5, 0.5]), of_chances=True).chances(odds), [0.4, 0.7])
    np.testing.assert_allclose(Pool(np.array([1.0, 0.0]), 0.0).chances(odds), [0.2, 0.9])
