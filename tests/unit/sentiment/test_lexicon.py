"""Our words: each with a reason, on VADER's scale, and better than VADER where money is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.sentiment import lexicon, quality, scorer

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "labelled_sentiment"


def test_every_entry_has_a_reason_and_a_weight_on_the_scale() -> None:
    words, phrases, reasons = lexicon.words(), lexicon.phrases(), lexicon.reasons()
    assert all(-4 <= weight <= 4 for weight in [*words.values(), *phrases.values()])
    assert set(reasons) == set(words) | {" ".join(phrase) for phrase in phrases}
    assert all(len(reason) >= 4 for reason in reasons.values())


def test_entries_are_lower_case_and_come_once() -> None:
    groups = (*lexicon._WORDS, *lexicon._EMOJI, *lexicon._PHRASES)
    entries = [entry for _, _, names in groups for entry in names]
    assert len(entries) == len(set(entries))
    assert all(entry == entry.lower() for entry in entries)
    assert all(len(phrase) > 1 for phrase in lexicon.phrases())
    assert all(" " not in word for word in lexicon.words())


@pytest.mark.parametrize(("text", "sign"), [
    ("hodl to the moon, BTC pump!", 1),
    ("got rekt, total rug", -1),
    ("this is fud", -1),
    ("very bullish on ETH", 1),
    ("bearish, more downside ahead", -1),
    ("BTC dump incoming", -1),
    ("new ATH today", 1),
    ("🚀🚀🚀", 1),
    ("📉 again", -1),
    ("diamond hands only", 1),
    ("death cross on the daily", -1),
    ("pump and dump", -1),
    ("not bullish", -1),
    ("buy the dip", 1),
    ("not going to zero", 1),
    ("the interest rate of the trust's shares", 0),
    ("smart contract support level at block 12", 0),
    ("the price is 42,000", 0),
    ("$LOVE and $WISH at the open", 0), ("I love $GME", 1),
    ("sales up 5 % on the year", 1), ("index down by $1.2bn", -1), ("stand up and sit down", 0),
    ("net profit decreased to EUR 4 mn", -1), ("sales grew, as well as costs", 1), ("based in Helsinki", 0),
    ("this coin 🔥", 1), ("🩸🩸", -1), ("💎🙌", 1), ("⬆️ 77 points", 1),
    ("you are the exit liquidity", -1), ("stacking sats", 1), ("earnings beat", 1), ("misses estimates again", -1),
])
def test_sign_of_what_crypto_people_write(text: str, sign: int) -> None:
    compound = scorer.score([text])["compound"].iloc[0]
    assert np.sign(compound) == sign, compound


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "gain"), [("financial_phrasebank_allagree", 0.15), ("taborda_spx_tweets_2020", 0.02)])
def test_better_than_vader_on_labelled_finance_texts_that_nobody_looked_at(name: str, gain: float) -> None:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not here: the labelled texts are development data")
    frame = pd.read_parquet(path)
    frame = frame[frame["text"].map(quality.is_held_out)]
    truth = frame["label"].map({"positive": 1, "neutral": 0, "negative": -1}).to_numpy()
    ours, theirs = (quality.accuracy(truth, scorer.score(frame["text"].tolist(), lexicon=name)["compound"])
                    for name in ("tidemark", "vader"))
    assert ours > theirs + gain


@pytest.mark.realdata
def test_no_worse_than_vader_on_everyday_tweets() -> None:
    path = DATA / "vader_tweets_groundtruth.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not here: the labelled texts are development data")
    frame = pd.read_parquet(path)
    rating = frame["mean_rating"].to_numpy()
    ours, theirs = (np.corrcoef(scorer.score(frame["text"].tolist(), lexicon=name)["compound"], rating)[0, 1]
                    for name in ("tidemark", "vader"))
    assert ours > theirs - 0.005
