"""Phrases of several words, read as one word wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipelines.sentiment import rules
from pipelines.sentiment.figures import Ints

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

    def join(self, tokens: list[str], codes: bytes, bit: int, ends: Ints,
             code_of: Callable[[str], int]) -> tuple[list[str], bytes, Ints]:
        """Tokens, codes and ends of texts with each phrase replaced by its name (in capitals if all of it was).

        Args:
            codes: one byte per token; ``bit`` is set for anchors.
            ends: (texts,) where the tokens of each text end.
            code_of: the byte of a token.
        """
        anchors = np.flatnonzero(np.frombuffer(codes, np.uint8) & bit)
        texts = np.searchsorted(ends, anchors, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        found: list[tuple[int, int, tuple[str, ...]]] = []
        for at, low, high in zip(anchors.tolist(), starts[texts].tolist(), ends[texts].tolist(), strict=True):
            for offset, phrase in self._by_anchor[rules.bare(tokens[at]).lower()]:
                begin = at - offset
                if low <= begin and begin + len(phrase) <= high and _reads(tokens, begin, phrase):
                    found.append((begin, -len(phrase), phrase))
        if not found:
            return tokens, codes, ends
        return _replace(tokens, codes, ends, sorted(set(found)), code_of)


def _name(phrase: tuple[str, ...]) -> str:
    return "_".join(phrase).replace(NUMBER, "0")  # punctuation at its end would be stripped


def _reads(tokens: Sequence[str], begin: int, phrase: tuple[str, ...]) -> bool:
    return all(rules.bare(tokens[begin + k]).lower() == part if part != NUMBER else
               _NUMERAL.match(tokens[begin + k]) is not None for k, part in enumerate(phrase))


def _replace(tokens: list[str], codes: bytes, ends: Ints, found: Sequence[tuple[int, int, tuple[str, ...]]],
             code_of: Callable[[str], int]) -> tuple[list[str], bytes, Ints]:
    new_tokens: list[str] = []
    new_codes: list[bytes] = []
    places: list[int] = []
    saved: list[int] = [0]
    done = 0
    for begin, minus_length, phrase in found:
        if begin < done:
            continue  # overlaps the phrase before
        end = begin - minus_length
        shouted = all(rules.bare(token).isupper() for token, part in zip(tokens[begin:end], phrase, strict=True)
                      if part != NUMBER)
        name = _name(phrase)
        name = name.upper() if shouted else name
        new_tokens += tokens[done:begin]
        new_tokens.append(name)
        new_codes += codes[done:begin], bytes([code_of(name)])
        places.append(begin)
        saved.append(saved[-1] + end - begin - 1)
        done = end
    new_tokens += tokens[done:]
    new_codes.append(codes[done:])
    return new_tokens, b"".join(new_codes), ends - np.asarray(saved)[np.searchsorted(places, ends)]
