"""``up``, ``down``, ``status`` and ``demo``: they run the infrastructure's own programs.

The library imports nothing from ``infra/``, so these are processes, not calls.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines import config
from pipelines.cli.output import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(demo)


def _run(module: str, *arguments: str) -> None:
    """Run ``python -m module`` from the checkout and end with its exit code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        part for part in (str(config.ROOT), os.environ.get("PYTHONPATH", "")) if part)}
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment)
    while True:
        try:
            raise typer.Exit(process.wait())
        except KeyboardInterrupt:
            continue  # the child got the same Ctrl-C and cleans up; wait for it


def up(json_output: JsonOption = False) -> None:
    """Start the embedded stack: PostgreSQL, MLflow and Airflow, on loopback. Idempotent."""
    _run("infra.local", "up", *(["--json"] if json_output else []))


def down() -> None:
    """Stop the embedded stack; no process and no open port is left."""
    _run("infra.local", "down")


def status(json_output: JsonOption = False) -> None:
    """Show each component with its health, restarts and, when it is down, the end of its log."""
    _run("infra.local", "status", *(["--json"] if json_output else []))


def demo(
    data: Annotated[Path | None, typer.Option(help="Directory of real files instead of the simulator.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Its source.toml, when it is not in the directory itself.")] = None,
    faults: Annotated[str, typer.Option(help="What goes wrong on the way, such as 429,cut,nan; overcome: all that a "
                                             "careful client overcomes (the same ledger results).")] = "",
    fresh: Annotated[bool, typer.Option(help="Throw away what is in $TIDEMARK_HOME and start over.")] = False,
) -> None:
    """Run the whole loop once, in real Airflow and MLflow, and sum it up."""
    arguments = [*(["--data", str(data)] if data else []), *(["--manifest", str(manifest)] if manifest else []),
                 *(["--faults", faults] if faults else []), *(["--fresh"] if fresh else [])]
    _run("infra.demo", *arguments)
