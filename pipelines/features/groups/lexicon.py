"""What our lexicon says of a text: for lines that learn from texts, beside their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group
from pipelines.sentiment import score


def _from_texts(texts: Sequence[str]) -> FloatArray:
    values: FloatArray = score(texts)[["compound"]].to_numpy(dtype=np.float64)
    return values


GROUP = Group("lexicon", (Feature(
    "lexicon_compound", ("labels:text",), 0, "-1 to 1",
    "`sentiment.score(text).compound`: the sum of the words' valences, squashed (Hutto and Gilbert 2014)"),),
    from_texts=_from_texts)
