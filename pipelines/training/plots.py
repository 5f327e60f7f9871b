"""The pictures of a training, each from plain data to one PNG; matplotlib without pyplot: no state, no display."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines.contracts.ports import FloatArray
from pipelines.training.explain import Explanation
from pipelines.training.search import TrialRecord
from pipelines.validation import backtest

DPI = 90
TOP = 15
LABELS = 0.3  # left margin where the y axis carries names
COLOURS = {"candidate": "#1f5fa8", "base_rate": "#8a8a8a", "persistence": "#c98a1b",
           "lexicon": "#3f9b6c"}
EVIDENCE_SHADE = "#1f5fa8"


def picture(path: Path, title: str, draw: Callable[[Any], None], size: tuple[float, float] = (5.4, 4.0),
             left: float = 0.13) -> Path:
    # Fixed margins: a layout engine draws each picture twice.
    figure = Figure(figsize=size)
    axes = figure.subplots()
    figure.subplots_adjust(left=left, right=0.97, bottom=0.13, top=0.92)
    draw(axes)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
    figure.savefig(path, dpi=DPI)
    return path


def _sweep(y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """True and false positives at every threshold, from the strictest on, starting at (0, 0)."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # ties move together
    hits = np.cumsum(y[order])[ends]
    return np.append(0.0, hits), np.append(0.0, ends + 1 - hits)


def roc(path: Path, y: FloatArray, contenders: Mapping[str, FloatArray], scores: Mapping[str, float]) -> Path:
    """ROC curves; ``scores`` holds each contender's AUC for the legend."""
    def draw(axes: Any) -> None:
        for name, p in contenders.items():
            hits, misses = _sweep(y, p)
            axes.plot(misses / max(misses[-1], 1), hits / max(hits[-1], 1), color=COLOURS.get(name), lw=1.4,
                      label=f"{name} (AUC {scores.get(name, float('nan')):.3f})")
        axes.plot([0, 1], [0, 1], color="black", lw=0.6, ls=":")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(fontsize=8, loc="lower right")
    return picture(path, "ROC on the evidence folds", draw)


def precision_recall(path: Path, y: FloatArray, contenders: Mapping[str, FloatArray]) -> Path:
    """Precision over recall, with the base rate as the line to beat."""
    def draw(axes: Any) -> None:
        for name, p in contenders.items():
            hits, misses = _sweep(y, p)
            axes.plot(hits[1:] / max(hits[-1], 1), hits[1:] / (hits[1:] + misses[1:]), color=COLOURS.get(name), lw=1.4,
                      label=name)
        axes.axhline(float(y.mean()), color="black", lw=0.6, ls=":")
        axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        axes.legend(fontsize=8)
    return picture(path, "Precision and recall on the evidence folds", draw)


def calibration(path: Path, y: FloatArray, p: FloatArray, bins: int = 10) -> Path:
    """Observed frequency over forecast probability in bins of equal counts; bars are two standard errors."""
    def draw(axes: Any) -> None:
        parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
        said, seen = (np.array([values[part].mean() for part in parts]) for values in (p, y))
        error = np.array([2 * np.sqrt(max(y[part].mean() * (1 - y[part].mean()), 0.0) / len(part)) for part in parts])
        axes.errorbar(said, seen, yerr=error, fmt="o-", ms=4, lw=1.2, color=COLOURS["candidate"], ecolor="#9fb9d6")
        low, high = float(min(said.min(), seen.min())), float(max(said.max(), seen.max()))
        axes.plot([low, high], [low, high], color="black", lw=0.6, ls=":")
        axes.set(xlabel="forecast probability", ylabel="observed frequency")
    return picture(path, "Calibration on the evidence folds", draw)


def confusion(path: Path, y: FloatArray, p: FloatArray) -> Path:
    """Counts at a threshold of 0.5."""
    def draw(axes: Any) -> None:
        said = p > 0.5
        counts = np.array([[np.sum((y == truth) & (said == answer)) for answer in (0, 1)] for truth in (0, 1)])
        axes.imshow(counts, cmap="Blues", vmin=0)
        for row in range(2):
            for column in range(2):
                dark = counts[row, column] > counts.max() / 2
                axes.text(column, row, f"{counts[row, column]}\n{counts[row, column] / len(y):.1%}", ha="center",
                          va="center", fontsize=10, color="white" if dark else "black")
        axes.set(xticks=[0, 1], yticks=[0, 1], xlabel="predicted", ylabel="observed")
    return picture(path, "Confusion at 0.5 on the evidence folds", draw, (4.0, 3.8))


def importance(path: Path, explanation: Explanation) -> Path:
    """The most important features."""
    def draw(axes: Any) -> None:
        top = explanation.importance.head(TOP)[::-1]
        axes.barh(top.index, top.to_numpy(), color=COLOURS["candidate"])
        axes.set_xlabel(explanation.importance_unit)
    return picture(path, "Feature importance", draw, (6.4, 4.6), LABELS)


def shap_summary(path: Path, explanation: Explanation) -> Path:
    """One dot per row and feature: its SHAP value, coloured by the feature's rank among the rows."""
    def draw(axes: Any) -> None:
        order = np.argsort(np.abs(explanation.shap).mean(axis=0))[-TOP:]
        jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(explanation.shap))
        for place, column in enumerate(order):
            ranks = pd.Series(explanation.sample[:, column]).rank(pct=True).fillna(0.5)
            axes.scatter(explanation.shap[:, column], place + jitter, c=ranks, cmap="coolwarm", vmin=0, vmax=1, s=5,
                         linewidths=0)
        axes.axvline(0, color="black", lw=0.6)
        axes.set_yticks(range(len(order)), [explanation.names[column] for column in order])
        axes.set_xlabel(f"SHAP value ({explanation.shap_unit}); blue: low feature value, red: high")
    return picture(path, "What moves the prediction", draw, (6.8, 4.8), LABELS)


def equity(path: Path, books: Mapping[str, pd.DataFrame], evidence_start: pd.Timestamp,
           fold_starts: Sequence[pd.Timestamp]) -> Path:
    """Compounded net return after costs above, drawdown below; thin lines are folds, the shade is the evidence."""
    figure = Figure(figsize=(7.2, 4.8))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.12, top=0.93, hspace=0.08)
    for name, table in books.items():
        net = table["net"]
        upper.plot(net.index, backtest.equity(net) - 1.0, lw=1.2, color=COLOURS.get(name), label=name)
        lower.plot(net.index, backtest.drawdown(net), lw=1.0, color=COLOURS.get(name))
    last = max(table.index.max() for table in books.values())
    for axes in (upper, lower):
        axes.axvspan(evidence_start, last, color=EVIDENCE_SHADE, alpha=0.08, lw=0)
        for start in fold_starts:
            axes.axvline(start, color="black", lw=0.3, alpha=0.5)
        axes.tick_params(labelsize=8)
    upper.axhline(0, color="black", lw=0.6)
    upper.set_title("Out of sample after costs (shaded: evidence folds)", fontsize=10)
    upper.set_ylabel("net return", fontsize=8)
    lower.set_ylabel("drawdown", fontsize=8)
    upper.legend(fontsize=8, loc="upper left")
    lower.tick_params(axis="x", labelrotation=20)
    figure.savefig(path, dpi=DPI)
    return path


def search_history(path: Path, trials: Sequence[TrialRecord]) -> Path:
    """Loss of each complete trial by family, and the best so far; pruned trials at the loss they reached."""
    def draw(axes: Any) -> None:
        done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
        for family in sorted({trial.family or "?" for trial in done}):
            chosen = [trial for trial in done if trial.family == family]
            axes.plot([trial.number for trial in chosen], [trial.value for trial in chosen], "o", ms=4, label=family)
        pruned = [trial for trial in trials if trial.state == "pruned" and trial.fold_losses]
        axes.plot([trial.number for trial in pruned], [np.mean(trial.fold_losses) for trial in pruned], "x", ms=5,
                  color="#8a8a8a", label="pruned (folds so far)")
        if done:
            best = np.minimum.accumulate([float(trial.value or 0.0) for trial in done])
            axes.step([trial.number for trial in done], best, where="post", color="black", lw=0.8, label="best so far")
        axes.set(xlabel="trial", ylabel="mean log loss (nats)")
        axes.legend(fontsize=7)
    return picture(path, "Search history", draw, (6.4, 4.0))


def parameter_importance(path: Path, shares: Mapping[str, float]) -> Path:
    """Share of each parameter in the variation of the loss (PED-ANOVA)."""
    def draw(axes: Any) -> None:
        felt = [(name, share) for name, share in shares.items() if share > 0]
        top = sorted(felt, key=lambda item: -item[1])[:TOP][::-1]
        if top:
            axes.barh([name for name, _ in top], [share for _, share in top], color=COLOURS["candidate"])
        else:
            axes.text(0.5, 0.5, "too few complete trials", ha="center", va="center", transform=axes.transAxes)
        axes.set_xlabel("share")
    return picture(path, "Parameter importance", draw, (6.8, 4.0), LABELS)
