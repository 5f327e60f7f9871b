"""Play a year, and draw it.

    python -m infra.studies.year --figure docs/year.svg
    python -m infra.studies.year --seeds 1,2,3,4,5 --json
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from infra.studies.year import scoring, study
from infra.studies.year.drawing import draw
from infra.studies.year.keeping import keep
from infra.studies.year.scoring import ARMS, NEVER, ORACLE, POLICY
from infra.studies.year.world import Calendar
from pipelines import config


def main(
    seeds: Annotated[str, typer.Option(help="One world each, separated by commas.")] = "1",
    days: Annotated[int, typer.Option(help="Length of the year; shifts and death move along.")] = 365,
    symbols: Annotated[int, typer.Option(min=1, max=5)] = 2,
    edge: Annotated[float, typer.Option(help="Strength of the planted edge.")] = 1.4,
    figure: Annotated[Path | None, typer.Option(help="Draw the first world's year here (.svg or .png).")] = None,
    mlflow: Annotated[str | None, typer.Option(
        help="MLflow that keeps figures and metrics; default: TIDEMARK_MLFLOW_URL; none: not kept.")] = None,
    pictures: Annotated[bool, typer.Option(help="Let each training draw its own plots, as in production.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The policy's year beside never retraining and weekly retraining: skill, money, and what it cost."""
    console, settings = Console(width=130, stderr=as_json), config.load()
    if mlflow is not None:
        settings = settings.model_copy(update={"mlflow_url": mlflow})
    calendar, found = Calendar.of(days), []
    for seed in (int(part) for part in seeds.split(",")):
        with console.status("") as status:
            def tell(what: str, day: datetime | None, seed: int = seed, status: Any = status) -> None:
                status.update(f"world {seed}: {what}" + ("" if day is None else f", {day:%Y-%m-%d}"))

            result = study.run(seed, calendar, symbols=symbols, edge=edge, pictures=pictures, tell=tell)
        if figure is not None and not found:
            draw(result, figure)
        if settings.mlflow_url is not None:
            keep(settings, result)
        found.append(result.to_json())
        if not as_json:
            show(console, result)
    whole = {"worlds": found, "across": together(found)}
    if as_json:
        typer.echo(json.dumps(whole, indent=2))
    elif len(found) > 1:
        console.print(_across(whole["across"], len(found)))


def together(worlds: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Arm → figure → mean over the worlds with its 95 % interval."""
    names = ("millinats", "of_oracle", "auc", "net_return", "trainings", "training_cpu_s", "changes", "policy_ahead")
    return study.plain({arm: {name: vars(scoring.across(np.array([world["arms"][arm][name] for world in worlds])))
                              for name in names if worlds[0]["arms"][arm].get(name) is not None}
                        for arm in (ORACLE, *ARMS)})


def show(console: Console, result: study.Result) -> None:
    """The tables of one world."""
    table = Table(title=f"World {result.seed}: skill against the base rate, money after costs, and what it took",
                  title_justify="left")
    for column in ("", "millinats saved", "of the oracle's", "AUC", "net return", "trainings", "their CPU s",
                   "champions", "policy ahead by"):
        table.add_column(column)
    for name, row in result.table().iterrows():
        table.add_row(
            str(name), str(scoring.Figure(row["millinats"], row["millinats_low"], row["millinats_high"])),
            f"{row['of_oracle']:.0%}", f"{row['auc']:.4f}", f"{row['net_return']:+.2f}", f"{row['trainings']:.0f}",
            f"{row['training_cpu_s']:.0f}", f"{row['changes']:.0f}",
            "" if name in (ORACLE, POLICY) else str(scoring.Figure(
                row["policy_ahead"], row["policy_ahead_low"], row["policy_ahead_high"])))
    console.print(table)
    parts = Table(title="Millinats saved (AUC) by regime", title_justify="left")
    regimes = scoring.by_regime(result.frame, result.calendar)
    for column in ("", *result.calendar.spans):
        parts.add_column(column)
    for arm, rows in regimes.groupby("arm", sort=False):
        parts.add_row(str(arm), *(f"{row.millinats:+.1f} ({row.auc:.3f})" for row in rows.itertuples()))
    console.print(parts)
    reacted = Table(title="What the policy noticed, in days after a regime began", title_justify="left")
    frame = scoring.reactions(result.marks, result.calendar)
    for column in frame:
        reacted.add_column(column.replace("_", " "))
    for row in frame.itertuples(index=False):
        reacted.add_row(*("" if value != value else f"{value:g}" if isinstance(value, float) else str(value)
                          for value in row))
    console.print(reacted)


def _across(figures: dict[str, dict[str, dict[str, float]]], worlds: int) -> Table:
    table = Table(title=f"Means over {worlds} worlds, with 95 % intervals", title_justify="left")
    names = list(figures[NEVER])
    for column in ("", *names):
        table.add_column(column.replace("_", " "))
    for arm, row in figures.items():
        table.add_row(arm, *(str(scoring.Figure(**row[name])) if name in row else "" for name in names))
    return table


if __name__ == "__main__":
    typer.run(main)
