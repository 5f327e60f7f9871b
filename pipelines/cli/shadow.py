"""The shadow of a line: what runs beside the champion, what the looks said, and when the next one is due."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines import clock, config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, out, show


def register(app: typer.Typer) -> None:
    app.command()(shadow)


def shadow(
    line: LineArgument,
    as_of: AsOfOption = None,
    look: Annotated[bool, typer.Option("--look", help=(
        "Make the looks that are due and act on them, as monitor_<line> does."))] = False,
    json_output: JsonOption = False,
) -> None:
    """Who runs beside the champion, the looks so far, the next one and its boundary."""
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
    rows: list[dict[str, Any]] = [{
        "purpose": item.pair.purpose.value, "version": item.pair.version, "champion": item.pair.champion_version,
        "since": item.pair.started_at, "made": len(item.looks), "of": item.of, "next": item.next_due,
        "boundary": item.next_boundary, "futility": item.next_futility,
        "looks": [{"number": made.look.number, "as_of": made.as_of, "decision": made.look.decision.value,
                   "z": made.look.z, "boundary": made.look.boundary, "effect": made.look.effect, "low": made.look.low,
                   "high": made.look.high, "rows": made.look.rows, "reasons": made.look.reasons}
                  for made in item.looks] if json_output else [made.look.reasons[0] for made in item.looks]}
        for item in pending]
    show(rows, as_json=json_output, title=f"beside the champion of {problem.name}")
