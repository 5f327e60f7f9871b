"""How often the words of a text occur, by hash: no vocabulary, so nothing is learned from other texts.

A vocabulary would have to be fitted inside each fold and stored with the model. A hash needs neither, and a word that
nobody has seen in training falls into a column like any other. Weinberger et al., "Feature Hashing for Large Scale
Multitask Learning", ICML 2009; without its signs, which would cancel counts that TF-IDF takes logarithms of.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group

#: Columns. On the labelled sets at hand 2**11 loses 0.002 to 0.011 nats against 2**18 and is 128 times narrower; pairs
#: of words do not help at any width (docs/sentiment-learned.md).
WIDTH = 2**11
PREFIX = "word_"


@lru_cache(maxsize=1)
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer  # a second that bars need not spend

    return HashingVectorizer(n_features=WIDTH, norm=None, alternate_sign=False)


def _from_texts(texts: Sequence[str]) -> FloatArray:
    if not len(texts):
        return np.empty((0, WIDTH))
    counts: FloatArray = _vectorizer().transform(texts).toarray()
    return counts


GROUP = Group("words", (Feature(
    PREFIX.rstrip("_"), ("labels:text",), 0, f"count; one of {WIDTH:,} columns",
    f"occurrences of words of two letters or more, in lower case, whose MurmurHash3 modulo {WIDTH:,} is the column's "
    "number (Weinberger et al. 2009)", width=WIDTH),), from_texts=_from_texts)
