"""Does the learned scorer beat the lexicon? The line ``text_polarity`` on labelled texts, from files to verdict.

    python -m infra.studies.learned_sentiment --data ../shared/data

Every set by itself, then all together: ingest, leak audit, snapshot, search, evidence and gate are those of a training;
only MLflow is left out. The figures are of the evidence days, which no search has seen, with 95 % bootstrap intervals
over texts. ``--shuffle`` gives every text another one's label: then nothing may be promoted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from infra.studies import judging, scratch
from pipelines import config
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import load_lines
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.gate.report import sentences
from pipelines.ingest import providers
from pipelines.ingest import run as ingest_run
from pipelines.validation import metrics

DRAWS = 2000
CONTENDERS = ("lexicon", "candidate")


def figures(y: FloatArray, p: FloatArray) -> dict[str, float]:
    """Log loss in nats, accuracy, and F1 averaged over both classes."""
    found = metrics.classification(y, p)
    other = metrics.classification(1 - y, 1 - p)["f1"]
    return {"log loss": found["log_loss"], "accuracy": found["accuracy"],
            "macro-F1": float(np.nanmean([found["f1"], other]))}


def intervals(rows: pd.DataFrame) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Figure → contender (and ``difference``: candidate minus lexicon) → value and its 95 % interval."""
    y, said = rows["y"].to_numpy(), {name: rows[name].to_numpy() for name in CONTENDERS}

    def each(chosen: Any) -> pd.DataFrame:
        table = pd.DataFrame({name: figures(y[chosen], p[chosen]) for name, p in said.items()})
        return table.assign(difference=table["candidate"] - table["lexicon"])

    rng = np.random.default_rng(7)
    whole = each(np.arange(len(y)))
    draws = np.stack([each(rng.integers(len(y), size=len(y))).to_numpy() for _ in range(DRAWS)])
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    return {str(name): {str(column): (float(whole.iat[row, at]), float(low[row, at]), float(high[row, at]))
                        for at, column in enumerate(whole.columns)} for row, name in enumerate(whole.index)}


def main(
    data: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()] = Path("tests/data/labelled.toml"),
    shuffle: Annotated[bool, typer.Option(help="Permute the labels first.")] = False,
) -> None:
    """Verdicts and held-out figures, one table row for each set and figure."""
    console = Console(width=200)
    settings = config.load().model_copy(update={"source": "files", "data_dir": data, "manifest": manifest})
    line, as_of = load_lines(config.load().lines_dir)["text_polarity"], datetime(2020, 7, 18, tzinfo=UTC)
    table = Table(title="held-out texts of the evidence days")
    for column in ("set", "texts", "verdict", "p", "figure", "lexicon", "learned", "difference"):
        table.add_column(column)
    with scratch.warehouse() as store:
        provider = providers.create("files", settings)
        reports = [ingest_run.run(store, provider, month, kinds=[Kind.LABELS], at=as_of)
                   for month in Window(datetime(2020, 4, 1, tzinfo=UTC), as_of).months()]
        console.print(f"{sum(item.written for item in reports):,} labelled texts, "
                      f"{sum(item.refused for item in reports)} refused")
        optuna_url = scratch.database(store, "optuna")
        for sources in (("phrasebank",), ("taborda",), ("vader-tweets",), ()):
            target = line.target.model_copy(update={"sources": sources})
            found = judging.judge(store, optuna_url, line.model_copy(update={"target": target}), as_of, shuffle=shuffle)
            verdict, rows = found.verdict, found.evidence
            name = ", ".join(sources) or "all"
            console.print(f"[bold]{name}[/]: " + " ".join(sentences(verdict)), soft_wrap=True)
            for figure, values in intervals(rows).items():
                table.add_row(name, f"{len(rows):,}", verdict.outcome.value, f"{verdict.p_value:.4f}", figure, *(
                    f"{value:+.4f} [{low:+.4f}, {high:+.4f}]" if column == "difference" else
                    f"{value:.4f} [{low:.4f}, {high:.4f}]" for column, (value, low, high) in values.items()))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
