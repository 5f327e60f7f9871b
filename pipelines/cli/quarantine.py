"""``tidemark quarantine``: refused rows, why they were refused, and a second chance after a fix."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines import clock
from pipelines.cli.context import open_warehouse
from pipelines.cli.output import JsonOption, show

app = typer.Typer(help="Refused input: list, show, replay.", no_args_is_help=True)

IdArgument = Annotated[int, typer.Argument(help="Number of the refused row.", metavar="ID")]


@app.command("list")
def list_rows(
    kind: Annotated[str | None, typer.Option(help="bars, documents, indicators or trades.")] = None,
    waiting: Annotated[bool, typer.Option(help="Only rows that were not replayed yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json_output: JsonOption = False,
) -> None:
    """The newest refused rows with their reasons."""
    from pipelines.store import quarantine

    with open_warehouse() as warehouse:
        frame = quarantine.list_rows(warehouse, kind=kind, waiting=waiting, limit=limit)
    brief = frame.drop(columns=["digest", "payload"])  # `quarantine show` has them
    show(brief.to_dict("records"), as_json=json_output, title="quarantine")


@app.command("show")
def show_row(identifier: IdArgument, json_output: JsonOption = False) -> None:
    """One refused row, whole."""
    from pipelines.store import quarantine

    with open_warehouse() as warehouse:
        row = quarantine.get(warehouse, identifier)
    show(row, as_json=json_output)


@app.command()
def replay(
    identifier: Annotated[list[int] | None, typer.Argument(help="Rows to replay; default: all waiting ones.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Check refused rows again and store those that pass now."""
    from pipelines.ingest import replay as ingest_replay

    with open_warehouse() as warehouse:
        report = ingest_replay.replay(warehouse, ids=identifier or None, at=clock.now())
    show(report, as_json=json_output, title="replayed")
