"""The public door: score(texts)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from pipelines.contracts.ports import Scorer
from pipelines.errors import ConfigError, ContractError
from pipelines.sentiment import score, scorer
from pipelines.sentiment.vader import Analyzer


def test_shape_and_types() -> None:
    frame = score(["good", "bad", ""])
    assert list(frame.columns) == ["compound", "positive", "neutral", "negative"]
    assert (frame.dtypes == np.float64).all()
    assert frame["compound"].tolist()[2] == 0
    assert score([]).shape == (0, 4)


def test_vader_equals_vader() -> None:
    texts = ["I love it!", "not so great, but ok", "HORRIBLE service", "😀 nice"]
    theirs = [SentimentIntensityAnalyzer().polarity_scores(text) for text in texts]
    frame = score(texts, lexicon="vader")
    assert frame["compound"].tolist() == [row["compound"] for row in theirs]
    assert frame["positive"].tolist() == [row["pos"] for row in theirs]
    assert frame["neutral"].tolist() == [row["neu"] for row in theirs]
    assert frame["negative"].tolist() == [row["neg"] for row in theirs]


def test_ours_is_the_default_and_knows_what_vader_does_not() -> None:
    text = ["hodl to the moon, BTC pump!"]
    assert score(text, lexicon="vader")["compound"].iloc[0] == 0
    assert score(text)["compound"].iloc[0] > 0.5


def test_missing_texts_score_like_empty_ones() -> None:
    frame = score(pd.Series(["good", None, np.nan, pd.NA], dtype=object))
    assert frame.iloc[1:].to_numpy().tolist() == [[0.0] * 4] * 3
    assert frame["compound"].iloc[0] > 0


def test_identical_texts_are_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = Analyzer.score_many
    monkeypatch.setattr(Analyzer, "score_many", lambda self, texts: seen.extend(texts) or original(self, texts))
    frame = score(["good", "bad", "good", "good"])
    assert sorted(seen) == ["bad", "good"]
    assert frame["compound"].nunique() == 2


def test_shares_add_up_to_one() -> None:
    frame = score(["good day, bad night", "rekt!!", "the table", "😀 😀 but sad"])
    assert frame[["positive", "neutral", "negative"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=0.002)


def test_refusals_name_the_remedy() -> None:
    with pytest.raises(ConfigError, match="choose one of tidemark, vader"):
        score(["x"], lexicon="nltk")
    with pytest.raises(ContractError, match="text 1 is a int"):
        score(["x", 3])  # type: ignore[list-item]
    with pytest.raises(ContractError, match="wrap it"):
        score("x")


def test_scorers_satisfy_the_port_and_are_made_once() -> None:
    one: Scorer = scorer.get("tidemark")
    assert one.name == "tidemark"
    assert scorer.get("tidemark") is one


@pytest.mark.parametrize("lexicon", ["vader", "tidemark"])
def test_processes_share_the_work_and_change_nothing(lexicon: str) -> None:
    texts = [f"{word} to the moon {number % 50}!" for number, word in enumerate(["good", "BAD", "not bad", ""] * 50)]
    pd.testing.assert_frame_equal(score(texts, lexicon, workers=2), score(texts, lexicon))
    assert score([], workers=2).shape == (0, 4)
    with pytest.raises(ConfigError, match="pass 1 or more"):
        score(texts, workers=0)
