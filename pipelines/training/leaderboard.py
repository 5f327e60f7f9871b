"""Contenders ranked: who is best, who cannot be told from the best, how steady and how dear each is.

The model confidence set (Hansen, Lunde & Nason 2011) holds the best contender with 95 % probability; whoever is outside
is worse beyond luck. The losses are those of the search folds, on which parameters were chosen: they rank families,
and they are no estimate of what a family will do (that is what the evidence is for).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.errors import ContractError, InsufficientData
from pipelines.training import search
from pipelines.training.search import TrialRecord
from pipelines.validation import metrics
from pipelines.validation.significance import model_confidence_set

LEVEL = 0.05
BASE = "base_rate"


@dataclass(frozen=True)
class Entry:
    """One contender.

    Attributes:
        name: of the contender; ``detail`` what it is (a trial and its parameters, a version and its family).
        loss: mean log loss (nats) over times; ``gain`` what it saves against the base rate.
        spread: standard deviation of its folds' mean losses; NaN for fewer than two folds.
        seconds: what it cost to fit and score; NaN: not known.
        p_value: smallest level at which the confidence set would leave it out; NaN: too few times to say.
        included: it cannot be told from the best.
    """

    name: str
    detail: str
    loss: float
    gain: float
    spread: float
    seconds: float
    p_value: float
    included: bool


@dataclass(frozen=True)
class Board:
    """Entries, the lowest loss first; ``periods`` times were compared. ``recommendation`` is for people."""

    title: str
    entries: tuple[Entry, ...]
    periods: int
    recommendation: str

    def table(self) -> pd.DataFrame:
        """A row per entry."""
        return pd.DataFrame([vars(entry) for entry in self.entries])


def families(tried: pd.DataFrame, trials: Sequence[TrialRecord], title: str, seed: int) -> Board:
    """The best trial of each family on the search folds, and the base rate.

    Args:
        tried: ``y``, ``event_time``, ``base_rate`` and one ``trial_<number>`` per complete trial.
        trials: of the same search.
    """
    best: dict[str, TrialRecord] = {}
    for trial in search.ranked(trials):
        if trial.family is not None and f"trial_{trial.number}" in tried:
            best.setdefault(trial.family, trial)
    chances = {family: tried[f"trial_{trial.number}"] for family, trial in best.items()}
    seconds = {family: trial.seconds for family, trial in best.items() if trial.seconds is not None}
    spread = {family: float(np.std(trial.fold_losses, ddof=1)) for family, trial in best.items()
              if len(trial.fold_losses) > 1}
    details = {family: f"trial {trial.number}: {_params(trial.params)}" for family, trial in best.items()}
    return rank({**chances, BASE: tried[BASE]}, tried["y"], tried["event_time"], title=title, seed=seed,
                details=details, spread=spread, seconds=seconds)


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in params.items())


def rank(chances: Mapping[str, pd.Series], y: pd.Series, event_time: pd.Series, *, title: str, seed: int,
         details: Mapping[str, str] | None = None, spread: Mapping[str, float] | None = None,
         seconds: Mapping[str, float] | None = None) -> Board:
    """Rank contenders by their log loss on the same rows; ``base_rate`` has to be among them.

    Args:
        chances: contender → P(y = 1), (rows,); ``y`` and ``event_time`` belong to the same rows.
        seed: of the bootstrap of the confidence set.
    """
    losses = pd.DataFrame({name: metrics.losses(y.to_numpy(), p.to_numpy()) for name, p in chances.items()}).groupby(
        event_time.to_numpy()).mean().sort_index()
    mean = losses.mean()
    p_values = _confidence(losses, seed)
    details, spread, seconds = details or {}, spread or {}, seconds or {}
    entries = tuple(Entry(
        name, details.get(name, "predicts the training rows' mean" if name == BASE else ""), float(mean[name]),
        float(mean[BASE] - mean[name]), spread.get(name, math.nan), seconds.get(name, math.nan), p_values[name],
        not p_values[name] <= LEVEL) for name in mean.sort_values(kind="stable").index)
    return Board(title, entries, len(losses), recommend(entries, len(losses)))


def _confidence(losses: pd.DataFrame, seed: int) -> dict[str, float]:
    """p-values of the confidence set; contenders that predict the same share one."""
    first: dict[str, str] = {}
    for name in losses:
        first[name] = next((other for other in first.values() if losses[other].equals(losses[name])), name)
    try:
        found = model_confidence_set(losses=losses[sorted(set(first.values()), key=list(losses).index)], alpha=LEVEL,
                                     seed=seed).p_values
    except (InsufficientData, ContractError):  # too few times, one contender, or losses that never differ
        return dict.fromkeys(losses, math.nan)
    return {name: found[twin] for name, twin in first.items()}


def recommend(entries: Sequence[Entry], periods: int) -> str:
    """What the ranking speaks for, in a sentence or two."""
    best = entries[0]
    if math.isnan(best.p_value):
        return f"{periods} times are too few to tell {len(entries)} contenders apart; nothing is recommended."
    among = [entry for entry in entries if entry.included]
    if best.name == BASE:
        return "No contender is better than the base rate: there is nothing to recommend."
    if any(entry.name == BASE for entry in among):
        return (f"{best.name} has the lowest loss, {best.gain:.5f} nats below the base rate, and the base rate cannot "
                f"be told from it on {periods} times: this ranking may be luck.")
    rivals = [entry for entry in among if entry is not best]
    if not rivals:
        return (f"Prefer {best.name}: it saves {best.gain:.5f} nats against the base rate, and every other contender "
                f"is worse beyond luck (95 % confidence set, {periods} times).")
    told = (f"{best.name} has the lowest loss ({best.gain:.5f} nats below the base rate); on {periods} times "
            f"{', '.join(entry.name for entry in rivals)} cannot be told from it.")
    priced = [entry for entry in among if not math.isnan(entry.seconds)]
    cheapest = min(priced, key=lambda entry: entry.seconds, default=best)
    if cheapest is not best and not math.isnan(best.seconds) and cheapest.seconds < 0.5 * best.seconds:
        told += f" {cheapest.name} does it in {cheapest.seconds:.1f} s instead of {best.seconds:.1f} s."
    return told
