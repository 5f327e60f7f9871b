"""The shadow of a line: what runs beside the champion, what the looks said, and when the next one is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines import clock, config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, out, show

if TYPE_CHECKING:
    from pipelines.monitoring.looks import Pending


def register(app: typer.Typer) -> None:
    app.command()(shadow)


def shadow(
    line: LineArgument,
    as_of: AsOfOption = None,
    look: Annotated[bool, typer.Option("--look", help=(
        "Make the looks that are due and act on them, as monitor_<line> does."))] = False,
    json_output: JsonOption = False,
) -> None:
    """Who runs beside the champion, the looks so far, the next one and the boundary it has to cross."""
    from pipelines.monitoring import looks, outcomes

    problem, settings, at = line_of(line), config.settings(), as_of_time(as_of)
    with open_warehouse() as warehouse:
        if look:
            outcomes.mature(warehouse, problem, at)
            done = looks.review(warehouse, settings, problem, at, at=clock.now())
            if not json_output:
                for sentence in done.sentences:
                    out.print(sentence, markup=False)
        pending = looks.pending(warehouse, problem, at)
    rows = [_row(item) for item in pending]
    if json_output:
        show(rows, as_json=True)
        return
    show([{key: value for key, value in row.items() if key != "looks"} for row in rows], as_json=False,
         title=f"beside the champion of {problem.name}")
    for row in rows:
        for made in row["looks"]:
            for sentence in made["reasons"]:
                out.print(f"{made['as_of']:%Y-%m-%d}  {sentence}", markup=False, soft_wrap=True)


def _row(item: Pending) -> dict[str, Any]:
    return {
        "purpose": item.pair.purpose.value, "version": item.pair.version, "champion": item.pair.champion_version,
        "since": item.pair.started_at, "made": len(item.looks), "of": item.of, "next": item.next_due,
        "boundary": item.next_boundary, "futility": item.next_futility,
        "looks": [{"number": made.look.number, "as_of": made.as_of, "decision": made.look.decision.value,
                   "z": made.look.z, "boundary": made.look.boundary, "effect": made.look.effect, "low": made.look.low,
                   "high": made.look.high, "rows": made.look.rows, "reasons": list(made.look.reasons)}
                  for made in item.looks]}
