"""From valences to VADER's four figures, for many texts at once and equal to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray

Ints = np.ndarray[Any, np.dtype[np.int64]]
_ALPHA = 15.0


def figures(values: FloatArray, text_of: Ints, words: Ints, texts: Sequence[str]) -> FloatArray:
    """(texts, 4): compound, positive, neutral, negative.

    Args:
        values: valences of the charged words, in their order.
        text_of: the text that each value belongs to.
        words: (texts,) words per text; those without a value are neutral.
        texts: as scored, for their exclamation and question marks.
    """
    count = len(texts)
    emphasis = _emphasis(texts)
    plus, minus = values > 0, values < 0
    total = _total(text_of, values, count)
    # A neutral word counts 1, so a charged one counts 1 plus its charge.
    positive = _total(text_of[plus], values[plus] + 1, count)
    negative = _total(text_of[minus], values[minus] - 1, count)
    neutral = words - np.bincount(text_of[plus | minus], minlength=count)
    total += np.sign(total) * emphasis
    wins, loses = positive > -negative, positive < -negative
    positive[wins] += emphasis[wins]
    negative[loses] -= emphasis[loses]
    weight = np.where(words > 0, positive - negative + neutral, 1.0)
    return np.column_stack([rounded(total / np.sqrt(total * total + _ALPHA), 4), rounded(positive / weight, 3),
                            rounded(neutral / weight, 3), rounded(np.abs(negative) / weight, 3)])


def _total(text_of: Ints, values: FloatArray, count: int) -> FloatArray:
    """Sums per text, added up from the first to the last as the reference's sum does; numpy's own goes by pairs."""
    return np.bincount(text_of, values, count).astype(np.float64)


def _emphasis(texts: Sequence[str]) -> FloatArray:
    exclamations = np.fromiter((text.count("!") for text in texts), np.int64, len(texts))
    questions = np.fromiter((text.count("?") for text in texts), np.int64, len(texts))
    asked = np.where(questions <= 1, 0.0, np.where(questions <= 3, questions * 0.18, 0.96))
    return np.asarray(np.minimum(exclamations, 4) * 0.292 + asked)


def rounded(values: FloatArray, digits: int) -> FloatArray:
    """``round(value, digits)`` of each.

    Far from a tie the nearest whole number of units is beyond doubt, and dividing it by the power of ten gives the
    double nearest to that decimal, as ``round`` does; ties are left to ``round`` itself, which looks at the exact
    binary value.
    """
    scale = 10.0**digits
    scaled = values * scale
    result = np.rint(scaled) / scale + 0.0  # no minus zero
    for at in np.flatnonzero(np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < 1e-6):
        result[at] = round(float(values[at]), digits) + 0.0
    return result
