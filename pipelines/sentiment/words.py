"""Texts to words, and words to what the rules need to know of them, whole batches at a time.

A tenth of the words of real texts are new, and cutting and asking for them one by one in Python costs more than all
rules: Arrow cuts, numbers the distinct ones, strips, lowers and looks up. It agrees with Python's ``str`` on white
space everywhere and on the rest in ASCII (tests compare both over all characters); other words go the way of Python.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment import rules
from pipelines.sentiment.figures import Ints

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

#: Distinct words remembered, each of at most so many characters: longer ones are mostly addresses, met once.
REMEMBERED, REMEMBERED_LENGTH = 1 << 18, 16
#: With fewer distinct words than this, setting up a search costs more than asking for each.
_FEW = 500
_SURROGATES = re.compile("[\ud800-\udfff]")

_Entry = TypeVar("_Entry")


class Remembered(dict[str, _Entry]):
    """Word → what ``entry`` says about it, worked out when first met; bounded."""

    def __init__(self, entry: Callable[[str], _Entry]) -> None:
        super().__init__()
        self._entry = entry

    def __missing__(self, word: str) -> _Entry:
        entry = self._entry(word)
        if len(word) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED:
                self.clear()  # who writes much nonsense must not make all later texts slow
            self[word] = entry
        return entry


def split(texts: Sequence[str]) -> tuple[pa.StringArray, Ints, Ints]:
    """The distinct words of the texts, which of them each token is, and where the tokens of each text end.

    Tokens are those of ``str.split``. Half of a surrogate pair, which UTF-8 cannot hold, reads as U+FFFD: neither is
    part of a known word, or a letter.
    """
    # A space after the last text: Arrow looks past the end of a text that ends in white space outside of ASCII, and
    # past the last one lies whatever lay in that memory before.
    try:
        together = pa.array([*texts, " "], pa.string())
    except UnicodeEncodeError:
        together = pa.array([*(_SURROGATES.sub("\ufffd", text) for text in texts), " "], pa.string())
    lists = pc.utf8_split_whitespace(together)[:-1]
    tokens, ends = lists.flatten(), lists.offsets.to_numpy()[1:].astype(np.int64)
    empty = pc.equal(pc.binary_length(tokens), 0).to_numpy(zero_copy_only=False)
    if empty.any():  # before leading and after trailing white space
        tokens = tokens.filter(pa.array(~empty))
        ends = ends - np.concatenate([[0], np.cumsum(empty)])[ends]
    numbered = tokens.dictionary_encode()
    return numbered.dictionary, numbered.indices.to_numpy(), ends


class Lookup:
    """Words → byte and valence.

    Args:
        known: bare lower-case word → its byte and valence; others have 0.
        negated: added to the byte of a word with "n't" in it.
        upper: added to the byte of a word in capitals.
        cashtags: whether what follows a dollar sign ("$LOVE") is a name and not the word.
    """

    def __init__(self, known: Mapping[str, tuple[int, float]], *, negated: int, upper: int, cashtags: bool) -> None:
        self._known, self._negated, self._upper, self._cashtags = dict(known), negated, upper, cashtags
        ascii_words = [word for word in known if word.isascii()]
        self._set = pa.array(ascii_words, pa.string())
        # The last entry is that of all unknown words.
        self._codes = np.array([*(known[word][0] for word in ascii_words), 0], np.uint8)
        self._valences = np.array([*(known[word][1] for word in ascii_words), 0.0], np.float64)
        self._remembered = Remembered(self._work_out)
        self.word = self._remembered.__getitem__

    def __call__(self, words: pa.StringArray) -> tuple[Bytes, FloatArray]:
        """(words,) bytes and valences."""
        if len(words) < _FEW:
            found = [self.word(word) for word in words.to_pylist()]
            return (np.array([code for code, _ in found], np.uint8),
                    np.array([valence for _, valence in found], np.float64))
        stripped = pc.ascii_trim(words, string.punctuation)
        bare = pc.if_else(pc.less_equal(pc.binary_length(stripped), 2), words, stripped)
        lower = pc.ascii_lower(bare)
        place = pc.index_in(lower, self._set).fill_null(len(self._set)).to_numpy()
        code, valence = self._codes[place], self._valences[place]
        code[_flags(pc.match_substring(lower, "n't"))] |= self._negated
        code[_flags(pc.ascii_is_upper(bare))] |= self._upper
        other = ~_flags(pc.string_is_ascii(words))
        if self._cashtags:
            other |= _flags(pc.starts_with(words, "$"))
        which = np.flatnonzero(other)
        for at, word in zip(which.tolist(), words.take(pa.array(which)).to_pylist(), strict=True):
            code[at], valence[at] = self.word(word)
        return code, valence

    def bare(self, token: str) -> str:
        """The token without the punctuation around it; a cashtag keeps its dollar sign."""
        if self._cashtags and token[0] == "$" and token[1:2].isalpha():
            return f"${rules.bare(token[1:])}"
        return rules.bare(token)

    def _work_out(self, token: str) -> tuple[int, float]:
        word = self.bare(token)
        lower = word.lower()
        code, valence = self._known.get(lower, (0, 0.0))
        return (code | (self._negated if "n't" in lower else 0) | (self._upper if word.isupper() else 0)), valence


def _flags(array: pa.BooleanArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(array.to_numpy(zero_copy_only=False))
