"""A line's features built by hand, and the catalog of all."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.cli.context import LineArgument, as_of_time, line_of, open_warehouse, window_of
from pipelines.cli.output import JsonOption, show
from pipelines.cli.stages import daily
from pipelines.contracts.window import Window


class _LineOrCommand(TyperGroup):
    """``features LINE …`` is short for ``features build LINE …``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["build", *args])


app = typer.Typer(cls=_LineOrCommand, no_args_is_help=True,
                  help="Build the features of a line (`features LINE --start … --end …`), or list all that there are.")


@app.command()
def build(
    line: LineArgument,
    start: Annotated[str | None, typer.Option(help="First instant of the window (UTC, ISO 8601), included.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window (UTC, ISO 8601), not included.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Instead of a window: the last whole day (UTC) before "
                                                              "this time (ISO 8601).")] = None,
    json_output: JsonOption = False,
) -> None:
    """Build the features of a window, one partition per day. (`features LINE …` is short for it.)"""
    from pipelines.features import run as features_run

    problem, window = line_of(line), _window(start, end, as_of)
    with open_warehouse() as warehouse:
        refs = [features_run.materialise(warehouse, problem, day) for day in daily(window, "features")]
    show(refs, as_json=json_output, title="partitions")


def _window(start: str | None, end: str | None, as_of: str | None) -> Window:
    if start and end and not as_of:
        return window_of(start, end)
    if as_of and not start and not end:
        midnight = as_of_time(as_of).replace(hour=0, minute=0, second=0, microsecond=0)
        return Window(midnight - timedelta(days=1), midnight)
    raise typer.BadParameter("say --start and --end, or --as-of alone")


@app.command("list")
def list_features(
    group: Annotated[list[str] | None, typer.Option(
        help="Only this group, or this feature, written as in a line: volatility.atr_14h. Can be repeated.")] = None,
    line: Annotated[str | None, typer.Option(help="Only what this line uses.", metavar="LINE")] = None,
    json_output: JsonOption = False,
) -> None:
    """The catalog: how each feature is made, how many bars it looks back, and what stands in for a missing value."""
    from pipelines.features import catalog

    if group and line:
        raise typer.BadParameter("say --group or --line, not both")
    groups = catalog.of(line_of(line)) if line else catalog.select(group or catalog.GROUPS)
    table = catalog.describe(groups)
    if json_output:
        show(table.to_dict("records"), as_json=True)
        return
    brief = table[["feature", "lookback", "unit", "absent", "source"]].rename(columns={
        "lookback": "look-back", "source": "formula and source"})
    for item in groups:
        show(brief[table["group"] == item.name].to_dict("records"), as_json=False,
             title=f"{item.name}: available {item.availability}")
