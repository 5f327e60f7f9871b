"""VADER's rules over many texts at once, in linear time.

The reference lowers every word of the text again for each sentiment word it meets, and searches the whole list for
each word after a "but": it is quadratic (20,000 emoji take minutes). Here every distinct word of a batch of texts is
looked up once and becomes one byte that says what it can do (has a valence, changes its neighbours, is in capitals, is
"but"); what the bytes leave over for the rules of ``sentiment.rules`` is a small part of the words. Sums are taken in
the reference's order, so the figures are equal, not close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment import rules
from pipelines.sentiment.figures import Ints, figures
from pipelines.sentiment.phrases import Phrases
from pipelines.sentiment.words import Bytes, Lookup, Remembered, split

#: Longer texts are cut here before scoring: a bound on the work that one document can ask for. The longest
#: real article seen has some 10,000 characters.
MAX_CHARACTERS = 1_000_000
#: Texts are scored in batches of about so many characters: a bound on the memory that many texts can ask for.
BATCH_CHARACTERS = 500_000

# What a word can do, as bits of its byte.
_CHARGED, _ACTIVE, _SPECIAL, _UPPER, _BUT, _ANCHOR = (1 << bit for bit in range(6))


class Polarity(NamedTuple):
    """VADER's four numbers: compound in [-1, 1]; positive, neutral, negative are shares of the text that add up
    to 1 (three decimals), all 0 for a text without words."""

    compound: float
    positive: float
    neutral: float
    negative: float


class Analyzer:
    """VADER over its own lexicon plus ``words`` (lower case → valence -4..4) and ``phrases``.

    A phrase is a tuple of lower-case words; where it occurs it is read as one word with its own valence, so that
    negation, boosters and capitals act on it as on any other word. ``words`` may hold emoji. With ``cashtags``, what
    follows a dollar sign ("$LOVE") is a name and not the word. Without additions the result equals
    ``SentimentIntensityAnalyzer().polarity_scores``.
    """

    def __init__(self, words: Mapping[str, float] | None = None,
                 phrases: Mapping[tuple[str, ...], float] | None = None, *, cashtags: bool = False) -> None:
        lexicon, emojis = rules.reference()
        self._additions = dict(words or {})
        self._phrases = Phrases(phrases or {})
        self._lexicon = {**lexicon, **(words or {}), **self._phrases.names}
        can = dict.fromkeys(self._lexicon.keys() - rules.BOOSTERS.keys(), _CHARGED)
        for group, bit in ((rules.ACTIVE, _ACTIVE), (rules.SPECIAL, _SPECIAL), (("but",), _BUT),
                           (self._phrases.anchors, _ANCHOR)):
            for word in group:
                can[word] = can.get(word, 0) | bit
        self._lookup = Lookup({word: (code, self._lexicon.get(word, 0.0)) for word, code in can.items()},
                              negated=_ACTIVE, upper=_UPPER, cashtags=cashtags)
        self._words = Remembered(lambda token: rules.describe(self._lookup.bare(token), self._lexicon))
        # The reference sets a space before a description only where there is none; white space is split away later.
        self._descriptions = {ord(emoji): f" {description}" for emoji, description in emojis.items()}
        # Our own emoji are words, whatever the reference would call them.
        self._descriptions |= {ord(word): f" {word} " for word in self._additions if len(word) == 1 and word > "\xff"}
        self._is_emoji = np.zeros(max(self._descriptions) + 2, dtype=bool)  # the last one stands for all beyond it
        self._is_emoji[list(self._descriptions)] = True

    def score(self, text: str) -> Polarity:
        """The polarity of one text; ``score_many`` is many times quicker for many."""
        return Polarity(*self.score_many([text])[0].tolist())

    def score_many(self, texts: Sequence[str]) -> FloatArray:
        """(texts, 4): compound, positive, neutral, negative of the first ``MAX_CHARACTERS`` of each text."""
        parts, begin, characters = [np.empty((0, 4))], 0, 0
        for at, text in enumerate(texts):
            characters += len(text)
            if characters >= BATCH_CHARACTERS:
                parts.append(self._batch(texts[begin:at + 1]))
                begin, characters = at + 1, 0
        if begin < len(texts):
            parts.append(self._batch(texts[begin:]))
        return np.concatenate(parts)

    def _batch(self, texts: Sequence[str]) -> FloatArray:
        texts = self._plain(texts)
        words, which, ends = split(texts)
        code, valence = self._lookup(words)
        named = words.to_pylist()
        if self._phrases:
            which, ends, names = self._phrases.join(named, which, code & _ANCHOR != 0, ends)
            for name in names:
                one, value = self._lookup.word(name)
                code, valence = np.append(code, np.uint8(one)), np.append(valence, value)
            named += names
        code = code[which]
        starts = np.concatenate([[0], ends[:-1]])
        charged = np.flatnonzero(code & _CHARGED)
        text_of = np.searchsorted(ends, charged, side="right")
        values = valence[which[charged]]
        self._rule(values, named, which, code, charged, text_of, starts, ends)
        self._contrast(code, charged, values, text_of, starts, ends)
        return figures(values, text_of, ends - starts, texts)

    def _plain(self, texts: Sequence[str]) -> list[str]:
        """The texts, cut, with emoji described."""
        plain = [text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] for text in texts]
        beyond = [at for at, text in enumerate(plain) if not text.isascii()]
        together = "".join([plain[at] for at in beyond]).encode("utf-32-le", "surrogatepass")
        characters = np.frombuffer(together, "<u4")
        emoji = np.flatnonzero(self._is_emoji[np.minimum(characters, len(self._is_emoji) - 1)])
        ends = np.cumsum([len(plain[at]) for at in beyond])
        for which in np.unique(np.searchsorted(ends, emoji, side="right")).tolist():
            plain[beyond[which]] = plain[beyond[which]].translate(self._descriptions)
        return plain

    def _rule(self, values: FloatArray, words: list[str], which: Ints, code: Bytes, charged: Ints, text_of: Ints,
              starts: Ints, ends: Ints) -> None:
        """Take the neighbours of each charged word into account, in place."""
        shouted = _sums(code & _UPPER != 0, starts, ends)
        mixed = ((shouted > 0) & (shouted < ends - starts))[text_of]
        loud = (code[charged] & _UPPER != 0) & mixed
        ruled = code[charged] & _SPECIAL != 0
        for distance in range(1, rules.BACK + 1):
            inside = charged - distance >= starts[text_of]
            ruled |= inside & (code[np.maximum(charged - distance, 0)] & _ACTIVE != 0)
        values[loud] += np.where(values[loud] > 0, rules.CAPITALS, -rules.CAPITALS)
        rest = np.flatnonzero(ruled)
        first = np.maximum(charged[rest] - rules.BACK, starts[text_of[rest]]).tolist()
        last = np.minimum(charged[rest] + rules.AHEAD + 1, ends[text_of[rest]]).tolist()
        for target, at, low, high, capitals in zip(rest.tolist(), charged[rest].tolist(), first, last,
                                                   mixed[rest].tolist(), strict=True):
            near = [self._words[words[word]] for word in which[low:high].tolist()]
            values[target] = rules.valence(near, at - low, capitals)

    @staticmethod
    def _contrast(code: Bytes, charged: Ints, values: FloatArray, text_of: Ints,
                  starts: Ints, ends: Ints) -> None:
        """Apply the rule of "but", in place, to the texts that have one."""
        buts = np.flatnonzero(code & _BUT)
        text, first = np.unique(np.searchsorted(ends, buts, side="right"), return_index=True)
        low, high = (np.searchsorted(text_of, text, side=side).tolist() for side in ("left", "right"))
        pivots = np.searchsorted(charged, buts[first]).tolist()
        for begin, end, pivot in zip(low, high, pivots, strict=True):
            if end > begin:
                some = values[begin:end]
                nonzero = np.flatnonzero(some)
                before = int(np.searchsorted(nonzero, pivot - begin))
                some[nonzero] = rules.contrast(some[nonzero].tolist(), before)


def _sums(flags: np.ndarray[tuple[int], np.dtype[np.bool_]], starts: Ints, ends: Ints) -> Ints:
    """How many flags are set in each text."""
    total = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(total[ends] - total[starts])
