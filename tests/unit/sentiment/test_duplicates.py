"""Copies are found whatever is computed together, and opinions that merely sound alike are left alone."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sentiment import duplicates
from pipelines.sentiment.hours import HOUR_US, Ints

LONG = ("a holder of many coins said on Monday that the market will not wait for anybody and that his own "
        "patience ends with the year")
WORDS = [f"word{number}" for number in range(400)]


def find(*rows: tuple[float, str]) -> list[int]:
    """(hours, text), in order of time."""
    at = np.array([round(hours * HOUR_US) for hours, _ in rows], dtype=np.int64)
    return duplicates.copies([text for _, text in rows], at, np.arange(len(rows))).tolist()


@pytest.mark.parametrize(("later", "copy"), [
    (LONG, True),
    (LONG.upper(), True),
    (LONG.replace(",", ";") + " !!!", True),
    (LONG + " https://t.co/abc", True),
    (f"RT @someone: {LONG}", True),
    (LONG.replace("year", "week"), True),  # one shingle of 22: 21 / 23
    (LONG.replace("a holder", "this holder").replace("year", "week"), True),  # two: 20 / 24
    (LONG.replace("Monday", "Tuesday"), False),  # three: 19 / 25
    (LONG.replace("coins", "notes").replace("market", "crowd").replace("patience", "money"), False),
    (" ".join(reversed(LONG.split())), False),
    ("", False)])
def test_pairs(later: str, copy: bool) -> None:
    assert find((0, LONG), (1, later)) == [-1, 0 if copy else -1]


def test_short_texts_are_opinions_and_declared_copies_are_not() -> None:
    assert find((0, "BTC to the moon"), (1, "BTC to the moon")) == [-1, -1]
    fifteen = " ".join(WORDS[:15])
    assert find((0, fifteen), (1, fifteen)) == [-1, -1]
    assert find((0, f"{fifteen} end"), (1, f"{fifteen} end")) == [-1, 0]
    short = "Bitcoin breaks sixty thousand again today"
    assert find((0, f"RT @ann: {short}"), (1, f"RT @bob: {short}")) == [-1, 0]


def test_the_first_counts_and_chains_fold() -> None:
    assert find((0, LONG), (10, LONG), (20, LONG), (44.01, LONG)) == [-1, 0, 1, -1]


def test_the_horizon_is_closed() -> None:
    hours = duplicates.HORIZON_HOURS
    assert find((0, LONG), (hours, LONG)) == [-1, 0]
    assert find((0, LONG), (hours + 1e-6, LONG)) == [-1, -1]


def test_order_is_time_not_place() -> None:
    at = np.array([5 * HOUR_US, 3 * HOUR_US, 4 * HOUR_US])
    assert duplicates.copies([LONG] * 3, at, np.array([1, 2, 0])).tolist() == [2, -1, 1]


def test_hostile_texts_are_quick_and_harmless() -> None:
    texts = ["buy now " * 100_000, "x" * 1_000_000, "\ud83d " * 50, "💎" * 20_000, "a b c d e f g h " * 5_000]
    rows = [(number / 10, text) for number, text in enumerate(texts * 2)]
    assert find(*rows)[:5] == [-1] * 5
    assert find(*rows)[5] == 0


def some_texts(seed: int, size: int) -> tuple[list[str], Ints]:
    """Texts of 5 to 60 words; half of them are earlier ones with up to four words changed."""
    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(size):
        if texts and rng.random() < 0.5:
            words = rng.choice(texts[-20:]).split()
            for _ in range(rng.randint(0, 4)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
        else:
            words = rng.choices(WORDS, k=rng.randint(5, 60))
        texts.append(" ".join(words))
    return texts, np.cumsum([rng.randint(0, 2 * HOUR_US) for _ in range(size)]).astype(np.int64)


@given(st.integers(0, 10_000), st.integers(1, 119))
@settings(max_examples=25)
def test_any_stretch_that_reaches_back_far_enough_says_the_same(seed: int, cut: int) -> None:
    texts, at = some_texts(seed, 120)
    whole = duplicates.copies(texts, at, np.arange(120))
    begin = int(np.searchsorted(at, at[cut] - duplicates.HORIZON_HOURS * HOUR_US))
    part = duplicates.copies(texts[begin:], at[begin:], np.arange(120 - begin))
    assert np.where(part >= 0, part + begin, -1)[cut - begin:].tolist() == whole[cut:].tolist()
    known = duplicates.copies(texts[:cut], at[:cut], np.arange(cut))
    assert known.tolist() == whole[:cut].tolist()  # the future changes nothing


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_comparing_all_pairs_finds(seed: int) -> None:
    texts, at = some_texts(seed, 400)
    sets = [{tuple(words[place:place + 3]) for place in range(len(words) - 2)} for words in map(str.split, texts)]
    long = [len(re.findall(r"\w+", text)) >= duplicates.FEWEST_WORDS for text in texts]
    found = duplicates.copies(texts, at, np.arange(len(texts)))
    missed = 0
    for later in range(len(texts)):
        alike = [earlier for earlier in range(later) if long[later] and long[earlier]
                 and at[later] - at[earlier] <= duplicates.HORIZON_HOURS * HOUR_US
                 and len(sets[later] & sets[earlier]) / len(sets[later] | sets[earlier]) >= duplicates.THRESHOLD]
        if found[later] >= 0:
            assert found[later] in alike  # never a false one: the similarity is measured
        missed += bool(alike) and found[later] < 0
    assert (found >= 0).sum() > 45
    assert missed <= 0.02 * (found >= 0).sum()
