"""Texts in, polarities out: the scorers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ConfigError, ContractError
from pipelines.sentiment import lexicon
from pipelines.sentiment.vader import Analyzer

#: Columns of a score frame, float64.
COLUMNS = ("compound", "positive", "neutral", "negative")

#: Parts of the work per process, so that none waits long for the last one.
CHUNKS = 4

_BUILDERS = {
    "tidemark": lambda: Analyzer(lexicon.words(), lexicon.phrases(), cashtags=True),
    "vader": Analyzer,
}


@dataclass(frozen=True)
class LexiconScorer:
    """A ``contracts.ports.Scorer`` over one lexicon; identical texts of a call are scored once."""

    name: str
    analyzer: Analyzer

    def score(self, texts: Sequence[str], *, by: Callable[[list[str]], FloatArray] | None = None) -> pd.DataFrame:
        """Columns ``compound`` in [-1, 1] and the shares ``positive``, ``neutral``, ``negative``; one row per text
        in the order given. A missing text (None, NaN) scores like an empty one: all zeros. ``by``: what else scores
        distinct texts as the analyzer does.

        Raises:
            ContractError: an element is neither text nor missing.
        """
        return pd.DataFrame(self._unique(texts, by or self.analyzer.score_many), columns=list(COLUMNS))

    @staticmethod
    def _unique(texts: Sequence[str], score_many: Callable[[list[str]], FloatArray]) -> FloatArray:
        places: dict[str, int] = {}
        rows = [places.setdefault(_text(text, at), len(places)) for at, text in enumerate(texts)]
        return score_many(list(places))[rows]


def _text(value: object, at: int) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    raise ContractError(f"text {at} is a {type(value).__name__}; pass strings (None or NaN count as empty)")


@lru_cache(maxsize=len(_BUILDERS))
def get(name: str) -> LexiconScorer:
    """The scorer of that name: ``tidemark`` (ours) or ``vader`` (equal to vaderSentiment).

    Raises:
        ConfigError: there is no such scorer.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"there is no lexicon {name!r}; choose one of {', '.join(sorted(_BUILDERS))}")
    return LexiconScorer(name, _BUILDERS[name]())


#: In a process of ``_spread``: the scorer's analyzer and all the texts.
_held: tuple[Analyzer, list[str]] | None = None


def _hold(name: str, texts: list[str]) -> None:
    """Keep what this process works on. A forked process is handed its parent's texts and words as they lie in memory;
    sent part by part, the texts would cost as much time as a third of the scoring."""
    global _held
    _held = get(name).analyzer, texts


def _part(begin: int, end: int) -> FloatArray:
    if _held is None:
        raise RuntimeError("_part runs in processes that _hold has begun")
    analyzer, texts = _held
    return analyzer.score_many(texts[begin:end])


def _spread(name: str, workers: int, texts: list[str]) -> FloatArray:
    """Figures of ``texts`` from ``workers`` processes."""
    step = max(1, -(-len(texts) // (CHUNKS * workers)))
    begins = range(0, len(texts), step)
    with ProcessPoolExecutor(workers, initializer=_hold, initargs=(name, texts)) as pool:
        parts = list(pool.map(_part, begins, [begin + step for begin in begins]))
    return np.concatenate([np.empty((0, len(COLUMNS))), *parts])


def score(texts: Sequence[str], lexicon: str = "tidemark", *, workers: int = 1) -> pd.DataFrame:
    """Score texts: DataFrame[compound, positive, neutral, negative], one row per text.

    ``lexicon="vader"`` equals vaderSentiment's ``polarity_scores``; ``"tidemark"`` adds crypto and finance words
    (see ``sentiment.lexicon``). Time grows linearly with the text; the first ``vader.MAX_CHARACTERS`` characters of
    each text count. ``workers`` processes share the work when above 1: worth it from some 100,000 texts on (not inside
    a daemonic process, which may have no children).

    Raises:
        ConfigError: unknown lexicon, or workers below 1. ContractError: an element that is not text.
    """
    if isinstance(texts, str):
        raise ContractError("score takes a list of texts and got one string; wrap it: score([text])")
    if workers < 1:
        raise ConfigError(f"workers is {workers}; pass 1 or more")
    scorer = get(lexicon)
    if workers == 1:
        return scorer.score(texts)
    return scorer.score(texts, by=partial(_spread, lexicon, workers))
