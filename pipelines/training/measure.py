"""The numbers of a training, under fixed names.

``oos.<metric>``                   search folds of the best configuration, pooled; it was chosen on them: optimistic
``evidence.<metric>``              evidence folds, pooled; nobody has seen them: what the gate judges
``evidence.<baseline>.<metric>``   the same rows scored by ``base_rate``, ``persistence`` and, of texts, ``lexicon``
``fold.<metric>``                  one value per fold, search folds first, then evidence; the step is the fold's number
``net.<figure>``                   evidence folds after costs: net_return, sharpe_per_period, sharpe_annualised,
                                   sortino_per_period, sortino_annualised, calmar, max_drawdown, win_rate,
                                   profit_factor, turnover, exposure, cost; only for tradable targets
``decision.<rule>.<figure>``       trades only, evidence folds: rules ``take``, ``all`` and ``difference``, figures
                                   of ``validation.backtest.decisions``; ``decision.threshold`` is the final model's
``search.<figure>``                trials_complete, trials_pruned, trials_failed, best_log_loss
``data.<figure>``                  rows, features, train_rows, evidence_rows

``<metric>`` is one of ``validation.metrics.NAMES``, ``<figure>`` of net as in ``validation.backtest.returns``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.contracts.records import BASELINES
from pipelines.training.search import TrialRecord
from pipelines.validation import backtest, metrics
from pipelines.validation.backtest.decisions import TakeRule
from pipelines.validation.backtest.decisions import measures as figures_of


@dataclass(frozen=True)
class Measure:
    """One number; ``step`` is the fold for ``fold.*`` and 0 otherwise."""

    name: str
    value: float
    step: int = 0


def measure(line: Line, searched: pd.DataFrame, evidence: pd.DataFrame) -> list[Measure]:
    """Everything measurable on two frames of ``EVIDENCE_COLUMNS``; an undefined number (NaN) is left out.

    Args:
        searched: out-of-sample predictions of the best configuration on the search folds.
        evidence: the same on the evidence folds.
    """
    found = [Measure(f"oos.{name}", value) for name, value in _scores(searched, "candidate").items()]
    found += [Measure(f"evidence.{name}", value) for name, value in _scores(evidence, "candidate").items()]
    for baseline in (name for name in BASELINES if name in evidence):
        found += [Measure(f"evidence.{baseline}.{name}", value) for name, value in _scores(evidence, baseline).items()]
    step = 0
    for part in (searched, evidence):
        for _, rows in part.groupby("fold", sort=True):
            found += [Measure(f"fold.{name}", value, step) for name, value in _scores(rows, "candidate").items()]
            step += 1
    if tradable(line, evidence):
        found += [Measure(f"net.{name}", value) for name, value in backtest.summary(book(line, evidence)).items()]
    return [item for item in found if math.isfinite(item.value)]


def decision_figures(evidence: pd.DataFrame, rule: TakeRule | None, seed: int) -> list[Measure]:
    """What TAKE would have brought on the evidence, and the final model's threshold; nothing without a rule."""
    if rule is None:
        return []
    found = figures_of(backtest.take_or_skip(evidence, evidence["take"].to_numpy() > 0, seed=seed))
    return [Measure("decision.threshold", rule.threshold), *(Measure(name, value) for name, value in found.items())]


def search_figures(trials: Sequence[TrialRecord]) -> list[Measure]:
    """How the search went."""
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    values = [trial.value for trial in trials if trial.value is not None]
    found = [Measure(f"search.trials_{state}", float(count)) for state, count in counts.items()]
    return [*found, *([Measure("search.best_log_loss", min(values))] if values else [])]


def tradable(line: Line, predictions: pd.DataFrame) -> bool:
    """The line has costs, the rows have returns, and a position has a fixed length."""
    return line.costs is not None and not line.target.on_barriers and bool(predictions["forward_return"].notna().any())


def book(line: Line, predictions: pd.DataFrame, contender: str = "candidate") -> pd.DataFrame:
    """The backtest's book (per ``event_time``) of one column of predictions; call it for tradable lines only."""
    if line.costs is None:
        raise ValueError(f"{line.name} has no [costs]; ask tradable() first")
    return backtest.book(predictions, predictions[contender], line.costs, line.target.horizon_bars, line.bar)


def _scores(rows: pd.DataFrame, contender: str) -> dict[str, float]:
    return metrics.classification(rows["y"], rows[contender])
