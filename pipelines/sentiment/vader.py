"""The only door to vaderSentiment: its lexicon and constants, scored in linear time.

The rules are those of C.J. Hutto & E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text", ICWSM 2014, as written in ``vaderSentiment`` 3.3.2. The reference lowers every word of the text
again for each sentiment word it meets, and searches the whole list for each word after a "but": it is quadratic
(20,000 emoji take minutes). The functions below look at the same three neighbours with every word lowered once, so
a hostile text costs what its length costs. Sums and products are taken in the reference's order: results are equal,
not close (see tests/unit/sentiment/test_vader.py).
"""

from __future__ import annotations

import heapq
import math
import string
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    C_INCR,
    N_SCALAR,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
    normalize,
)

#: Longer texts are cut here before scoring: a bound on the work that one document can ask for. The longest
#: real article seen has some 10,000 characters.
MAX_CHARACTERS = 100_000

_BOOSTERS: dict[str, float] = BOOSTER_DICT
_CASES: dict[str, float] = SPECIAL_CASES
_CAPITALS: float = C_INCR
_NEGATED: float = N_SCALAR
_NEGATIONS = frozenset(NEGATE)
_EMPHATIC = ("so", "this")


class Polarity(NamedTuple):
    """VADER's four numbers: compound in [-1, 1]; positive, neutral, negative are shares of the text that add up
    to 1 (three decimals), all 0 for a text without words."""

    compound: float
    positive: float
    neutral: float
    negative: float


class Word(NamedTuple):
    """What the rules ask about a word, looked up once per distinct word."""

    lower: str
    upper: bool
    valence: float | None  # None: not in the lexicon
    booster: float
    negates: bool


class Analyzer:
    """VADER over its own lexicon plus ``words`` (lower case → valence -4..4) and ``phrases``.

    A phrase is a tuple of lower-case words; where it occurs it is read as one word with its own valence, so that
    negation, boosters and capitals act on it as on any other word. Without additions the result equals
    ``SentimentIntensityAnalyzer().polarity_scores``.
    """

    def __init__(self, words: Mapping[str, float] | None = None,
                 phrases: Mapping[tuple[str, ...], float] | None = None) -> None:
        base = SentimentIntensityAnalyzer()
        self._emojis: dict[str, str] = {key: text for key, text in base.emojis.items() if len(key) == 1}
        self._lexicon: dict[str, float] = {**base.lexicon, **(words or {})}
        self._phrases: dict[str, list[tuple[str, ...]]] = {}
        # Longest first: "to the moon and back" must win over "to the moon".
        for phrase in sorted(phrases or {}, key=len, reverse=True):
            self._phrases.setdefault(phrase[0], []).append(phrase)
            self._lexicon["_".join(phrase)] = (phrases or {})[phrase]
        self._word: Callable[[str], Word] = lru_cache(maxsize=1 << 16)(self._look_up)

    def score(self, text: str) -> Polarity:
        """The polarity of the first ``MAX_CHARACTERS`` of one text."""
        text = self._describe_emojis(text[:MAX_CHARACTERS]).strip()
        words = [self._word(token) for token in text.split()]
        if self._phrases:
            words = self._join_phrases(words)
        shouting = sum(word.upper for word in words)
        mixed = 0 < shouting < len(words)
        valences = [0.0 if word.valence is None else self._valence(words, at, mixed) for at, word in enumerate(words)]
        return _summarise(_contrast(words, valences), text)

    def _look_up(self, token: str) -> Word:
        stripped = token.strip(string.punctuation)
        # Two characters or fewer are probably an emoticon, whose punctuation is its meaning.
        token = token if len(stripped) <= 2 else stripped
        return self._describe(token)

    def _describe(self, token: str) -> Word:
        lower = token.lower()
        return Word(lower, token.isupper(), self._lexicon.get(lower), _BOOSTERS.get(lower, 0.0),
                    lower in _NEGATIONS or "n't" in lower)

    def _describe_emojis(self, text: str) -> str:
        if text.isascii() or self._emojis.keys().isdisjoint(text):
            return text
        pieces: list[str] = []
        after_space = True
        for character in text:
            description = self._emojis.get(character)
            if description is None:
                pieces.append(character)
                after_space = character == " "
            else:
                pieces.append(description if after_space else f" {description}")
                after_space = False
        return "".join(pieces)

    def _join_phrases(self, words: list[Word]) -> list[Word]:
        phrases = self._phrases
        if phrases.keys().isdisjoint([word.lower for word in words]):
            return words
        joined: list[Word] = []
        at = 0
        while at < len(words):
            candidates = phrases.get(words[at].lower)
            match = candidates and next((phrase for phrase in candidates if self._reads(words, at, phrase)), None)
            if not match:
                joined.append(words[at])
                at += 1
                continue
            name = "_".join(match)
            shouted = all(word.upper for word in words[at:at + len(match)])
            joined.append(self._describe(name.upper() if shouted else name))
            at += len(match)
        return joined

    @staticmethod
    def _reads(words: Sequence[Word], at: int, phrase: tuple[str, ...]) -> bool:
        return at + len(phrase) <= len(words) and all(
            words[at + k].lower == part for k, part in enumerate(phrase))

    def _valence(self, words: Sequence[Word], at: int, mixed: bool) -> float:
        word = words[at]
        if word.valence is None or word.lower in _BOOSTERS:
            return 0.0
        following = words[at + 1] if at + 1 < len(words) else None
        if word.lower == "kind" and following is not None and following.lower == "of":
            return 0.0
        valence = word.valence
        if word.lower == "no" and following is not None and following.valence is not None:
            valence = 0.0  # this "no" negates its neighbour and says nothing itself
        if _follows_no(words, at):
            valence = word.valence * _NEGATED
        if word.upper and mixed:
            valence += _CAPITALS if valence > 0 else -_CAPITALS
        for distance in (1, 2, 3):
            if at >= distance and words[at - distance].valence is None:
                valence += _boost(words[at - distance], valence, mixed) * (1.0, 0.95, 0.9)[distance - 1]
                valence = _negate(words, at, distance, valence)
                if distance == 3:
                    valence = _idioms(words, at, valence)
        return _least(words, at, valence)


def _follows_no(words: Sequence[Word], at: int) -> bool:
    return ((at > 0 and words[at - 1].lower == "no") or (at > 1 and words[at - 2].lower == "no")
            or (at > 2 and words[at - 3].lower == "no" and words[at - 1].lower in ("or", "nor")))


def _boost(word: Word, valence: float, mixed: bool) -> float:
    if not word.booster:
        return 0.0
    scalar = -word.booster if valence < 0 else word.booster
    if word.upper and mixed:
        scalar += _CAPITALS if valence > 0 else -_CAPITALS
    return scalar


def _negate(words: Sequence[Word], at: int, distance: int, valence: float) -> float:
    before = words[at - distance]
    one = words[at - 1].lower
    if distance == 2:
        if before.lower == "never" and one in _EMPHATIC:
            return valence * 1.25
        if before.lower == "without" and one == "doubt":
            return valence
    elif distance == 3:
        two = words[at - 2].lower
        if (before.lower == "never" and two in _EMPHATIC) or one in _EMPHATIC:
            return valence * 1.25
        if before.lower == "without" and "doubt" in (two, one):
            return valence
    return valence * _NEGATED if before.negates else valence


def _idioms(words: Sequence[Word], at: int, valence: float) -> float:
    """Special cases around a word that has at least three before it."""
    three, two, one, zero = (words[at - k].lower for k in (3, 2, 1, 0))
    for sequence in (f"{one} {zero}", f"{two} {one} {zero}", f"{two} {one}", f"{three} {two} {one}",
                     f"{three} {two}"):
        if sequence in _CASES:
            valence = _CASES[sequence]
            break
    if at + 1 < len(words):
        valence = _CASES.get(f"{zero} {words[at + 1].lower}", valence)
    if at + 2 < len(words):
        valence = _CASES.get(f"{zero} {words[at + 1].lower} {words[at + 2].lower}", valence)
    for sequence in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"):
        valence += _BOOSTERS.get(sequence, 0.0)
    return valence


def _least(words: Sequence[Word], at: int, valence: float) -> float:
    if at == 0 or words[at - 1].lower != "least" or words[at - 1].valence is not None:
        return valence
    if at > 1 and words[at - 2].lower in ("at", "very"):
        return valence
    return valence * _NEGATED


def _contrast(words: Sequence[Word], sentiments: list[float]) -> list[float]:
    """Halve what comes before the first "but" and raise what comes after by half.

    The reference finds the word to change by its *value*, so an equal earlier word is changed in its place; a heap
    of positions per value finds the same first position without searching the list.
    """
    pivot = next((at for at, word in enumerate(words) if word.lower == "but"), None)
    if pivot is None:
        return sentiments
    positions: dict[float, list[int]] = {}
    for at, value in enumerate(sentiments):
        positions.setdefault(value, []).append(at)
    for at in range(len(sentiments)):
        value = sentiments[at]
        heap = positions[value]
        first = heap[0]
        changed = value * 0.5 if first < pivot else value * 1.5 if first > pivot else value
        if changed != value:
            heapq.heappop(heap)
            sentiments[first] = changed
            heapq.heappush(positions.setdefault(changed, []), first)
    return sentiments


def _summarise(sentiments: Sequence[float], text: str) -> Polarity:
    if not sentiments:
        return Polarity(0.0, 0.0, 0.0, 0.0)
    marks = text.count("?")
    emphasis = min(text.count("!"), 4) * 0.292 + (0.0 if marks <= 1 else marks * 0.18 if marks <= 3 else 0.96)
    total = float(sum(sentiments))
    if total:
        total += math.copysign(emphasis, total)
    positive = negative = 0.0
    neutral = 0
    for value in sentiments:
        if value > 0:
            positive += value + 1  # a neutral word counts 1, so a charged one counts 1 plus its charge
        elif value < 0:
            negative += value - 1
        else:
            neutral += 1
    if positive > -negative:
        positive += emphasis
    elif positive < -negative:
        negative -= emphasis
    weight = positive - negative + neutral
    return Polarity(round(normalize(total), 4), round(positive / weight, 3), round(neutral / weight, 3),
                    round(abs(negative) / weight, 3))
