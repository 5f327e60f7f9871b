"""Phrases of several words, read as one word wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.sentiment import rules
from pipelines.sentiment.figures import Ints

Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: In a phrase: any number, with its sign, currency or unit.
NUMBER = "#"
_NUMERAL = re.compile(r"[(~]?[+-]?[$€£]?[.]?[0-9]")


class Phrases:
    """Finds phrases (tuples of lower-case words, ``#`` for a number) among tokens: from left to right, the longest
    at each place.

    Only the neighbourhood of *anchors* is searched, the longest word of each phrase: "moon" is rarer than "to".

    Attributes:
        names: joined name ("to_the_moon") → valence.
        anchors: the words around which to look.
    """

    def __init__(self, phrases: Mapping[tuple[str, ...], float]) -> None:
        self.names = {_name(phrase): valence for phrase, valence in phrases.items()}
        self._by_anchor: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for phrase in phrases:
            offset = max(range(len(phrase)), key=lambda at: (phrase[at] != NUMBER, len(phrase[at])))
            self._by_anchor.setdefault(phrase[offset], []).append((offset, phrase))
        self.anchors = frozenset(self._by_anchor)

    def __bool__(self) -> bool:
        return bool(self.names)

    def join(self, words: Sequence[str], which: Ints, anchor: Flags, ends: Ints) -> tuple[Ints, Ints, list[str]]:
        """``which`` and ``ends`` of texts with each phrase replaced by its name (in capitals if all of it was), and the
        names: they stand for the numbers from ``len(words)`` on.

        Args:
            words: distinct words; ``anchor`` (words,) says which are anchors.
            which: (tokens,) the word of each token of all texts.
            ends: (texts,) where the tokens of each text end.
        """
        anchors = np.flatnonzero(anchor[which])
        texts = np.searchsorted(ends, anchors, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        phrases = {word: self._by_anchor[rules.bare(words[word]).lower()] for word in np.flatnonzero(anchor).tolist()}
        tokens = which.tolist()
        found: list[tuple[int, int, tuple[str, ...]]] = []
        for at, low, high in zip(anchors.tolist(), starts[texts].tolist(), ends[texts].tolist(), strict=True):
            for offset, phrase in phrases[tokens[at]]:
                begin = at - offset
                end = begin + len(phrase)
                if low <= begin and end <= high and _reads(words, tokens[begin:end], phrase):
                    found.append((begin, -len(phrase), phrase))
        return _replace(words, which, ends, sorted(set(found))) if found else (which, ends, [])


def _name(phrase: tuple[str, ...]) -> str:
    return "_".join(phrase).replace(NUMBER, "0")  # punctuation at its end would be stripped


def _reads(words: Sequence[str], tokens: Sequence[int], phrase: tuple[str, ...]) -> bool:
    for token, part in zip(tokens, phrase, strict=True):
        word = words[token]
        if part == NUMBER:
            if _NUMERAL.match(word) is None:
                return False
        elif part not in word.lower() or rules.bare(word).lower() != part:
            return False
    return True


def _replace(words: Sequence[str], which: Ints, ends: Ints,
             found: Sequence[tuple[int, int, tuple[str, ...]]]) -> tuple[Ints, Ints, list[str]]:
    which, stays = which.copy(), np.ones(len(which), dtype=bool)
    names: dict[str, int] = {}
    done = 0
    for begin, minus_length, phrase in found:
        if begin < done:
            continue  # overlaps the phrase before
        done = begin - minus_length
        shouted = all(rules.bare(words[word]).isupper() for word, part in zip(which[begin:done], phrase, strict=True)
                      if part != NUMBER)
        name = _name(phrase).upper() if shouted else _name(phrase)
        which[begin] = names.setdefault(name, len(words) + len(names))
        stays[begin + 1:done] = False
    kept = np.concatenate([[0], np.cumsum(stays)])
    return which[stays], kept[ends], list(names)
