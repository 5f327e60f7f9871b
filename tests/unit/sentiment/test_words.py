"""Arrow's words against those of Python's ``str``, over all characters and over random texts."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sentiment import lexicon, words
from pipelines.sentiment.vader import Analyzer
from pipelines.sentiment.words import split

OURS = {"vader": Analyzer(), "tidemark": Analyzer(lexicon.words(), lexicon.phrases(), cashtags=True)}

spaces = st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u2028\u3000\u200b\ufeff\0")
pieces = st.one_of(
    spaces, st.text(max_size=4), st.sampled_from([
        "$LOVE", "$love.", "$5", "$", "$$moon", "DON'T", "don\u2019t", "GOOD!!", ":)", "'n't", "to", "the", "moon",
        "TO", "THE", "MOON!", "\u0130", "\u212a", "\u017f", "\u00df", "10", "x", "but", "not", "😀",
        "\ud83d", "\ude00"]))


def as_python(texts: list[str]) -> list[list[str]]:
    """Surrogates as `split` documents them."""
    plain = texts if all(_storable(text) for text in texts) else [
        "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in text) for text in texts]
    return [text.split() for text in plain]


def _storable(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)


def tokens(texts: list[str]) -> list[list[str]]:
    distinct, which, ends = split(texts)
    named = [distinct[at].as_py() for at in which.tolist()]
    assert len(set(distinct.to_pylist())) == len(distinct)
    return [named[begin:end] for begin, end in zip([0, *ends.tolist()[:-1]], ends.tolist(), strict=True)]


@pytest.mark.no_cover
def test_every_character_parts_or_joins_as_in_python() -> None:
    texts = [f"a{chr(code)}b" for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    distinct, which, ends = split(texts)
    expected = [text.split() for text in texts]
    assert ends.tolist()[-1] == len(which)
    assert [len(one) for one in expected] == [end - begin for begin, end in
                                              zip([0, *ends.tolist()[:-1]], ends.tolist(), strict=True)]
    assert set(distinct.to_pylist()) == {token for one in expected for token in one}


@pytest.mark.no_cover
@given(st.lists(st.lists(pieces, max_size=12).map("".join), min_size=1, max_size=6))
def test_texts_are_split_as_in_python(texts: list[str]) -> None:
    assert tokens(texts) == as_python(texts)


def test_what_lies_behind_the_last_text_does_not_matter() -> None:
    """Arrow reads on after white space outside of ASCII, into memory that holds the continuation of something else."""
    long = ("Ö𒓦'n't$LOVE$5  \x85\x85\x80\x80\x80\U0001f2c7\x80\x81\x84\U0001f2b6\x80\x80\x80\U0001f2db$LOVE")
    texts = ["\x85", "\x85", long, "\x85"]  # 64 bytes: the end of what Arrow reserves
    expected = as_python(texts)
    assert [tokens(texts) for _ in range(300)] == [expected] * 300


@pytest.mark.no_cover
@pytest.mark.parametrize("name", list(OURS))
@given(texts=st.lists(st.lists(pieces | spaces, max_size=16).map("".join), min_size=1, max_size=6))
def test_words_are_looked_up_as_one_by_one(name: str, texts: list[str]) -> None:
    analyzer = OURS[name]
    expected = analyzer.score_many(texts).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_FEW", 0)
        assert analyzer.score_many(texts).tolist() == expected


@pytest.mark.no_cover
@pytest.mark.parametrize("name", list(OURS))
def test_every_short_ascii_word_is_looked_up_as_one_by_one(name: str) -> None:
    lookup = OURS[name]._lookup
    visible = [chr(code) for code in range(1, 127) if not chr(code).isspace()]
    distinct, _, _ = split([" ".join(first + second + third for first in visible for second in visible)
                            for third in ("", "'", "n't", "X", "!", "ad")])
    assert len(distinct) > 50_000
    code, valence = lookup(distinct)
    one_by_one = [lookup.word(word) for word in distinct.to_pylist()]
    assert list(zip(code.tolist(), valence.tolist(), strict=True)) == one_by_one
