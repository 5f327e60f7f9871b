"""Everything that a training leaves for people to look at, written into one directory for one upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.contracts.records import BASELINES
from pipelines.training import leaderboard_page, money, plots, plots_why, slices, take
from pipelines.training.explain import Explanation, Force
from pipelines.training.leaderboard import Board
from pipelines.training.measure import Measure, book, tradable
from pipelines.training.search import TrialRecord


def write(directory: Path, *, line: Line, searched: pd.DataFrame, evidence: pd.DataFrame,
          evidence_start: pd.Timestamp, explanation: Explanation, trials: Sequence[TrialRecord],
          parameter_shares: Mapping[str, float], measures: Sequence[Measure], card: str,
          fold_importance: pd.DataFrame, forces: Sequence[Force], families: Board) -> None:
    """Plots under ``plots/``, tables under ``tables/``, ``model_card.md`` and ``leaderboard.html``.

    Args:
        searched, evidence: out-of-sample predictions (``EVIDENCE_COLUMNS``) on search and evidence folds.
        fold_importance: as ``explain.by_fold`` makes it. forces: single predictions of the evidence's last model.
    """
    pictures, tables = directory / "plots", directory / "tables"
    for place in (pictures, tables):
        place.mkdir(parents=True, exist_ok=True)
    y = evidence["y"].to_numpy()
    contenders = {name: evidence[name].to_numpy() for name in ("candidate", *BASELINES) if name in evidence}
    scores = {item.name: item.value for item in measures}
    auc = {name: scores.get("evidence.auc" if name == "candidate" else f"evidence.{name}.auc", float("nan"))
           for name in contenders}
    plots.roc(pictures / "roc.png", y, contenders, auc)
    plots.precision_recall(pictures / "precision_recall.png", y, contenders)
    plots.calibration(pictures / "calibration.png", y, contenders["candidate"])
    plots.confusion(pictures / "confusion.png", y, contenders["candidate"])
    plots.importance(pictures / "importance.png", explanation)
    plots.shap_summary(pictures / "shap_summary.png", explanation)
    plots_why.distribution(pictures / "distribution.png", y, contenders["candidate"])
    plots_why.dependence(pictures / "shap_dependence.png", explanation)
    plots_why.force(pictures / "force.png", forces, explanation.shap_unit)
    plots_why.importance_by_fold(pictures / "importance_by_fold.png", fold_importance)
    errors = slices.errors(evidence, line.bar, line.target.horizon_bars - 1)
    plots_why.errors(pictures / "errors.png", errors)
    errors.to_csv(tables / "errors.csv", index=False)
    fold_importance.to_csv(tables / "importance_by_fold.csv")
    plots.search_history(pictures / "search_history.png", trials)
    plots.parameter_importance(pictures / "parameter_importance.png", parameter_shares)
    if take.applies(line):
        take.table(evidence, line.search.seed).to_csv(tables / "decisions.csv")
    if tradable(line, evidence):
        whole = pd.concat([searched, evidence], ignore_index=True)
        books = {name: book(line, whole, name) for name in ("candidate", "persistence")}
        starts = [rows["event_time"].min() for part in (searched, evidence) for _, rows in part.groupby("fold")]
        plots.equity(pictures / "equity.png", books, evidence_start, starts)
        books["candidate"].to_csv(tables / "backtest.csv")
        money.write(tables, line, evidence, line.search.seed)
    pd.DataFrame([asdict(trial) | {"params": dict(trial.params)} for trial in trials]).to_csv(
        tables / "trials.csv", index=False)
    pd.DataFrame([asdict(item) for item in measures]).to_csv(tables / "measures.csv", index=False)
    explanation.importance.rename(explanation.importance_unit).to_csv(tables / "importance.csv", index_label="feature")
    families.table().to_csv(tables / "families.csv", index=False)
    (directory / "leaderboard.html").write_text(leaderboard_page.html(f"Families of {line.name}", [families]),
                                                encoding="utf-8")
    (directory / "model_card.md").write_text(card, encoding="utf-8")
