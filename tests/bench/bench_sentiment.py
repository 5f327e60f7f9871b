"""Scoring texts, beside vaderSentiment and NLTK's copy of it in the same process.

Real texts when ``../shared/data`` is there, else generated ones; nothing is timed before all four figures are equal.
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import pandas as pd
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from pipelines.sentiment import scorer
from tests.bench.harness import Case

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TEXTS = 6_000
#: Texts for two processes: starting them costs what some 10,000 texts cost.
MANY = 200_000
#: Texts on which the reference's work grows with the square of their length: a length it can still bear.
HOSTILE = ["😀" * 500, "good but bad " * 300, "not good " * 400, "GREAT " * 300 + "but awful", "no " * 700]

Figures = list[tuple[float, ...]]


def _real(count: int) -> list[str]:
    """Distinct texts, two tweets to a post; none if the files are not here."""
    tweets, posts = (DATA / name for name in ("stocknet_30/tweets.parquet", "reddit_posts_2020_2022/posts.parquet"))
    if not (tweets.exists() and posts.exists()):
        return []
    some = pd.read_parquet(tweets, columns=["text"])["text"].dropna().drop_duplicates()
    frame = pd.read_parquet(posts, columns=["title", "body"]).fillna("")
    long = (frame["title"] + "\n" + frame["body"]).drop_duplicates()
    return [text for part, wanted in ((some, count * 2 // 3), (long, count // 3))
            for text in part.sample(min(wanted, len(part)), random_state=1)]


def _generated(count: int) -> list[str]:
    rng = random.Random(1)
    charged = sorted(SentimentIntensityAnalyzer().lexicon)
    plain = ["the", "market", "price", "of", "bitcoin", "is", "at", "a", "level", "we", "know", "today", "not", "so"]
    return [" ".join(rng.choice(rng.choices([charged, plain], [1, 9])[0]) for _ in range(rng.randint(3, 40)))
            for _ in range(count)]


def cases() -> list[Case]:
    reference = SentimentIntensityAnalyzer()
    texts = _real(TEXTS) or _generated(TEXTS)
    new = _Fresh()

    def ours(batch: list[str]) -> Figures:
        frame = scorer.score(batch, lexicon="vader")
        return list(frame.itertuples(index=False, name=None))

    def theirs(batch: list[str]) -> Figures:
        scores = [reference.polarity_scores(text) for text in batch]
        return [(one["compound"], one["pos"], one["neu"], one["neg"]) for one in scores]

    return [
        Case("sentiment_vs_vader", lambda: ours(texts), lambda: theirs(texts), len(texts), "texts", Figures.__eq__),
        Case("sentiment_first_met", lambda: ours(new.texts), lambda: theirs(new.texts), TEXTS, "texts", Figures.__eq__,
             new.turn, fresh_peer=lambda: None),
        Case("sentiment_hostile", lambda: ours(HOSTILE), lambda: theirs(HOSTILE), len(HOSTILE), "texts",
             Figures.__eq__, runs=3),
        *_beside_nltk(texts),
        _two_processes(),
    ]


class _Fresh:
    """Other texts at each turn, none of which the scorer has met."""

    def __init__(self) -> None:
        self._waiting: list[list[str]] = []
        self.texts: list[str] = []

    def turn(self) -> None:
        if not self._waiting:
            texts = random.Random(2).sample(some := _real(MANY) or _generated(MANY), len(some))
            self._waiting = [texts[begin:begin + TEXTS] for begin in range(0, len(texts) - TEXTS + 1, TEXTS)]
        self.texts = self._waiting.pop()


def _two_processes() -> Case:
    """The peer is one process. Seconds of wall time: what else the machine does counts."""
    @lru_cache(maxsize=1)
    def texts() -> list[str]:
        real = _real(MANY)
        return real + _generated(MANY - len(real))

    def run(workers: int) -> pd.DataFrame:
        return scorer.score(texts(), lexicon="vader", workers=workers)

    return Case("sentiment_two_processes", lambda: run(2), lambda: run(1), MANY, "texts",
                pd.DataFrame.equals, runs=3)


def _beside_nltk(texts: list[str]) -> list[Case]:
    """NLTK's copy of VADER over the same lexicon: other figures (it has neither emoji nor all rules), so only its count
    is compared. It comes without its lexicon file: ours serves."""
    try:
        from nltk.sentiment.vader import SentimentIntensityAnalyzer as Nltk
        from nltk.sentiment.vader import VaderConstants
    except ImportError:
        return []
    analyzer = Nltk.__new__(Nltk)
    analyzer.lexicon = SentimentIntensityAnalyzer().lexicon
    analyzer.constants = VaderConstants()
    return [Case("sentiment_vs_nltk", lambda: len(scorer.score(texts, lexicon="vader")),
                 lambda: len([analyzer.polarity_scores(text) for text in texts]), len(texts), "texts", int.__eq__,
                 runs=3)]
