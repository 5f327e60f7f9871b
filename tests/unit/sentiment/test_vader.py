"""Equal to the reference, in linear time."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE, SPECIAL_CASES, SentimentIntensityAnalyzer

from pipelines.sentiment import rules, vader, words
from pipelines.sentiment.figures import rounded
from pipelines.sentiment.vader import Analyzer

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "labelled_sentiment"

#: ``FUZZED=100000 pytest -k fuzzed`` for the long run.
FUZZED = int(os.environ.get("FUZZED", "4000"))
REFERENCE = SentimentIntensityAnalyzer()
OURS = Analyzer()

#: What the rules look at: negations, boosters, idioms, contrast, and the words around them.
_RULES = (
    "but But BUT no No or nor never so this without doubt least at very the shit bomb bad ass bus stop yeah right "
    "kiss of death to die for kind kind-of sort just enough not isn't n't beating heart hand upper GOOD")
RULE_WORDS = [*_RULES.split(), *BOOSTER_DICT, *NEGATE]
FILL = ["market", "price", "table", "of", "a", "we", "I", "it", "was", "x", "12", "$5", "BTC", "ß", "İſ"]
MARKS = ["", "", "", "", "!", "!!!!!", "?", "??", "????", ".", ",", ":)", "...", "'", '"']
GAPS = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", ""]


def polarity(text: str) -> tuple[float, ...]:
    scores = REFERENCE.polarity_scores(text)
    return scores["compound"], scores["pos"], scores["neu"], scores["neg"]


def fuzzed(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    lexicon, emojis = sorted(REFERENCE.lexicon), sorted(REFERENCE.emojis)

    def token() -> str:
        word = rng.choice(rng.choices([RULE_WORDS, lexicon, FILL, emojis], [45, 30, 15, 10])[0])
        word = rng.choice([word] * 6 + [word.upper(), word.capitalize()])
        return (rng.choice(MARKS) if rng.random() < 0.1 else "") + word + rng.choice(MARKS)

    return ["".join(token() + rng.choice(GAPS) for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 13, 30])))
            for _ in range(count)]


def unequal(texts: list[str]) -> list[str]:
    ours = map(tuple, OURS.score_many(texts).tolist())
    return [text for text, figures in zip(texts, ours, strict=True) if figures != polarity(text)]


def test_equals_the_reference_on_fuzzed_texts() -> None:
    texts = fuzzed(20240101, FUZZED)
    assert unequal(texts) == []
    assert sum(polarity(text)[0] != 0 for text in texts[:4000]) > 2000  # the fuzz does meet the rules


NEIGHBOURS = ["never", "so", "this", "without", "doubt", "no", "or", "nor", "least", "at", "very", "kind", "of", "the",
              "NOT", "x", "good"]


@pytest.mark.parametrize("word", ["good", "BAD", "shit"])
def test_equals_the_reference_on_every_neighbourhood(word: str) -> None:
    texts = [f"x {' '.join(before)} {word}" for before in itertools.product(NEIGHBOURS, repeat=3)]
    assert unequal(list(texts)) == []


@pytest.mark.parametrize("phrase", [*SPECIAL_CASES, *(name for name in BOOSTER_DICT if " " in name)])
def test_equals_the_reference_around_idioms(phrase: str) -> None:
    for text in (f"a b c {phrase}", f"a b c {phrase} good", f"good a b {phrase} bad a b", f"x y {phrase} z good",
                 f"it is such a good {phrase} for all", phrase):
        assert tuple(OURS.score(text)) == polarity(text), text


@given(st.lists(st.one_of(st.sampled_from(RULE_WORDS), st.sampled_from(["good", "BAD", "great", "😀", "💔", "ok"]),
                          st.text(max_size=6)), max_size=25).map(" ".join))
def test_equals_the_reference_on_any_text(text: str) -> None:
    assert tuple(OURS.score(text)) == polarity(text)


@pytest.mark.parametrize("text", [
    "", " ", "!", "?!?!", ":)", "VADER is smart, handsome, and funny.", "VADER is VERY SMART, handsome, and FUNNY!!!",
    "VADER is not smart, handsome, nor funny.", "At least it isn't a horrible book.",
    "The book was only kind of good.", "Today only kinda sux! But I'll get by, lol", "Not bad at all",
    "Sentiment analysis has never been this good!", "With VADER, sentiment analysis is the shit!",
    "On the other hand, VADER is quite bad ass", "Without a doubt, an excellent idea.",
    "Catch utf-8 emoji such as 💘 and 💋 and 😁", "least good", "the very least good", "no good or great",
    "good but good but bad but good"])
def test_equals_the_reference_on_examples(text: str) -> None:
    assert tuple(OURS.score(text)) == polarity(text)


@pytest.mark.parametrize("text", ["😀" * 120, "good but bad " * 100, "not " * 300 + "good", "no " * 300, "!" * 500,
                                  "GREAT " * 200 + "but awful"])
def test_equals_the_reference_on_repetitive_texts(text: str) -> None:
    assert tuple(OURS.score(text)) == polarity(text)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["financial_phrasebank_allagree", "taborda_spx_tweets_2020",
                                  "vader_tweets_groundtruth"])
def test_equals_the_reference_on_labelled_texts(name: str) -> None:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not here: the labelled texts are development data")
    texts = pd.read_parquet(path)["text"]
    assert unequal(list(texts)) == []


def test_many_texts_at_once_equal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*fuzzed(11, 300), "", "but", "no", "good", "İ" * 70, "\ud800 good \U0001f600\udfff", "x" * 100]
    alone = [tuple(OURS.score(text)) for text in texts]
    for size, few in itertools.product((1, 100, 1_000_000), (0, 1_000_000)):
        monkeypatch.setattr(vader, "BATCH_CHARACTERS", size)
        monkeypatch.setattr(words, "_FEW", few)
        assert [tuple(row) for row in OURS.score_many(texts).tolist()] == alone


def test_forgetting_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = fuzzed(12, 200)
    monkeypatch.setattr(words, "REMEMBERED", 3)
    assert Analyzer().score_many(texts).tolist() == OURS.score_many(texts).tolist()


@given(st.lists(st.one_of(st.floats(-10, 10), st.integers(-40_000, 40_000).map(lambda half: half / 20_000)),
                min_size=1), st.sampled_from([3, 4]))
def test_rounding_is_pythons(values: list[float], digits: int) -> None:
    assert rounded(np.array(values), digits).tolist() == [round(value, digits) for value in values]


class TestHostileTexts:
    """The cap bounds the work; nothing is looked at more than a few times."""

    @pytest.mark.parametrize("text", ["😀" * 20_000, "good but bad " * 5_000, "a" * 200_000, "not good " * 10_000])
    def test_each_word_is_ruled_at_most_once(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        windows: list[int] = []
        original = rules.valence

        def counted(words: Sequence[rules.Word], at: int, mixed: bool) -> float:
            windows.append(len(words))
            return original(words, at, mixed)

        monkeypatch.setattr(rules, "valence", counted)
        OURS.score(text)
        assert len(windows) <= len(text)
        assert max(windows, default=0) <= rules.BACK + 1 + rules.AHEAD
        assert windows or "not" not in text

    def test_the_contrast_rule_moves_each_position_a_bounded_number_of_times(self,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
        moves = 0
        push = rules.heapq.heappush

        def counted(heap: list[int], item: int) -> None:
            nonlocal moves
            moves += 1
            push(heap, item)

        monkeypatch.setattr(rules.heapq, "heappush", counted)
        words = 15_000
        OURS.score("good but bad " * (words // 3))
        assert 0 < moves <= words

    def test_what_comes_after_the_cap_is_not_read(self) -> None:
        filler = "x " * (vader.MAX_CHARACTERS // 2)
        assert OURS.score(filler + "wonderful").compound == 0
        assert OURS.score("wonderful " + filler).compound > 0


class TestAdditions:
    def test_words_override_the_lexicon(self) -> None:
        assert Analyzer({"good": -3.0}).score("good").compound < 0

    def test_a_booster_has_no_charge_of_its_own(self) -> None:
        assert Analyzer({"very": 3.0}).score("very").compound == 0

    def test_a_phrase_is_one_word(self) -> None:
        analyzer = Analyzer({}, {("to", "the", "moon"): 2.7})
        once = analyzer.score("to the moon")
        assert once.compound > 0
        assert once.neutral == 0
        assert analyzer.score("not to the moon").compound < 0
        assert analyzer.score("the moon").compound == 0

    def test_the_longest_phrase_wins(self) -> None:
        analyzer = Analyzer({}, {("to", "the", "moon"): 2.0, ("to", "the", "moon", "and", "back"): -2.0})
        assert analyzer.score("to the moon and back").compound < 0

    def test_a_phrase_in_capitals_is_louder(self) -> None:
        analyzer = Analyzer({}, {("rug", "pull"): -3.0})
        assert analyzer.score("it was a RUG PULL today").compound < analyzer.score("it was a rug pull today").compound
