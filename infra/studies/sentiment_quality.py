"""What is the lexicon worth? Plain VADER and ours on labelled texts, the half that its authors looked at and the other.

    python -m infra.studies.sentiment_quality --data ../shared/data

The figures are those of ``pipelines.sentiment.quality``; ``tidemark sentiment-report`` has them on one page with the
rest of what sentiment is worth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipelines.sentiment import labelled, quality, score


def cell(found: quality.Estimate, form: str = ".4f") -> str:
    """A figure with its interval; the interval with one digit less."""
    brief = form.replace("4", "3")
    return f"{found.value:{form}} [{found.low:{brief}}, {found.high:{brief}}]"


def main(data: Annotated[Path, typer.Option()], draws: Annotated[int, typer.Option()] = 1000) -> None:
    """Accuracy, macro-F1 and correlation of VADER and of ours on each labelled set that is there."""
    table = Table(title="Sentiment against labels (95 % bootstrap intervals)")
    for column in ("set", "half", "texts", "measure", "VADER", "ours", "ours - VADER"):
        table.add_column(column)
    for texts in labelled.read(data / "labelled_sentiment"):
        scores = {name: score(texts.texts, name)["compound"].to_numpy() for name in ("vader", "tidemark")}
        for row in quality.compare(texts, scores, draws=draws):
            table.add_row(row.set, row.half, f"{row.texts:,}", row.measure, *map(cell, row.scorers.values()),
                          cell(row.difference, "+.4f"))
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
