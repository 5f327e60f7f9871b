"""Precision and recall of mentions against labelled texts (read twice, see docs/sentiment.md).

    python -m infra.studies.mention_quality --data ../shared/data              # the table and the errors
    python -m infra.studies.mention_quality --data ../shared/data --sample 50  # more texts to label, with their ids

Labels are ids only (``tests/data/mentions_labels.csv``): the texts are others' and stay where they are. A text of
Reddit or the news is its title; an article's id is a hash of its address. Rules of labelling: a coin's
chain or maker counts for the coin (Ripple for XRP, BSC for BNB), satoshis count for BTC, a share's cashtag never for a
coin that has the same letters (``$ONE`` in 2015 is Higher One), a company's name for its share.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from pipelines.sentiment.mentions import Finder

LABELS = Path(__file__).resolve().parents[2] / "tests" / "data" / "mentions_labels.csv"
COINS = ("BTC", "ETH", "SOL", "ADA", "XRP", "BNB", "DOGE", "LINK", "AVAX", "NEAR", "DOT", "LTC", "ETC", "ONE")
SHARES = ("AAPL", "AMZN", "BABA", "C", "CAT", "D", "FB", "GOOG")
_CANDIDATE = re.compile(r"\b(sol|ada|link|near|dot|one|etc|avalanche|ripple|sats|ether)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Quality:
    """Counts over (text, asset) pairs; ``errors`` holds (source, id, missed, wrong)."""

    texts: int
    right: int
    wrong: int
    missed: int
    errors: tuple[tuple[str, str, str, str], ...]

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + self.missed, 1)


def texts(data: Path) -> pd.DataFrame:
    """Columns ``source``, ``id``, ``text`` of all real texts."""
    posts = pd.read_parquet(data / "reddit_posts_2020_2022" / "posts.parquet", columns=["id", "title"])
    news = pd.read_parquet(data / "crypto_news_2021_2022" / "cryptonews.parquet", columns=["url", "title"]).dropna()
    tweets = pd.read_parquet(data / "stocknet_30" / "tweets.parquet", columns=["tweet_id", "text"])
    ids = [hashlib.sha256(url.encode()).hexdigest()[:12] for url in news["url"]]
    return pd.concat([
        pd.DataFrame({"source": "reddit", "id": posts["id"].astype(str), "text": posts["title"].fillna("")}),
        pd.DataFrame({"source": "news", "id": ids, "text": news["title"].to_numpy()}),
        pd.DataFrame({"source": "stocknet", "id": tweets["tweet_id"].astype(str), "text": tweets["text"]}),
    ], ignore_index=True).drop_duplicates(["source", "id"], ignore_index=True)


def evaluate(labels: pd.DataFrame, known: pd.DataFrame, assets: Iterable[str] = (*COINS, *SHARES)) -> Quality:
    """Compare the finder with ``labels`` (``source``, ``id``, ``mentions`` with blanks between)."""
    finder = Finder(assets)
    right = wrong = missed = 0
    errors = []
    rows = labels.merge(known, on=["source", "id"], validate="one_to_one")
    for row in rows.itertuples():
        truth, found = set(str(row.mentions).split()), set(finder.find(str(row.text)))
        right, wrong, missed = right + len(truth & found), wrong + len(found - truth), missed + len(truth - found)
        if truth != found:
            errors.append((str(row.source), str(row.id), " ".join(truth - found), " ".join(found - truth)))
    return Quality(len(rows), right, wrong, missed, tuple(errors))


def read_labels() -> pd.DataFrame:
    return pd.read_csv(LABELS, dtype=str, keep_default_na=False)


def main(data: Annotated[Path, typer.Option()], sample: Annotated[int, typer.Option()] = 0) -> None:
    """The table, or texts to label: half of them with words that are hard to tell."""
    console, known, labels = Console(width=160, highlight=False), texts(data), read_labels()
    if sample:
        new = known[~known["id"].isin(labels["id"])].copy()
        new["order"] = [hashlib.sha256(f"mentions{key}".encode()).hexdigest() for key in new["id"]]
        new = new.sort_values("order")
        hard = new["text"].str.contains(_CANDIDATE.pattern, case=False)
        for row in pd.concat([new[hard].head(sample // 2), new[~hard].head(sample - sample // 2)]).itertuples():
            console.print(f"{row.source},{row.id}: {row.text}", markup=False)
        return
    result = evaluate(labels, known)
    console.print(f"{result.texts} texts, {result.right + result.missed} mentions: precision {result.precision:.3f}, "
                  f"recall {result.recall:.3f}")
    for error in result.errors:
        console.print("{} {}: missed [{}], wrong [{}]".format(*error), markup=False)


if __name__ == "__main__":
    typer.run(main)
