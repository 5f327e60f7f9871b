"""How often is a decision wrong? Measured by simulation, with the functions that decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import config
from pipelines.cli.output import JsonOption, err, show

if TYPE_CHECKING:
    from pipelines.calibration.gate import Outcome, Rate, Scenario
    from pipelines.calibration.gate.workshop import Workshop
    from pipelines.calibration.scenario import Interval

app = typer.Typer(help="Measure how often a decision is wrong, on simulated cases whose truth is known.",
                  no_args_is_help=True)


@app.callback()
def _calibrate() -> None:
    """Measure how often a decision is wrong, on simulated cases whose truth is known."""


@app.command()
def gate(
    reps: Annotated[int, typer.Option(min=1, help="Repetitions of each scenario.")] = 1000,
    scenario: Annotated[list[str] | None, typer.Option(
        help="Only these; a name or a pattern like 'null_*'. Default: all that need no database.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    list_only: Annotated[bool, typer.Option("--list", help="Only say which scenarios there are.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Rates of false and right promotions, with Wilson 95 % intervals.

    Scenarios named real_* run whole trainings in scratch databases on the configured server (TIDEMARK_DATABASE_URL or
    the running stack), which are dropped at the end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pipelines.calibration.gate import measure, select

    chosen = select(scenario or [])
    if list_only:
        show([{"scenario": item.name, "kind": item.kind, "what": item.what, "rate_of": item.counts,
               "needs_database": item.needs_database} for item in chosen], as_json=json_output, title="scenarios")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _workshop(chosen) as workshop, Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("calibrate", total=reps * len(chosen))

        def watched(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
            for outcome in outcomes:
                progress.advance(task)
                yield outcome

        rates = []
        for item in chosen:
            progress.update(task, description=item.name)
            rates.append(measure(item, reps, seed, workshop, watched))
    if json_output:
        show(rates, as_json=True)
        return
    show([{"scenario": rate.scenario, "kind": rate.kind, "rate": _percent(rate), "reps": rate.reps,
           "days": rate.delay_days} for rate in rates], as_json=False, title="the gate's error rates, 95 % intervals")
    if compared := [rate for rate in rates if rate.rules]:
        show([{"scenario": rate.scenario, **{name.replace("_", " "): _percent(found)
                                             for name, found in rate.rules.items()}} for rate in compared],
             as_json=False, title="other rules on the same data")


def _percent(found: Interval | Rate) -> str:
    return f"{found.rate:.1%} ({found.lower:.1%}-{found.upper:.1%})"


@contextmanager
def _workshop(chosen: Iterable[Scenario]) -> Iterator[Workshop | None]:
    """Scratch databases, if one of the scenarios needs them.

    Raises:
        ConfigError: no server is configured; StoreUnavailable: it does not answer.
    """
    if not any(item.needs_database for item in chosen):
        yield None
        return
    from pipelines.calibration.gate.workshop import open_workshop

    with open_workshop(config.settings().require("database_url")) as workshop:
        yield workshop
