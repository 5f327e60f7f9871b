"""The only door to vaderSentiment: its lexicon, its constants, and its rules about the neighbours of one word.

The rules are those of C.J. Hutto & E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text", ICWSM 2014, as written in ``vaderSentiment`` 3.3.2. Sums and products are taken in the reference's
order: results are equal, not close (see tests/unit/sentiment/test_vader.py).
"""

from __future__ import annotations

import heapq
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    C_INCR,
    N_SCALAR,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

#: No rule looks further back, or further ahead, than this many words.
BACK, AHEAD = 3, 2

BOOSTERS: Mapping[str, float] = BOOSTER_DICT
_CASES: dict[str, float] = SPECIAL_CASES
CAPITALS: float = C_INCR
_NEGATED: float = N_SCALAR
NEGATIONS = frozenset(NEGATE)
_EMPHATIC = ("so", "this")

_IDIOMATIC = frozenset(word for phrase in (*SPECIAL_CASES, *BOOSTER_DICT) if " " in phrase
                       for word in phrase.split()) - {"the", "to", "of", "for"}
#: Words that can change the valence of one of the three words after them. A word with none of these before it and
#: not itself in ``SPECIAL`` has its lexicon valence (and its capitals): that spares most words the rules.
ACTIVE = frozenset({*BOOSTER_DICT, *NEGATE, *_EMPHATIC, "no", "least", *_IDIOMATIC})
#: Words whose own valence depends on what follows them, or that end an idiom.
SPECIAL = frozenset({"no", "kind", *_IDIOMATIC})


class Word(NamedTuple):
    """What the rules ask about a word."""

    lower: str
    upper: bool
    valence: float | None  # None: not in the lexicon
    booster: float
    negates: bool


@lru_cache(maxsize=1)
def reference() -> tuple[dict[str, float], dict[str, str]]:
    """The reference's lexicon (word → valence) and descriptions of single-character emoji."""
    base = SentimentIntensityAnalyzer()
    return base.lexicon, {key: text for key, text in base.emojis.items() if len(key) == 1}


def bare(token: str) -> str:
    """A token without the punctuation around it; two characters or fewer are probably an emoticon, whose punctuation
    is its meaning."""
    stripped = token.strip(string.punctuation)
    return token if len(stripped) <= 2 else stripped


def describe(token: str, lexicon: Mapping[str, float]) -> Word:
    """The word of a bare token."""
    lower = token.lower()
    return Word(lower, token.isupper(), lexicon.get(lower), BOOSTERS.get(lower, 0.0),
                lower in NEGATIONS or "n't" in lower)


def valence(words: Sequence[Word], at: int, mixed: bool) -> float:
    """The valence of the word at ``at`` among its neighbours.

    Args:
        words: at least the ``BACK`` words before and the ``AHEAD`` words after it, if there are as many.
        mixed: whether some but not all words of the whole text are in capitals.
    """
    word = words[at]
    if word.valence is None or word.lower in BOOSTERS:
        return 0.0
    following = words[at + 1] if at + 1 < len(words) else None
    if word.lower == "kind" and following is not None and following.lower == "of":
        return 0.0
    value = word.valence
    if word.lower == "no" and following is not None and following.valence is not None:
        value = 0.0  # this "no" negates its neighbour and says nothing itself
    if _follows_no(words, at):
        value = word.valence * _NEGATED
    if word.upper and mixed:
        value += CAPITALS if value > 0 else -CAPITALS
    for distance in (1, 2, 3):
        if at >= distance and words[at - distance].valence is None:
            value += _boost(words[at - distance], value, mixed) * (1.0, 0.95, 0.9)[distance - 1]
            value = _negate(words, at, distance, value)
            if distance == 3:
                value = _idioms(words, at, value)
    return _least(words, at, value)


def _follows_no(words: Sequence[Word], at: int) -> bool:
    return ((at > 0 and words[at - 1].lower == "no") or (at > 1 and words[at - 2].lower == "no")
            or (at > 2 and words[at - 3].lower == "no" and words[at - 1].lower in ("or", "nor")))


def _boost(word: Word, value: float, mixed: bool) -> float:
    if not word.booster:
        return 0.0
    scalar = -word.booster if value < 0 else word.booster
    if word.upper and mixed:
        scalar += CAPITALS if value > 0 else -CAPITALS
    return scalar


def _negate(words: Sequence[Word], at: int, distance: int, value: float) -> float:
    before = words[at - distance]
    one = words[at - 1].lower
    if distance == 2:
        if before.lower == "never" and one in _EMPHATIC:
            return value * 1.25
        if before.lower == "without" and one == "doubt":
            return value
    elif distance == 3:
        two = words[at - 2].lower
        if (before.lower == "never" and two in _EMPHATIC) or one in _EMPHATIC:
            return value * 1.25
        if before.lower == "without" and "doubt" in (two, one):
            return value
    return value * _NEGATED if before.negates else value


def _idioms(words: Sequence[Word], at: int, value: float) -> float:
    """Special cases around a word that has at least three before it."""
    three, two, one, zero = (words[at - k].lower for k in (3, 2, 1, 0))
    if _IDIOMATIC.isdisjoint((three, two, one, zero, *(word.lower for word in words[at + 1:at + 3]))):
        return value
    for sequence in (f"{one} {zero}", f"{two} {one} {zero}", f"{two} {one}", f"{three} {two} {one}",
                     f"{three} {two}"):
        if sequence in _CASES:
            value = _CASES[sequence]
            break
    if at + 1 < len(words):
        value = _CASES.get(f"{zero} {words[at + 1].lower}", value)
    if at + 2 < len(words):
        value = _CASES.get(f"{zero} {words[at + 1].lower} {words[at + 2].lower}", value)
    for sequence in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"):
        value += BOOSTERS.get(sequence, 0.0)
    return value


def _least(words: Sequence[Word], at: int, value: float) -> float:
    if at == 0 or words[at - 1].lower != "least" or words[at - 1].valence is not None:
        return value
    if at > 1 and words[at - 2].lower in ("at", "very"):
        return value
    return value * _NEGATED


def contrast(values: list[float], before: int) -> list[float]:
    """Halve the first ``before`` values (those in front of the first "but"; zeros left out: they stay zeros) and
    raise the others by half.

    The reference finds the word to change by its *value*, so an equal earlier word is changed in its place; a heap of
    positions per value finds the same first position without searching the list.
    """
    changed = [value * 0.5 for value in values[:before]] + [value * 1.5 for value in values[before:]]
    if len({*values, *changed}) == 2 * len(values):
        return changed  # no two are equal at any time: each is found in its own place
    values = list(values)
    positions: dict[float, list[int]] = {}
    for at, value in enumerate(values):
        positions.setdefault(value, []).append(at)
    for at in range(len(values)):
        value = values[at]
        heap = positions[value]
        first = heap[0]
        new = value * 0.5 if first < before else value * 1.5
        heapq.heappop(heap)
        values[first] = new
        heapq.heappush(positions.setdefault(new, []), first)
    return values
