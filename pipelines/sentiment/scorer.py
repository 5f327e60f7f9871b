"""Texts in, polarities out: the scorers by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from pipelines.errors import ConfigError, ContractError
from pipelines.sentiment import lexicon
from pipelines.sentiment.vader import Analyzer, Polarity

#: Columns of a score frame, float64.
COLUMNS = ("compound", "positive", "neutral", "negative")

_BUILDERS = {
    "tidemark": lambda: Analyzer(lexicon.words(), lexicon.phrases()),
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
        known: dict[str, Polarity] = {}
        rows = np.empty((len(texts), len(COLUMNS)), dtype=np.float64)
        for at, text in enumerate(texts):
            text = _text(text, at)
            polarity = known.get(text)
            if polarity is None:
                polarity = known[text] = self.analyzer.score(text)
            rows[at] = polarity
        return pd.DataFrame(rows, columns=list(COLUMNS))


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


def score(texts: Sequence[str], lexicon: str = "tidemark") -> pd.DataFrame:
    """Score texts: DataFrame[compound, positive, neutral, negative], one row per text.

    ``lexicon="vader"`` equals vaderSentiment's ``polarity_scores``; ``"tidemark"`` adds crypto and finance words
    (see ``sentiment.lexicon``). Time grows linearly with the text; the first ``vader.MAX_CHARACTERS`` characters of
    each text count.

    Raises:
        ConfigError: unknown lexicon. ContractError: an element that is not text.
    """
    if isinstance(texts, str):
        raise ContractError("score takes a list of texts and got one string; wrap it: score([text])")
    return get(lexicon).score(texts)
