"""What was sentiment worth on real posts, news and prices? The report of `tidemark sentiment-report` in one command.

    python -m infra.studies.sentiment_worth --data ../shared/data --out sentiment-report.html

Loads the months into a scratch warehouse, scores their texts, and writes the page and beside it the same as JSON.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.studies import scratch
from pipelines import config
from pipelines.cli.output import plain
from pipelines.contracts.line import load_lines
from pipelines.contracts.window import Window
from pipelines.ingest import providers
from pipelines.training.worth import page, study

#: Before the first forecast: the longest training window of a line and its label.
LEAD = timedelta(days=60)


def main(
    data: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()] = Path("tests/data/shared.toml"),
    out: Annotated[Path, typer.Option()] = Path("sentiment-report.html"),
    as_of: Annotated[datetime, typer.Option(help="UTC.")] = datetime(2022, 6, 1),
    days: Annotated[int, typer.Option(help="Days of texts and prices.")] = 212,
    tested_days: Annotated[int, typer.Option(help="Days that each line forecasts.")] = 140,
) -> None:
    """Quality, lead and lag, and the worth of sentiment for every line, with two families."""
    console, end = Console(width=120), as_of.replace(tzinfo=UTC)
    settings = config.load().model_copy(update={"source": "files", "data_dir": data, "manifest": manifest})
    with scratch.warehouse() as store, console.status("loading, scoring, walking"):
        window = Window(end - max(timedelta(days=days), timedelta(days=tested_days) + LEAD), end)
        scratch.load(store, providers.create("files", settings), window, at=end)
        found = study.study(store, load_lines(settings.lines_dir).values(), end, texts=data / "labelled_sentiment",
                            days=days, tested_days=tested_days, families=("logistic_regression", "lightgbm"))
    out.write_text(page.html(found), encoding="utf-8")
    record = page.to_dict(found)
    out.with_suffix(".json").write_text(json.dumps(plain(record), indent=1), encoding="utf-8")
    for sentence in record["summary"]:
        console.print(f"- {sentence}", markup=False)


if __name__ == "__main__":
    typer.run(main)
