"""Mutated payloads for every provider: no crash, nothing lost, nothing doubled.

    python -m infra.studies.ingest_fuzz --count 10000 --stored 200 --seed 1

The providers run with their real HTTP client against the replay server inside this process. A case that went wrong is
named by its number: ``--provider NAME --seed S --case N`` plays it again. ``docs/ingest-fuzz.md`` holds the last table.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from infra.fuzz import play, stored
from infra.studies import scratch

COLUMNS = ("provider", "payloads", "fetches", "read", "errors", "rows", "refused", "collapsed", "slowest [ms]",
           "faults")


def main(
    count: Annotated[int, typer.Option(min=1, help="Mutated payloads per provider.")] = 10_000,
    provider: Annotated[list[str] | None, typer.Option(help="Only these; default: all.")] = None,
    seed: Annotated[int, typer.Option()] = 1,
    stored_count: Annotated[int, typer.Option("--stored", min=0, help="How many go into a PostgreSQL, too.")] = 0,
    case: Annotated[int | None, typer.Option(help="Only the case of this number.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Exit 1 when there was a fault."""
    names = provider or list(play.NAMES)
    if strange := sorted(set(names) - set(play.NAMES)):
        raise typer.BadParameter(f"no provider {', '.join(strange)}; there are {', '.join(play.NAMES)}")
    # The pages of interrupted walks are flushed to disk each: where there is a memory file system they may lie there.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tidemark-fuzz-", dir=memory if memory.is_dir() else None) as directory, \
            Progress(console=Console(stderr=True), transient=True) as progress:
        home = Path(directory)
        fetched, written = [], []
        for name in names:
            task = progress.add_task(name, total=count)
            fetched.append(play.fuzz(name, count, seed, home / "read", only=case,
                                     tick=lambda done, task=task: progress.update(task, completed=done)))
            progress.remove_task(task)
        if stored_count:
            with scratch.warehouse() as warehouse:
                for name in names:
                    task = progress.add_task(f"{name} into PostgreSQL", total=stored_count)
                    written.append(stored.fuzz(name, stored_count, seed, home / "stored", warehouse, tick=lambda done,
                                               task=task: progress.update(task, completed=done)))
                    progress.remove_task(task)
    if as_json:
        print(json.dumps({"seed": seed, "read": [asdict(one) for one in fetched],
                          "stored": [asdict(one) for one in written]}))
    else:
        show("read", fetched)
        if written:
            show("into PostgreSQL, with a clean run after each", written)
    if any(one.faults for one in (*fetched, *written)):
        raise typer.Exit(1)


def show(title: str, tallies: list[play.Tally]) -> None:
    """A table, and what went wrong below it."""
    table = Table(*COLUMNS, title=title)
    for one in tallies:
        table.add_row(one.provider, *(f"{value:,}" for value in (
            one.payloads, one.fetches, one.read, one.errors, one.rows, one.refused, one.collapsed)),
                      f"{one.slowest * 1000:.0f}", str(len(one.faults)))
    console = Console()
    console.print(table)
    for one in tallies:
        for fault in one.faults[:20]:
            console.print(f"{one.provider} {fault}", markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
