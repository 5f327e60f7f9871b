"""Where a version came from, whether it can be made again, how trainings compare, and what more data would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines import config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, err, out, plain, show
from pipelines.cli.registry import VersionArgument
from pipelines.contracts.line import load_lines
from pipelines.errors import ConfigError


def register(app: typer.Typer) -> None:
    for command in (lineage, reproduce, compare, leaderboard, learning_curve):
        app.command(command.__name__.replace("_", "-"))(command)


def lineage(line: LineArgument, version: VersionArgument, json_output: JsonOption = False) -> None:
    """Where a version came from: run, code, seed, snapshot, and the facts behind it by source."""
    from pipelines.registry import lineage as registry_lineage

    problem = line_of(line)
    with open_warehouse() as warehouse:
        found = registry_lineage.lineage(warehouse, config.settings(), problem, version)
    if json_output:
        show(found, as_json=True)
        return
    record = plain(found)
    sources = record.pop("sources")
    show(record, as_json=False, title=f"{line}@{version}")
    show(sources, as_json=False, title="facts it was made from")


def reproduce(
    version: Annotated[str, typer.Argument(help="A version of a line, like direction_1h@3.", metavar="LINE@VERSION")],
    json_output: JsonOption = False,
) -> None:
    """Rebuild a version from its lineage; exit 1 with what differs when it is not identical."""
    from pipelines.registry import reproduce as registry_reproduce

    name, _, number = version.partition("@")
    if not number.isdecimal():
        raise ConfigError(f"{version!r} is not LINE@VERSION; write it like direction_1h@3")
    problem = line_of(name)
    with open_warehouse() as warehouse, err.status("rebuilding snapshot and model"):
        found = registry_reproduce.reproduce(warehouse, config.settings(), problem, int(number))
    if json_output:
        show(found, as_json=True)
    else:
        rows = [{"what": check.what, "same": "yes" if check.same else "no", "recorded": check.recorded[:16],
                 "rebuilt": check.rebuilt and check.rebuilt[:16]} for check in found.checks]
        show(rows, as_json=False, title=version)
        for sentence in (*found.differences, *found.notes):
            out.print(f"- {sentence}", markup=False)
        out.print("identical" if found.identical else "not identical")
    if not found.identical:
        raise typer.Exit(1)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Trainings: MLflow run ids or LINE@VERSION.", metavar="RUN...")],
    json_output: JsonOption = False,
) -> None:
    """Trainings of one line side by side: figures, significance on their common rows, and a recommendation."""
    from pipelines.registry import compare as registry_compare

    settings = config.settings()
    lines = load_lines(settings.lines_dir)
    with open_warehouse() as warehouse:
        line, named = registry_compare.resolve(warehouse, settings, lines, runs)
        found = registry_compare.compare(warehouse, settings, line, named)
    if json_output:
        show(found, as_json=True)
        return
    show([{"figure": "family", **found.families}, *({"figure": figure, **values}
                                                    for figure, values in found.metrics.items())],
         as_json=False, title=f"trainings of {found.line}")
    show(found.pairs, as_json=False, title="differences of log loss on common rows")
    out.print(found.recommendation, markup=False)


def leaderboard(
    line: LineArgument,
    version: Annotated[int | None, typer.Option(help="Whose search; default: the newest version's.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write it as a page to this file.", dir_okay=False)] = None,
    json_output: JsonOption = False,
) -> None:
    """Families and versions ranked, with who cannot be told from the best, steadiness, cost, and a recommendation."""
    from pipelines.registry import leaderboard as registry_leaderboard
    from pipelines.training import leaderboard_page

    problem = line_of(line)
    with open_warehouse() as warehouse:
        boards = registry_leaderboard.boards(warehouse, config.settings(), problem, version)
    if html is not None:
        html.write_text(leaderboard_page.html(f"Leaderboard of {problem.name}", boards), encoding="utf-8")
    if json_output:
        show(boards, as_json=True)
        return
    for board in boards:
        show([{"contender": entry.name, "log loss": entry.loss, "saved": entry.gain, "in the set": entry.included,
               "p": entry.p_value, "spread": entry.spread, "seconds": entry.seconds} for entry in board.entries],
             as_json=False, title=board.title)
        out.print(board.recommendation, markup=False)


def learning_curve(
    line: LineArgument,
    as_of: AsOfOption = None,
    family: Annotated[str | None, typer.Option(help="Model family; default: the line's first.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Would more history help? The evidence forecast from parts of the training time, against all of it."""
    from pipelines.training import learning

    problem = line_of(line)
    with open_warehouse() as warehouse, err.status(f"learning from parts of the history of {problem.name}"):
        found = learning.run(warehouse, problem, as_of_time(as_of), family=family)
    points = found.points.to_dict("records")
    if json_output:
        show({"family": found.family, "note": found.note, "points": points}, as_json=True)
    else:
        show(points, as_json=False, title=f"learning curve of {problem.name}, {found.family}")
        out.print(found.note, markup=False)
