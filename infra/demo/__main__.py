"""``tidemark demo``: start the stack on a fresh home, play the story, sum it up, leave the pages running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.demo import summary
from infra.demo.airflow import Airflow, poll
from infra.demo.story import Story
from infra.demo.world import OVERCOME, World, files, simulated
from infra.replay import Faults
from pipelines import config
from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, load_lines
from pipelines.errors import ConfigError, TidemarkError
from pipelines.features import trades
from pipelines.ingest import providers

MARKER = "demo"


def prepare_home(home: Path, *, fresh: bool) -> None:
    """Make ``home`` empty for a new demo.

    A home that an earlier demo has filled is thrown away; any other home with data in it is left alone.

    Raises:
        ConfigError: the home holds work that no demo has made.
    """
    if not (home / "stack.env").exists() and not (home / "postgres").exists():
        home.mkdir(parents=True, exist_ok=True)
    elif fresh or (home / MARKER).exists():
        _local("down")
        for item in home.iterdir():
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
    else:
        raise ConfigError(f"{home} holds a stack with data that no demo has made; keep it and set TIDEMARK_HOME to "
                          "another directory for the demo, or throw it away with `tidemark demo --fresh`")
    (home / MARKER).write_text("filled by `tidemark demo`, which may throw it away\n", encoding="utf-8")


def _local(command: str) -> None:
    """Run ``python -m infra.local <command>``; its exit code other than 0 ends the demo."""
    code = subprocess.call([sys.executable, "-m", "infra.local", command])
    if code:
        raise typer.Exit(code)


def playable(settings: Settings, at: datetime) -> dict[str, Line]:
    """The lines that the source has facts for: those on bars, and what only files can have: those on labelled texts
    where there are labels, and those on trades where enough of them were closed before their first training at ``at``.
    """
    provider = providers.create("files", settings) if "files" in settings.source.split(",") else None
    kinds = frozenset() if provider is None else provider.kinds()

    def told(line: Line) -> bool:
        if line.on_bars or provider is None:
            return line.on_bars
        if line.target.rows == "texts":
            return Kind.LABELS in kinds
        log = provider.fetch(trades.window_of(line, at), [Kind.TRADES]).frames.get(Kind.TRADES)
        return log is not None and "closed_at" in log and int(log["closed_at"].notna().sum()) >= trades.FEWEST

    return {name: line for name, line in load_lines(settings.lines_dir).items() if told(line)}


def wait_for_dags(airflow: Airflow, lines: dict[str, Line]) -> None:
    """Wait until Airflow has parsed every DAG the story needs; refuse with the import errors otherwise."""
    wanted = {"bootstrap", "ingest_market", "ingest_text", "score_sentiment", "build_features", "maintain"} | {
        f"{stage}_{name}" for name, line in lines.items()
        for stage in ("train", "promote", *(("predict", "monitor") if line.on_bars else ()))}
    try:
        poll(lambda: wanted <= airflow.dag_ids(), timeout=90, what="the DAGs")
    except TidemarkError as error:
        raise ConfigError(f"Airflow lacks {sorted(wanted - airflow.dag_ids())}; import errors: "
                          f"{airflow.import_errors()}") from error


def play(world: World, console: Console) -> dict[str, object]:
    """Play ``world`` on the running stack; returns the summary."""
    from pipelines.store import Warehouse

    settings = config.load()
    lines = playable(settings, world.history.end)
    airflow = Airflow(settings.require("airflow_url"), settings.airflow_username, settings.require("airflow_password"))
    warehouse = Warehouse.from_settings(settings)
    try:
        wait_for_dags(airflow, lines)
        story = Story(world, lines, settings, warehouse, airflow, console)
        story.load_history()
        story.first_training()
        story.quiet_days()
        renewed = story.until_retrained()
        if renewed:
            story.roll_back(renewed)
        return summary.collect(warehouse, settings, list(lines))
    finally:
        airflow.close()
        warehouse.close()


def main(
    data: Annotated[Path | None, typer.Option()] = None,
    manifest: Annotated[Path | None, typer.Option()] = None,
    faults: Annotated[str, typer.Option()] = "",
    fresh: Annotated[bool, typer.Option()] = False,
) -> None:
    """Run the whole loop once."""
    console = Console(highlight=False)
    began = time.perf_counter()
    if data is not None and not data.is_dir():
        raise ConfigError(f"{data} is not a directory; pass one that holds a source.toml and its files")
    if data is not None and faults:
        raise ConfigError("faults are for the simulated sources; leave --data or --faults out")
    Faults.parse(wanted := OVERCOME if faults == "overcome" else faults)
    world = simulated(wanted) if data is None else files(data, manifest or data / "source.toml")
    home = config.load().home
    prepare_home(home, fresh=fresh)
    os.environ.update(world.environment)
    console.print(f"[bold]Tidemark demo[/] on {world.name}: history, models, verdicts, drift, retraining, rollback")
    _local("up")
    booted = time.perf_counter()
    result = play(world, console)
    result["source"] = world.name
    result["faults"] = wanted
    result["seconds"] = {"stack": round(booted - began, 1), "story": round(time.perf_counter() - booted, 1)}
    summary.write(result, home / "demo.json")
    console.print()
    summary.render(result, console)
    console.print(f"\nstack up in {result['seconds']['stack']} s, story in {result['seconds']['story']} s; "
                  f"the same as JSON: {home / 'demo.json'}")
    _local("status")
    console.print("The pages keep running; look around, then `make down`.")


if __name__ == "__main__":
    try:
        typer.run(main)
    except TidemarkError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {error}", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
