"""Error analysis, fold importances and single predictions."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pipelines.training import explain, families, fit, slices

HOUR = timedelta(hours=1)


def evidence(hours: int = 24 * 21, seed: int = 3) -> pd.DataFrame:
    """Two symbols: of A the sign is known from 20 to 24 o'clock, of B never."""
    rng = np.random.default_rng(seed)
    opened = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC", unit="us")
    parts = []
    for symbol in "AB":
        y = rng.integers(0, 2, hours).astype(float)
        known = (symbol == "A") & ((opened + HOUR).hour >= 20)
        parts.append(pd.DataFrame({
            "symbol": symbol, "event_time": opened, "available_at": opened + HOUR, "label_end": opened + 2 * HOUR,
            "y": y, "forward_return": 0.01 * rng.standard_normal(hours), "fold": 0,
            "candidate": np.where(known, 0.15 + 0.7 * y, 0.5), "base_rate": 0.5}))
    return pd.concat(parts).sort_values(["event_time", "symbol"], ignore_index=True)


def test_each_kind_parts_the_rows() -> None:
    table = slices.errors(evidence(), HOUR)
    assert list(table.columns) == list(slices.COLUMNS)
    assert table["kind"].unique().tolist() == ["all", "symbol", "hour", "weekday", "regime"]
    assert (table.groupby("kind")["rows"].sum() == 2 * 24 * 21).all()
    assert table.loc[table["kind"] == "weekday", "slice"].tolist() == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def test_figures_are_scikit_learn_s() -> None:
    frame = evidence()
    row = slices.errors(frame, HOUR).set_index(["kind", "slice"]).loc[("symbol", "A")]
    own = frame[frame["symbol"] == "A"]
    assert row["log_loss"] == pytest.approx(log_loss(own["y"], own["candidate"]))
    assert row["gain"] == pytest.approx(np.log(2) - log_loss(own["y"], own["candidate"]))
    assert row["auc"] == pytest.approx(roc_auc_score(own["y"], own["candidate"]))


def test_it_sees_where_the_model_knows_something_and_nowhere_else() -> None:
    table = slices.errors(evidence(), HOUR).set_index(["kind", "slice"])
    seen = table.index[table["low"] > 0].tolist()
    assert {("symbol", "A"), ("hour", "20-24 UTC"), ("all", "all")} <= set(seen)
    assert ("symbol", "B") not in seen
    assert [name for kind, name in seen if kind == "hour"] == ["20-24 UTC"]


def test_without_returns_there_is_no_regime_and_with_few_times_no_interval() -> None:
    table = slices.errors(evidence(hours=10).assign(forward_return=np.nan), HOUR)
    assert "regime" not in set(table["kind"])
    assert table["low"].isna().all()
    assert table["gain"].notna().all()


class TestExplanations:
    rng = np.random.default_rng(0)
    names = ("strong", "weak", "nothing")
    features = rng.standard_normal((2000, 3))
    labels = (rng.random(2000) < 1 / (1 + np.exp(-2 * features[:, 0] - 0.4 * features[:, 1]))).astype(float)

    def model(self, rows: slice) -> explain.Fitted:
        family = families.get("logistic_regression")
        return family.fit(self.features[rows], self.labels[rows], self.names, family.defaults, 1)

    def test_folds_that_agree_and_folds_that_do_not(self) -> None:
        shares = explain.by_fold([self.model(slice(0, 1000)), self.model(slice(1000, 2000))])
        assert shares.shape == (3, 2)
        np.testing.assert_allclose(shares.sum(), 1.0)
        assert (shares.idxmax() == "strong").all()
        assert explain.agreement(shares) == 1.0
        assert explain.agreement(shares.assign(**{"9": shares[0].to_numpy()[::-1]})) < 0
        assert np.isnan(explain.agreement(shares[[0]]))

    def test_the_latest_and_the_surest(self) -> None:
        frame = pd.DataFrame({"symbol": "A", "y": self.labels, "event_time": pd.date_range(
            "2024-01-01", periods=2000, freq="h", tz="UTC")})
        model = self.model(slice(0, 1000))
        told = {one.why: one for one in explain.forces(model, frame[1000:], self.features[1000:])}
        assert told["the latest"].at == frame["event_time"].iloc[-1]
        chances = model.predict(self.features[1000:])
        right = (chances > 0.5) == (self.labels[1000:] == 1)
        assert abs(told["surest and right"].probability - 0.5) == np.abs(chances - 0.5)[right].max()
        assert abs(told["surest and wrong"].probability - 0.5) == np.abs(chances - 0.5)[~right].max()
        one = told["surest and right"]
        assert np.argmax(np.abs(one.contributions)) == 0
        assert np.sign(one.contributions[0]) == np.sign(one.probability - 0.5)

    def test_of_no_rows_there_is_nothing_to_tell(self) -> None:
        empty = pd.DataFrame({"symbol": [], "event_time": [], "y": []})
        assert explain.forces(self.model(slice(0, 1000)), empty, self.features[:0]) == ()


def test_a_fold_keeps_its_model() -> None:
    from pipelines.validation.splits import plan
    from tests.unit.training.conftest import make_frame, make_line

    line, frame = make_line(), make_frame()
    data, folds, kept = fit.matrix(frame), plan(line, frame), []
    found = fit.out_of_sample(data, folds.evidence, "logistic_regression", {"C": 0.1}, 1, keep=kept)
    assert len(kept) == len(folds.evidence)
    last = folds.evidence[-1].test
    own = found[found["fold"] == folds.evidence[-1].number]["candidate"].sort_values()
    np.testing.assert_array_equal(own, np.sort(kept[-1].predict(data.features[last])))
