"""How often is a decision wrong? Measured by simulation, with the functions that decide."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from pipelines import clock, config
from pipelines.cli.output import JsonOption, err, show
from pipelines.errors import TidemarkError

if TYPE_CHECKING:
    from pipelines.calibration.drift import Rate as DriftRate
    from pipelines.calibration.drift import Scenario as DriftScenario
    from pipelines.calibration.drift.coins import RealMarket
    from pipelines.calibration.gate import Rate
    from pipelines.calibration.gate.workshop import Workshop
    from pipelines.calibration.scenario import Interval, Scenario

Said = TypeVar("Said")
Place = TypeVar("Place")
Found = TypeVar("Found")
Watch: TypeAlias = Callable[[Iterable[Said]], Iterable[Said]]

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
    from pipelines.calibration.gate import measure, select

    chosen = select(scenario or [])
    if list_only:
        _list(chosen, "needs_database", json_output)
        return
    with _workshop(chosen) as workshop:
        rates = _measured(chosen, reps, lambda item, watched: measure(item, reps, seed, workshop, watched))
    if json_output:
        show(rates, as_json=True)
        return
    show([{"scenario": rate.scenario, "kind": rate.kind, "rate": _percent(rate), "reps": rate.reps,
           "days": rate.delay_days} for rate in rates], as_json=False, title="the gate's error rates, 95 % intervals")
    if compared := [rate for rate in rates if rate.rules]:
        show([{"scenario": rate.scenario, **{name.replace("_", " "): _percent(found)
                                             for name, found in rate.rules.items()}} for rate in compared],
             as_json=False, title="other rules on the same data")


@app.command()
def drift(
    reps: Annotated[int, typer.Option(min=1, help="Repetitions of each scenario: lines that are trained and watched.")
                    ] = 10,
    scenario: Annotated[list[str] | None, typer.Option(
        help="Only these; a name or a pattern like 'null_*'. Default: all that need no real data.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; they change no figure.")] = 1,
    page: Annotated[Path | None, typer.Option(
        help="Also write the tables into this page, between its marks, as in docs/drift-calibration.md.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only say which scenarios there are.")] = False,
    json_output: JsonOption = False,
) -> None:
    """False alarms per line and year, and power and delay, of drift alarms; beside rules that others use.

    Rates have Wilson 95 % intervals, alarms per year Poisson ones. Scenarios named coins_* read real hourly bars from
    TIDEMARK_DATA_DIR with TIDEMARK_MANIFEST and are skipped, with the reason, where there are none.
    """
    from pipelines.calibration.drift import measure, select

    chosen = select(scenario or [])
    if list_only:
        _list(chosen, "needs_data", json_output)
        return
    chosen, market = _with_market(chosen)
    began, clock_began = clock.now(), time.monotonic()
    if workers > 1:
        rates = _side_by_side(chosen, reps, seed, market, workers)
    else:
        rates = _measured(chosen, reps, lambda item, watched: measure(item, reps, seed, market, watched))
    if page is not None:
        minutes = (time.monotonic() - clock_began) / 60
        _write(page, rates, f"Measured on {began:%Y-%m-%d} ({platform.machine()}, {os.cpu_count()} cores, {workers} "
               f"processes, {minutes:.0f} minutes): {reps} lines a scenario, seed {seed}.")
    if json_output:
        show(rates, as_json=True)
        return
    show([{"scenario": rate.scenario, "kind": rate.kind, "rate": _percent(rate),
           "alarms a year": _yearly(rate.per_year), "on": f"{rate.on:.0%}", "reps": rate.reps, "days": rate.delay_days}
          for rate in rates], as_json=False, title="drift alarms, 95 % intervals")
    if compared := [rate for rate in rates if rate.rules]:
        show([{"scenario": rate.scenario, **{
            name.replace("_", " "): f"{found.rate:.0%}, {found.per_year.rate:.1f} a year, on {found.on:.0%}"
            for name, found in rate.rules.items()}} for rate in compared],
             as_json=False, title="other rules on the same rows")


def _with_market(chosen: list[DriftScenario]) -> tuple[list[DriftScenario], RealMarket | None]:
    """The scenarios that can be run, and the real bars that some of them need."""
    if not any(item.needs_data for item in chosen):
        return chosen, None
    from pipelines.calibration.drift.coins import read

    try:
        return chosen, read(config.settings())
    except TidemarkError as error:
        skipped = ", ".join(item.name for item in chosen if item.needs_data)
        err.print(f"Skipped: {skipped}. {error}")
        return [item for item in chosen if not item.needs_data], None


def _side_by_side(chosen: list[DriftScenario], reps: int, seed: int, market: RealMarket | None,
                  workers: int) -> list[DriftRate]:
    from rich.progress import track

    from pipelines.calibration.drift.run import side_by_side

    found = {rate.scenario: rate for rate in track(
        side_by_side(chosen, reps, seed, market, workers), "calibrate", len(chosen), console=err, transient=True)}
    return [found[item.name] for item in chosen]


def _write(page: Path, rates: Sequence[DriftRate], told: str) -> None:
    from pipelines.calibration.drift.page import insert, render

    page.write_text(insert(page.read_text(encoding="utf-8"), render(rates, told)), encoding="utf-8")


def _list(chosen: Sequence[Scenario[Any, Any]], needs: str, as_json: bool) -> None:
    show([{"scenario": item.name, "kind": item.kind, "what": item.what, "rate_of": item.counts,
           needs: getattr(item, needs)} for item in chosen], as_json=as_json, title="scenarios")


def _measured(chosen: Sequence[Scenario[Said, Place]], reps: int,
              measure: Callable[[Scenario[Said, Place], Watch[Said]], Found]) -> list[Found]:
    """What ``measure`` finds for each scenario, under a progress bar that counts the repetitions."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("calibrate", total=reps * len(chosen))

        def watched(outcomes: Iterable[Said]) -> Iterator[Said]:
            for outcome in outcomes:
                progress.advance(task)
                yield outcome

        found = []
        for item in chosen:
            progress.update(task, description=item.name)
            found.append(measure(item, watched))
    return found


def _yearly(found: Interval) -> str:
    return f"{found.rate:.2f} ({found.lower:.2f}-{found.upper:.2f})"


def _percent(found: Interval | Rate | DriftRate) -> str:
    return f"{found.rate:.1%} ({found.lower:.1%}-{found.upper:.1%})"


@contextmanager
def _workshop(chosen: Iterable[Scenario[Any, Any]]) -> Iterator[Workshop | None]:
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
