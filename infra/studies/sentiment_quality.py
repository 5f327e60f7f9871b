"""What is the lexicon worth? Plain VADER and ours on labelled texts, the half that its authors looked at and the other.

    python -m infra.studies.sentiment_quality --data ../shared/data

Texts fall into the halves "seen" and "held out" by a hash of themselves: a text is never in both, and no later set
changes the half of an earlier one. Intervals are percentiles of a bootstrap over texts (Efron & Tibshirani 1993,
section 13.3); the difference between the lexicons is taken on the same resamples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment import mentions, score

SETS = ("financial_phrasebank_allagree", "taborda_spx_tweets_2020", "vader_tweets_groundtruth")
_TRUTH = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
Rows = np.ndarray[Any, np.dtype[np.int64]]
Measure = Callable[[FloatArray, FloatArray], float]


def held_out(texts: pd.Series) -> pd.Series:
    """Whether each text belongs to the half that nobody looked at when the lexicon was written."""
    return texts.map(lambda text: hashlib.sha256(text.encode()).digest()[-1] % 2 == 1)


def signs(compound: FloatArray) -> FloatArray:
    return np.where(np.abs(compound) < mentions.THRESHOLD, 0.0, np.sign(compound))


def accuracy(truth: FloatArray, compound: FloatArray) -> float:
    return float((signs(compound) == truth).mean())


def macro_f1(truth: FloatArray, compound: FloatArray) -> float:
    guess = signs(compound)
    scores = []
    for label in (-1.0, 0.0, 1.0):
        both = ((guess == label) & (truth == label)).sum()
        scores.append(2 * both / max((guess == label).sum() + (truth == label).sum(), 1))
    return float(np.mean(scores))


def correlation(truth: FloatArray, compound: FloatArray) -> float:
    return float(np.corrcoef(truth, compound)[0, 1])


def cell(measure: Callable[[Rows], float], rows: int, draws: int, form: str = ".4f") -> str:
    """A measure with its 95 % interval; ``measure`` takes the positions of the texts to look at."""
    generator = np.random.default_rng(7)
    low, high = np.quantile([measure(generator.integers(0, rows, rows)) for _ in range(draws)], [0.025, 0.975])
    return f"{measure(np.arange(rows)):{form}} [{low:{form[:-2]}3f}, {high:{form[:-2]}3f}]"


def lines(name: str, frame: pd.DataFrame, draws: int) -> list[tuple[str, ...]]:
    """Rows of the table for one labelled set: half, measure, VADER, ours, difference with its interval."""
    graded = "mean_rating" in frame
    truth = frame["mean_rating"].to_numpy(dtype=np.float64) if graded else frame["label"].map(_TRUTH).to_numpy()
    measures: dict[str, Measure] = {"correlation": correlation} if graded else {
        "accuracy": accuracy, "macro-F1": macro_f1, "correlation": correlation}
    texts = frame["text"].tolist()
    plain, ours = (score(texts, lexicon)["compound"].to_numpy() for lexicon in ("vader", "tidemark"))
    apart = held_out(frame["text"]).to_numpy(dtype=bool)
    rows: list[tuple[str, ...]] = []
    for half, mask in (("seen", ~apart), ("held out", apart)):
        cut = truth[mask], plain[mask], ours[mask]
        rows += [(name, half, f"{mask.sum():,}", label, *_cells(measure, *cut, draws))
                 for label, measure in measures.items()]
    return rows


def _cells(measure: Measure, truth: FloatArray, plain: FloatArray, ours: FloatArray,
           draws: int) -> tuple[str, str, str]:
    return (cell(lambda at: measure(truth[at], plain[at]), len(truth), draws),
            cell(lambda at: measure(truth[at], ours[at]), len(truth), draws),
            cell(lambda at: measure(truth[at], ours[at]) - measure(truth[at], plain[at]), len(truth), draws, "+.4f"))


def main(data: Annotated[Path, typer.Option()], draws: Annotated[int, typer.Option()] = 1000) -> None:
    """Accuracy, macro-F1 and correlation of VADER and of ours on each labelled set that is there."""
    table = Table(title="Sentiment against labels (95 % bootstrap intervals)")
    for column in ("set", "half", "texts", "measure", "VADER", "ours", "ours - VADER"):
        table.add_column(column)
    for name in SETS:
        path = data / "labelled_sentiment" / f"{name}.parquet"
        if path.exists():
            for row in lines(name, pd.read_parquet(path), draws):
                table.add_row(*row)
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
