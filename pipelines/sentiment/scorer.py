"""Texts in, polarities out: the scorers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
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

_BUILDERS = {
    "tidemark": lambda: Analyzer(lexicon.words(), lexicon.phrases(), cashtags=True),
    "vader": Analyzer,
}


@dataclass(frozen=True)
class LexiconScorer:
    """A ``contracts.ports.Scorer`` over one lexicon; identical texts of a call are scored once."""

    name: str
    analyzer: Analyzer

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Columns ``compound`` in [-1, 1] and the shares ``positive``, ``neutral``, ``negative``; one row per text
        in the order given. A missing text (None, NaN) scores like an empty one: all zeros.

        Raises:
            ContractError: an element is neither text nor missing.
        """
        return pd.DataFrame(self._unique(texts, self.analyzer.score_many), columns=list(COLUMNS))

    def score_in(self, pool: Executor, texts: Sequence[str], chunks: int) -> pd.DataFrame:
        """Like ``score``, over the processes of ``pool`` and in ``chunks`` parts; the figures are the same."""
        def spread(unique: list[str]) -> FloatArray:
            step = max(1, -(-len(unique) // chunks))
            parts = [unique[begin:begin + step] for begin in range(0, len(unique), step)]
            return np.concatenate([np.empty((0, len(COLUMNS))), *pool.map(partial(_part, self.name), parts)])

        return pd.DataFrame(self._unique(texts, spread), columns=list(COLUMNS))

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


def _part(name: str, texts: list[str]) -> FloatArray:
    """One part in another process, which has its own analyzer (a forked one with all its words)."""
    return get(name).analyzer.score_many(texts)


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
    with ProcessPoolExecutor(workers) as pool:
        return scorer.score_in(pool, texts, chunks=4 * workers)
