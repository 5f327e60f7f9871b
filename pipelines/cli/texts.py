"""Scoring texts by hand, with a lexicon or with what a line has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines import config
from pipelines.cli.context import AsOfOption, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, show
from pipelines.contracts.ports import Scorer


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    texts: Annotated[list[str], typer.Argument(help="Texts; each is scored by itself.", metavar="TEXT...")],
    line: Annotated[str | None, typer.Option(help="Score with the champion of this line instead of a lexicon.")] = None,
    transformer: Annotated[Path | None, typer.Option(help="Score with the model of this directory (safetensors; needs "
                                                          "transformers and torch).")] = None,
    lexicon: Annotated[str, typer.Option(help="tidemark or vader.")] = "tidemark",
    as_of: AsOfOption = None,
    json_output: JsonOption = False,
) -> None:
    """How positive or negative are these texts?"""
    from pipelines.sentiment import scorer

    if line is None:
        from pipelines.sentiment.transformer import load

        chosen: Scorer = scorer.get(lexicon) if transformer is None else load(transformer)
        name, found = chosen.name, chosen.score(texts)
    elif transformer is not None:
        raise typer.BadParameter("--line and --transformer exclude each other; name one")
    else:
        from pipelines.serving.scorer import champion_scorer

        with open_warehouse() as warehouse:
            learned = champion_scorer(warehouse, config.settings(), line_of(line), as_of_time(as_of))
        name, found = learned.name, learned.score(texts)
    show([{"text": text, **row} for text, row in zip(texts, found.to_dict("records"), strict=True)],
         as_json=json_output, title=f"scored by {name}")
