"""How well do scorers agree with people? Accuracy, macro-F1 and correlation on labelled texts, with intervals.

Texts fall into the halves "seen" and "held out" by a hash of themselves: a text is never in both, and no later set
changes the half of an earlier one. Only the seen half was looked at when the lexicon was written. Intervals are
percentiles of a bootstrap over texts (B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, section
13.3); differences between scorers are taken on the same resamples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.sentiment.mentions import THRESHOLD

SEEN, HELD_OUT = "seen", "held out"
CONFIDENCE = 0.95
#: Fewer texts in a half than this are not measured.
LEAST_TEXTS = 10
Measure = Callable[[FloatArray, FloatArray], float]


@dataclass(frozen=True)
class Labelled:
    """Texts with what people said of them.

    Attributes:
        texts: the texts.
        truth: (texts,) -1, 0 or 1; any number (a mean rating, say) when ``graded``.
        graded: only correlation is defined, for there are no classes.
    """

    name: str
    texts: tuple[str, ...]
    truth: FloatArray
    graded: bool


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where nothing varies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One measure on one half of a labelled set: an estimate for each scorer by name, and the last scorer less the
    first."""

    set: str
    half: str
    texts: int
    measure: str
    scorers: Mapping[str, Estimate]
    difference: Estimate


def is_held_out(text: str) -> bool:
    """Whether a text belongs to the half that nobody looked at when the lexicon was written."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[-1] % 2 == 1


def signs(compound: FloatArray) -> FloatArray:
    """-1, 0 or 1: below VADER's threshold in size is neutral."""
    return np.where(np.abs(compound) < THRESHOLD, 0.0, np.sign(compound))


def accuracy(truth: FloatArray, compound: FloatArray) -> float:
    """Share of texts whose sign is the label."""
    return float((signs(compound) == truth).mean())


def macro_f1(truth: FloatArray, compound: FloatArray) -> float:
    """Mean of the F1 scores of negative, neutral and positive; one that neither has counts 0."""
    guess = signs(compound)
    scores = []
    for label in (-1.0, 0.0, 1.0):
        both = ((guess == label) & (truth == label)).sum()
        scores.append(2 * both / max((guess == label).sum() + (truth == label).sum(), 1))
    return float(np.mean(scores))


def correlation(truth: FloatArray, compound: FloatArray) -> float:
    """Pearson's correlation; NaN where one of them does not vary."""
    if not (np.ptp(truth) > 0 and np.ptp(compound) > 0):
        return float("nan")
    return float(np.corrcoef(truth, compound)[0, 1])


CLASSES: dict[str, Measure] = {"accuracy": accuracy, "macro-F1": macro_f1, "correlation": correlation}
GRADES: dict[str, Measure] = {"correlation": correlation}


def compare(labelled: Labelled, scores: Mapping[str, FloatArray], *, draws: int = 1000, seed: int = 7) -> list[Row]:
    """Scorers side by side on one set, each half on its own; a half of under ``LEAST_TEXTS`` texts is left out.

    Args:
        scores: scorer → (texts,) compound in [-1, 1]; the first is what the last is compared with.
        draws: resamples of the intervals.

    Raises:
        ContractError: no scorer, or as many scores as there are not texts.
    """
    lengths = {name: len(values) for name, values in scores.items()}
    if not scores or any(length != len(labelled.texts) for length in lengths.values()):
        raise ContractError(f"{labelled.name} has {len(labelled.texts)} texts and scores {lengths}; pass one for each")
    apart = np.array([is_held_out(text) for text in labelled.texts], dtype=bool)
    return [row for half, mask in ((SEEN, ~apart), (HELD_OUT, apart)) if mask.sum() >= LEAST_TEXTS
            for row in _rows(labelled, scores, half, np.flatnonzero(mask), draws, seed)]


def _rows(labelled: Labelled, scores: Mapping[str, FloatArray], half: str, chosen: np.ndarray[tuple[int], np.dtype[
        np.int64]], draws: int, seed: int) -> Iterator[Row]:
    truth = labelled.truth[chosen]
    said = [values[chosen] for values in scores.values()]
    for name, measure in (GRADES if labelled.graded else CLASSES).items():
        generator = np.random.default_rng(seed)
        drawn = np.array([[measure(truth[at], values[at]) for values in said] for at in
                          (generator.integers(0, len(chosen), len(chosen)) for _ in range(draws))])
        point = np.array([measure(truth, values) for values in said])
        yield Row(labelled.name, half, len(chosen), name,
                  {scorer: _estimate(point[place], drawn[:, place]) for place, scorer in enumerate(scores)},
                  _estimate(point[-1] - point[0], drawn[:, -1] - drawn[:, 0]))


def _estimate(value: float, drawn: FloatArray) -> Estimate:
    known: Sequence[float] = drawn[np.isfinite(drawn)].tolist()
    if not np.isfinite(value) or not known:
        return Estimate(float("nan"), float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))
