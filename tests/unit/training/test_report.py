from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.line import Line
from pipelines.features import catalog
from pipelines.training import card, explain, families, fit, leaderboard, lineage, measure, report
from pipelines.training.families.base import Fitted
from pipelines.training.measure import Measure, book
from pipelines.training.search import TrialRecord
from pipelines.validation import backtest, metrics
from pipelines.validation.splits import plan
from tests.unit.training.conftest import START, make_frame, make_line

FAMILY = "logistic_regression"
PARAMS = {"C": 0.1}
TRIALS = [
    TrialRecord(0, "complete", 0.69, FAMILY, PARAMS, (0.68, 0.70), 1.0),
    TrialRecord(1, "pruned", None, "lightgbm", {"rounds": 30}, (0.75,), 0.5),
    TrialRecord(2, "failed", None, None, {}, (), None)]


class Done:
    """Predictions of a small training."""

    def __init__(self, line: Line, frame: pd.DataFrame) -> None:
        self.line, self.data, self.plan = line, fit.matrix(frame), plan(line, frame)
        models: list[Fitted] = []
        self.searched = fit.out_of_sample(self.data, self.plan.search, FAMILY, PARAMS, seed=1, keep=models)
        self.evidence = fit.out_of_sample(self.data, self.plan.evidence, FAMILY, PARAMS, seed=1, keep=models)
        self.shares, rows = explain.by_fold(models), self.plan.evidence[-1].test
        self.forces = explain.forces(models[-1], frame.iloc[rows], self.data.features[rows])
        self.board = leaderboard.families(self.searched.assign(trial_0=self.searched["candidate"]), TRIALS, "t", 1)
        model, rows = fit.final(self.data, line, FAMILY, PARAMS, seed=1)
        self.explanation = explain.explain(model, families.get(FAMILY), self.data.features[rows])
        self.measures = measure.measure(line, self.searched, self.evidence)

    def write(self, directory: Path, **changes: object) -> set[str]:
        report.write(directory, **({
            "line": self.line, "searched": self.searched, "evidence": self.evidence,
            "evidence_start": self.plan.evidence_start, "explanation": self.explanation, "trials": TRIALS,
            "parameter_shares": {"family": 0.7, "lightgbm.rounds": 0.3}, "measures": self.measures,
            "card": "# card", "fold_importance": self.shares, "forces": self.forces,
            "families": self.board} | changes))  # type: ignore[arg-type]
        return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def done() -> Done:
    return Done(make_line(), make_frame())


def test_measures_have_documented_names_and_equal_their_definitions(done: Done) -> None:
    found = {(item.name, item.step): item.value for item in done.measures}
    pooled = metrics.classification(done.evidence["y"], done.evidence["candidate"])
    assert {name: found[f"evidence.{name}", 0] for name in metrics.NAMES} == pooled
    first = done.searched[done.searched["fold"] == 0]
    assert found["fold.auc", 0] == metrics.classification(first["y"], first["candidate"])["auc"]
    last = done.evidence[done.evidence["fold"] == 3]
    assert found["fold.brier", 6] == metrics.classification(last["y"], last["candidate"])["brier"]
    net = backtest.summary(measure.book(done.line, done.evidence))
    assert {name.removeprefix("net."): value for (name, _), value in found.items() if name.startswith("net.")} == net
    heads = {name.split(".")[0] for name, _ in found}
    assert heads == {"oos", "evidence", "fold", "net"}
    assert all(f"{head}." in (measure.__doc__ or "") for head in heads | {"search", "data"})


def test_an_undefined_measure_is_left_out(done: Done) -> None:
    certain = done.evidence.assign(y=1.0)
    names = {item.name for item in measure.measure(done.line, done.searched, certain)}
    assert "evidence.auc" not in names
    assert "evidence.log_loss" in names


def test_search_figures_count_what_happened() -> None:
    assert measure.search_figures(TRIALS) == [
        Measure("search.trials_complete", 1.0), Measure("search.trials_pruned", 1.0),
        Measure("search.trials_failed", 1.0), Measure("search.best_log_loss", 0.69)]
    assert len(measure.search_figures(TRIALS[1:])) == 3


def test_a_book_without_costs_is_refused(done: Done) -> None:
    with pytest.raises(ValueError, match="no \\[costs\\]"):
        measure.book(make_line(costs=None), done.evidence)


def test_every_picture_is_a_png_that_shows_something(done: Done, tmp_path: Path) -> None:
    from matplotlib.image import imread

    files = done.write(tmp_path)
    assert len(files) == 14 + 14 + 2
    for path in (tmp_path / "plots").iterdir():
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05
    trials = pd.read_csv(tmp_path / "tables" / "trials.csv")
    assert trials["state"].tolist() == ["complete", "pruned", "failed"]
    table = {path.stem: pd.read_csv(path, index_col=0) for path in (tmp_path / "tables").iterdir()}
    assert table["backtest"]["net"].sum() != 0
    own = table["benchmarks"].loc["candidate"]
    assert table["stress"].loc["as_is", "sharpe_per_period"] == pytest.approx(own["sharpe_per_period"])
    assert table["stress"].loc["doubled_costs", "cost"] == pytest.approx(2 * own["cost"])
    assert table["intervals"].loc["sharpe_per_period", "estimate"] == pytest.approx(own["sharpe_per_period"])
    total = book(done.line, done.evidence)["net"].sum()
    for name in ("symbol", "month", "session", "regime"):
        assert table[f"attribution_{name}"]["net"].sum() == pytest.approx(total)


@pytest.mark.parametrize("case", ["one class", "no trades", "one prediction", "no trials", "constant feature"])
def test_thin_material_is_drawn_without_an_error(case: str, done: Done, tmp_path: Path,
                                                 recwarn: pytest.WarningsRecorder) -> None:
    evidence = done.evidence
    changes: dict[str, dict[str, object]] = {
        "one class": {"evidence": evidence.assign(y=0.0)},
        "no trades": {"evidence": evidence.assign(candidate=0.5), "searched": done.searched.assign(candidate=0.5)},
        "one prediction": {"evidence": evidence.iloc[:1]},
        "no trials": {"trials": [], "parameter_shares": {}},
        "constant feature": {"explanation": explain.Explanation(
            ("flat",), pd.Series({"flat": 0.0}), "gain", np.zeros((5, 1)), "log-odds", np.zeros((5, 1))),
            "fold_importance": pd.DataFrame({0: [0.0]}, index=["flat"]), "forces": ()}}
    assert "model_card.md" in done.write(tmp_path, **changes[case])
    assert [str(item.message) for item in recwarn if "invalid value" in str(item.message)] == []


def facts(done: Done, **changes: object) -> card.Facts:
    values = {
        "line": done.line, "as_of": "2024-01-21T02:00:00+00:00", "reason": "data_drift", "family": "xgboost",
        "params": {"rounds": 60, "learning_rate": 0.051234567}, "trials": 16, "snapshot_digest": "ab" * 32,
        "model_content": "cd" * 32, "git_commit": "f00", "lock_digest": "ee" * 32, "seed": 7, "frame_rows": 1440,
        "symbols": ["BTC", "ETH"], "first": START, "last": START, "trained_from": START, "trained_through": START,
        "train_rows": 720, "evidence_from": START, "measures": done.measures, "undefined": {},
        "importance": done.explanation.importance, "importance_unit": "total gain"}
    return card.Facts(**(values | changes))  # type: ignore[arg-type]


def test_the_card_says_what_how_and_how_well(done: Done) -> None:
    text = card.write(facts(done))
    for piece in ("# Sign of the next hour's return", "reason `data_drift`", "`" + "ab" * 32 + "`", "BTC, ETH",
                  "| learning_rate | 0.05123 |", "best of 16 finished trials", "| metric | candidate | base_rate |",
                  "## After costs", "sharpe_annualised", "sentiment_4h", f"(version `{catalog.stamp(done.line)}`)",
                  "1,440 of 2 symbols", "## Limits"):
        assert piece in text
    assert "Undefined" not in text
    assert "nan" not in text


def test_the_card_leaves_out_what_there_is_not(done: Done) -> None:
    kept = [item for item in done.measures if not item.name.startswith("net.") and item.name != "evidence.auc"]
    text = card.write(facts(done, measures=kept, undefined={"auc": "all 9 labels are 1"}))
    assert "## After costs" not in text
    assert "| auc | undefined |" in text
    assert "Undefined: `auc`: all 9 labels are 1." in text


def test_shap_looks_at_evenly_spaced_rows(done: Done) -> None:
    model, _ = fit.final(done.data, done.line, FAMILY, PARAMS, seed=1)
    found = explain.explain(model, families.get(FAMILY), done.data.features, rows=50)
    assert found.shap.shape == found.sample.shape == (50, len(done.data.names))
    assert found.importance.is_monotonic_decreasing
    assert found.importance.index[0] == "sentiment_4h"
    few = explain.explain(model, families.get(FAMILY), done.data.features[:3])
    assert len(few.shap) == 3


def test_lineage_names_the_commit_and_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(lineage.git_commit().removesuffix("+dirty")) == 40
    assert len(lineage.lock_digest()) == 64
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    assert lineage.git_commit.__wrapped__() == "unknown"
    assert lineage.lock_digest.__wrapped__() == "unknown"
    monkeypatch.setenv("PATH", "")
    assert lineage.git_commit.__wrapped__() == "unknown"


def test_nothing_measured_is_infinite(done: Done) -> None:
    assert all(math.isfinite(item.value) for item in done.measures)


def test_of_trades_the_decisions_are_written_and_measured(done: Done, tmp_path: Path) -> None:
    line = make_line(target={"kind": "trade_win"}, features={"groups": ["history"]}, costs=None, retrain={"on": []},
                     gate={"shadow": {"when": "never"}, "rollback": {"watch_days": 0}})
    evidence = done.evidence.assign(threshold=0.55, take=(done.evidence["candidate"] >= 0.55).astype(float))
    rule = backtest.TakeRule(0.55, 30, 100, 0.001)
    found = {item.name: item.value for item in measure.decision_figures(evidence, rule, line.search.seed)}
    assert found["decision.threshold"] == 0.55
    assert found["decision.take.taken"] == evidence["take"].sum()
    assert found["decision.all.mean_profit"] == pytest.approx(evidence["forward_return"].mean())
    assert measure.decision_figures(done.evidence, None, line.search.seed) == []
    written = done.write(tmp_path, line=line, evidence=evidence)
    assert "tables/decisions.csv" in written
    assert not {"tables/backtest.csv", "tables/intervals.csv", "plots/equity.png"} & written
    table = pd.read_csv(tmp_path / "tables" / "decisions.csv", index_col=["rule", "figure"])
    assert table.loc[("take", "taken"), "estimate"] == evidence["take"].sum()
    assert (table["low"] <= table["high"]).all()
