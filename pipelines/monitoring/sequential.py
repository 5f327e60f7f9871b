"""Has a mean moved, asked again with every new block for as long as a champion lives? Pure.

A test that is repeated daily on a sliding window raises a false alarm sooner or later, whatever its level. Here every
new block (a day, or two label horizons) joins all that came before, and the budget is stated in time: while nothing
changes, the mean time to the first alarm is at least ``arl`` blocks.

*Statistic.* For each block ``v`` with which a change may have begun, the likelihood ratio of "from ``v`` on the mean is
``d`` standard deviations away" against "no change", of what blocks say when neither their mean nor their standard
deviation is known (their maximal invariant). That the reference is itself an estimate, from a week at times, is in it:
a change that its mean could hide raises no alarm. Each ratio has mean 1 while nothing changes, so their sum over ``v``
(Shiryaev and Roberts), averaged over a few ``d``, has mean ``n`` after ``n`` blocks, and by optional stopping it takes
``arl`` blocks on average, or more, to reach ``arl``. Averages over several questions (up and down, several series) keep
this, whatever the questions have to do with each other.

*Dependence.* Blocks of hours that remember hang together. They are whitened as an AR(1), whose coefficient comes from
the reference (`blocks.correlation`).

References:
    M. Pollak and D. Siegmund, "Sequential detection of a change in a normal mean when the initial value is unknown",
    *Annals of Statistics* 19(1), 1991, 394-416. A. N. Shiryaev, *Theory Probab. Appl.* 8(1), 1963, 22-46. S. W.
    Roberts, *Technometrics* 8(3), 1966, 411-430. J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric
    framework for sequential change detection", *New England J. Statistics in Data Science* 2(2), 2024. M. F.
    Pérez-Ortiz, T. Lardy, R. de Heide and P. Grünwald, "E-statistics, group invariance and anytime-valid testing",
    *Annals of Statistics* 52(4), 2024 (the ratio for unknown mean and variance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import gammaln

Array = np.ndarray[Any, np.dtype[np.float64]]
Side = Literal["up", "both"]

#: Sizes of a change that are looked for, in standard deviations of a (whitened) block.
SIZES = (0.5, 1.0, 2.0, 4.0)
#: An alarm ends when the statistic has fallen to this share of its threshold, or when it was not at the threshold for
#: `MEMORY` blocks: one that stands right at the limit rings once, not every other day.
RELEASE = 0.1
MEMORY = 30
#: Fewer blocks than this are no reference; the first live ones are added to it until there are as many.
LEAST_REFERENCE = 4
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(12)
_NODE_LOGS: Array = np.log(_WEIGHTS) + _NODES**2 / 2


@dataclass(frozen=True)
class Question:
    """One series of blocks.

    Attributes:
        reference: (n,) block means before the watch began, in time order.
        current: (m,) block means since then.
        side: whether only a rise is looked for, or a fall, too.
        correlation: of neighbouring blocks, in [0, 1).
    """

    reference: Array
    current: Array
    side: Side = "up"
    correlation: float = 0.0


@dataclass(frozen=True)
class Watch:
    """What the sequential test has seen so far.

    Attributes:
        statistic: its logarithm after the last block; -inf while there is nothing to compare.
        threshold: logarithm of the value that raises the alarm.
        alarm: whether the alarm is on after the last block.
        change: place of the live block with which the change most likely began; None while nothing is compared.
    """

    statistic: float
    threshold: float
    alarm: bool
    change: int | None


def watch(questions: Sequence[Question], arl: float) -> Watch:
    """Watch one or several series, with one budget for all.

    Args:
        questions: with the same number of live blocks each; only as many are looked at as all have.
        arl: mean number of blocks to a false alarm, at least; above 1.
    """
    live = min((len(question.current) for question in questions), default=0)
    threshold = math.log(arl)
    last = ratios(questions, live) if live else np.empty(0)
    statistic, released = _sum(last), threshold + math.log(RELEASE)
    value, end = statistic, live
    while released < value < threshold and end > max(1, live - MEMORY + 1):  # in between, the last clear word holds
        end -= 1
        value = _sum(ratios(questions, end))
    return Watch(statistic, threshold, value >= threshold,
                 live - len(last) + int(np.argmax(last)) if len(last) else None)


def _sum(found: Array) -> float:
    return float(_log_sum(found, 0)) if len(found) else -math.inf


def ratios(questions: Sequence[Question], end: int) -> Array:
    """Logarithm of the likelihood ratio of a change that began with each live block, after ``end`` live blocks and
    averaged over sizes, sides and questions; shape (end,), or shorter where the first blocks belong to the
    reference."""
    found = [_ratios(question, end) for question in questions]
    whole = min(part.shape[0] for part in found)
    every = np.concatenate([part[part.shape[0] - whole:] for part in found], axis=1)
    return _log_sum(every, 1) - math.log(every.shape[1]) if whole else np.empty(0)


def _ratios(question: Question, end: int) -> Array:
    """Shape (changes, sizes): the logarithm of each ratio."""
    sizes = np.array(SIZES if question.side == "up" else [*SIZES, *(-size for size in SIZES)])
    values = np.concatenate([question.reference, question.current[:end]])
    count, first = len(values), max(len(question.reference), LEAST_REFERENCE)
    begins = np.arange(first, count)
    if not len(begins):
        return np.empty((0, len(sizes)))
    # Generalised least squares: what is constant, and a step at v, as an AR(1) is whitened.
    kept = 1.0 - question.correlation
    head = math.sqrt(1.0 - question.correlation**2)
    white = np.concatenate([[head * values[0]], values[1:] - question.correlation * values[:-1]])
    level = np.concatenate([[head], np.full(count - 1, kept)])
    after = count - 1 - begins
    total = np.cumsum(white)
    size, slope = level @ level, level @ white / (level @ level)
    with_level = kept + after * kept**2
    information = 1.0 + after * kept**2 - with_level**2 / size
    step = white[begins] + kept * (total[-1] - total[begins]) - with_level * slope
    spread = float(((white - slope * level) ** 2).sum())
    if spread <= (1e-12 * max(1.0, float(np.abs(values).max()))) ** 2 * count:  # constants never move
        return np.zeros((len(begins), len(sizes)))
    pull = np.clip(step / np.sqrt(information * spread), -1.0, 1.0)
    slopes = (np.sqrt(information) * pull)[:, None] * sizes
    found: Array = log_mean_exp_chi(slopes, count - 1) - information[:, None] * sizes**2 / 2
    return found


def log_mean_exp_chi(slopes: Array, freedom: int) -> Array:
    """``log E exp(b s)`` for each ``b`` of ``slopes``, where ``s`` follows a chi distribution.

    Gauss-Hermite quadrature around the mode of the integrand in ``log s``; good to 1e-3 from 3 degrees of freedom on.
    """
    mode = (slopes + np.sqrt(slopes**2 + 4 * freedom)) / 2
    width = 1 / np.sqrt(mode * np.sqrt(slopes**2 + 4 * freedom))
    logs = np.log(mode)[..., None] + width[..., None] * _NODES
    values = np.exp(logs)
    inner = freedom * logs - values**2 / 2 + slopes[..., None] * values + _NODE_LOGS
    constant = (freedom / 2 - 1) * math.log(2) + float(gammaln(freedom / 2))
    return np.asarray(_log_sum(inner, -1) + np.log(width) - constant)


def _log_sum(logs: Array, axis: int) -> Any:
    most = logs.max(axis=axis, keepdims=True)
    return np.log(np.exp(logs - most).sum(axis=axis)) + most.squeeze(axis)
