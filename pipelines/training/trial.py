"""One trial of a search as plain data, and what may be said about many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.errors import TrainingError

#: Name under which a configuration carries how its columns are chosen, beside the family's own parameters.
SELECTION = "selection"
#: Blocks up to which all signs are counted out.
EXACT = 12


@dataclass(frozen=True)
class FoldScore:
    """One fold of one trial: mean log loss in nats over ``rows`` test rows, and the same for each block of the fold
    (a day, say); the blocks are what the pruner pairs. ``predictions``: P(y = 1) of each test row. ``remaining`` folds
    are still to come.

    ``history`` is the share of the training window that was learned from. Below 1 the score is a look at a part before
    the first fold: it decides whether the trial goes on (a rung of the halving), and counts for nothing else.
    ``columns``: how many columns the model saw, where they were chosen. ``rounds``: how many the model was given by
    early stopping, where there is any.
    """

    loss: float
    rows: int
    blocks: tuple[float, ...]
    remaining: int
    predictions: FloatArray = field(default_factory=lambda: np.empty(0))
    history: float = 1.0
    columns: int | None = None
    rounds: int | None = None


class Keep(Protocol):
    """Stores what a complete trial has predicted, fold after fold, and answers with the digest it is found by."""

    def __call__(self, predictions: FloatArray) -> str: ...


class Evaluate(Protocol):
    """Scores one configuration, fold by fold, in the same order each time."""

    def __call__(self, family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]: ...


@dataclass(frozen=True)
class Start:
    """A configuration that a search tries before it draws any. ``params`` may hold :data:`SELECTION`."""

    family: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class TrialRecord:
    """One trial as plain data. ``value`` is the mean log loss over all folds (None unless complete); ``state`` is one
    of complete, pruned, failed, running, waiting; ``fold_losses`` as far as it came; ``predictions`` the digest under
    which a complete trial's predictions were kept.

    ``place`` in the budget, from 0: what a trial draws and learns depends on it and not on ``number``, which also
    counts the failed ones. ``rungs``: the mean losses by which the halving judged it. ``columns``: how many were chosen
    in each fold. ``rounds``: what early stopping gave each fold; ``params["rounds"]`` is the most it could.
    """

    number: int
    state: str
    value: float | None
    family: str | None
    params: Mapping[str, Any]
    fold_losses: tuple[float, ...]
    seconds: float | None
    predictions: str | None = None
    place: int | None = None
    rungs: tuple[float, ...] = ()
    columns: tuple[int, ...] = ()
    rounds: tuple[int, ...] = ()


def best(found: Sequence[TrialRecord]) -> TrialRecord:
    """The complete trial with the lowest loss; the one whose place came first when two are equal.

    Raises:
        TrainingError: no trial is complete.
    """
    complete = ranked(found)
    if not complete:
        raise TrainingError(f"none of {len(found)} trials is complete; look at the workers' logs for the reason")
    return complete[0]


def ranked(found: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The complete trials, best first."""
    complete = [record for record in found if record.value is not None]
    return sorted(complete, key=lambda record: (
        record.value or 0.0, math.inf if record.place is None else record.place, record.number))


def next_place(finished: set[int], running: set[int], trials: int, ahead: int) -> int | None:
    """The first place in the budget of ``trials`` that nobody holds, if it may start now: when all that it learns from
    has finished, the places up to ``ahead`` before it. None: it has to wait, or all are held.

    So up to ``ahead`` trials run side by side, and what each of them knows does not depend on who is quick.
    """
    place = next((place for place in range(trials) if place not in finished and place not in running), None)
    return None if place is None or any(other <= place - ahead for other in running) else place


def goes_on(own: float, others: Sequence[float]) -> bool:
    """Whether a trial is in the better half at a rung: its mean loss against those of the trials before it that came to
    this rung. Successive halving without waiting for a bracket to fill (Jamieson and Talwalkar 2016; Li et al., "A
    System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in its stopping form)."""
    return sum(other < own for other in others) < math.ceil((len(others) + 1) / 2)


def worse(own: Sequence[float], best: Sequence[float], p_value: float) -> bool:
    """Whether a trial is significantly worse than the best one so far, block by block, and on the mean of its blocks
    worse than the best one is on all of its own: Wilcoxon's signed-rank test (*Biometrics Bulletin* 1, 1945),
    one-sided, exact up to :data:`EXACT` blocks; ranks of ties are shared and those of zeros count for neither side.

    Args:
        own: losses of the blocks so far; best: of the best trial, all its blocks, in the same order.
    """
    paired = np.asarray(own) - np.asarray(best[:len(own)])
    if len(paired) < 2 or float(np.mean(best)) >= float(np.mean(own)):
        return False
    ranks = stats.rankdata(np.abs(paired))
    ranked = ranks[paired != 0]
    if len(paired) > EXACT:
        plain = len(ranked) == len(paired) == len(np.unique(ranks)) and len(paired) <= 50
        return bool(stats.wilcoxon(paired, alternative="greater", zero_method="zsplit",
                                   method="exact" if plain else "asymptotic").pvalue < p_value)
    signs = np.arange(2 ** len(ranked))[:, None] >> np.arange(len(ranked)) & 1
    reached = ranks[paired > 0].sum() - 1e-9
    return bool((signs @ ranked >= reached).mean() < p_value)


def is_rung(folds: int) -> bool:
    """The halving judges after 1, 2, 4, 8, ... folds."""
    return folds > 0 and folds & (folds - 1) == 0
