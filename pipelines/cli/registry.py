"""Lines, champions, their history, and the decisions that people take."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from pipelines import clock, config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, show
from pipelines.contracts.line import load_lines

VersionArgument = Annotated[int, typer.Argument(help="Version in the MLflow model registry.", metavar="VERSION")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")]


def register(app: typer.Typer) -> None:
    for command in (lines, champion, history, rollback, approve, deny):
        app.command()(command)


def lines(json_output: JsonOption = False) -> None:
    """Every line with its champion and its last verdict."""
    from pipelines.store import ledger

    rows = []
    with open_warehouse() as warehouse, warehouse.begin() as connection:
        for line in load_lines(config.settings().lines_dir).values():
            present = ledger.champion(connection, line.name)
            verdicts = ledger.verdicts(connection, line.name)
            rows.append({
                "line": line.name, "title": line.title, "champion": present.version if present else None,
                "since": present.effective_at if present else None,
                "last verdict": verdicts.iloc[-1]["outcome"] if len(verdicts) else None})
    show(rows, as_json=json_output, title="lines")


def champion(line: LineArgument, as_of: AsOfOption = None, json_output: JsonOption = False) -> None:
    """The version in production, now or as of a time; exit 1 when there is none."""
    from pipelines.store import ledger

    problem = line_of(line)
    with open_warehouse() as warehouse, warehouse.begin() as connection:
        present = ledger.champion(connection, problem.name, as_of=as_of_time(as_of) if as_of else None)
    show(present if present else {"line": problem.name, "champion": None}, as_json=json_output, title="champion")
    if present is None:
        raise typer.Exit(1)


def history(line: LineArgument, json_output: JsonOption = False) -> None:
    """Every promotion and rollback of a line, who did it and why, with the verdict behind it."""
    from pipelines.registry import history as registry_history

    problem = line_of(line)
    with open_warehouse() as warehouse:
        rows = registry_history.rows(warehouse, problem)
    show(rows, as_json=json_output, title=f"history of {problem.name}")


def rollback(
    line: LineArgument,
    to: Annotated[int | None, typer.Option(help="A former champion; default: the previous one.")] = None,
    reason: WhyOption = "rolled back by hand",
    as_of: AsOfOption = None,
    json_output: JsonOption = False,
) -> None:
    """Put a former champion back into production. Ledger first, then the MLflow alias."""
    from pipelines.registry import promotion

    problem = line_of(line)
    with open_warehouse() as warehouse:
        row = promotion.rollback(
            warehouse, config.settings(), problem, to=to, actor=f"cli:{getpass.getuser()}", reason=reason,
            effective_at=as_of_time(as_of), at=clock.now())
    show(row, as_json=json_output, title="champion")


def approve(line: LineArgument, version: VersionArgument, reason: WhyOption = "approved by hand",
            json_output: JsonOption = False) -> None:
    """Approve a candidate that the gate would promote (for lines with approval = "human")."""
    _decide(line, version, True, reason, json_output)


def deny(line: LineArgument, version: VersionArgument, reason: WhyOption = "denied by hand",
         json_output: JsonOption = False) -> None:
    """Deny a candidate; the champion stays."""
    _decide(line, version, False, reason, json_output)


def _decide(name: str, version: int, approved: bool, reason: str, json_output: bool) -> None:
    from pipelines.registry import promotion

    problem = line_of(name)
    with open_warehouse() as warehouse:
        row = promotion.approve(warehouse, config.settings(), problem, version, approved=approved,
                                actor=f"cli:{getpass.getuser()}", reason=reason, at=clock.now())
    show(row if row else {"line": name, "version": version, "approved": approved}, as_json=json_output)
