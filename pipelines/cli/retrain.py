"""``tidemark retrain``: what was asked for and what came of it, a request by hand, and what the policy says."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from pipelines import clock, config
from pipelines.cli.context import AsOfOption, LineArgument, line_of, open_warehouse
from pipelines.cli.output import JsonOption, err, show
from pipelines.contracts.line import load_lines

app = typer.Typer(help="Retraining: list requests, ask for one, explain the policy.", no_args_is_help=True)


@app.command("list")
def list_rows(
    line: Annotated[str | None, typer.Argument(help="Name of a line; default: all.", metavar="[LINE]")] = None,
    json_output: JsonOption = False,
) -> None:
    """Every request for a training: who asked and why, what came of it, what it cost."""
    from pipelines.retrain import history

    names = [line_of(line).name] if line else list(load_lines(config.settings().lines_dir))
    with open_warehouse() as warehouse, warehouse.begin() as connection:
        rows = [row for name in names for row in history.rows(connection, name)]
    show(rows, as_json=json_output, title=f"retraining of {line or 'all lines'}")


@app.command()
def ask(
    line: LineArgument,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    by: Annotated[str | None, typer.Option(help="Who asks; kept in the ledger. Default: the login name.")] = None,
    as_of: Annotated[str | None, typer.Option(
        "--as-of", help="Train with what was known at this UTC time (ISO 8601). Default: that of the newest fact.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=(
        "Pass the cool-down, the wait for new data and the budget (never a training that is under way)."))] = False,
    json_output: JsonOption = False,
) -> None:
    """Ask for a training; exit 1 when the policy refuses. The train DAG serves it when `maintain` next rings."""
    from pipelines.retrain import run, state

    problem, at = line_of(line), clock.now()
    with open_warehouse() as warehouse, warehouse.begin() as connection:
        time = clock.parse(as_of) if as_of else state.newest_fact(connection, problem, at)
        decision = run.ask(connection, problem, as_of=time or at, by=by or getpass.getuser(), words=reason, at=at,
                           force=force)
    show({"line": problem.name, "as_of": time or at, "asked": decision.request is not None,
          "joined": bool(decision.joins), "phase": decision.phase.value, "until": decision.until,
          "says": decision.reason_text}, as_json=json_output, title="retraining")
    if decision.request is None and not decision.joins:
        raise typer.Exit(1)


@app.command()
def explain(line: LineArgument, as_of: AsOfOption = None, json_output: JsonOption = False) -> None:
    """What the policy says as of a time, and why: phase, cool-down, data, budget. Default: as of the newest check."""
    from pipelines.retrain import explain as explaining

    problem = line_of(line)
    with open_warehouse() as warehouse, warehouse.begin() as connection:
        newest = explaining.last_report(connection, problem.name, clock.parse(as_of) if as_of else None)
        time = clock.parse(as_of) if as_of else newest.as_of if newest else clock.now()
        found: dict[str, Any] = explaining.now(connection, problem, time)
    if newest is None:
        err.print(f"{problem.name} was never checked by then; the answer rests on the ledger alone")
    show(found, as_json=json_output, title=f"policy of {problem.name}")
