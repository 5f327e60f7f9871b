"""``tidemark``: the command line. Thin shells over the same functions that the DAGs call.

Exit codes: 0 ok, 1 refused or a failed check, 2 wrong usage or a wrong setting.
"""

from __future__ import annotations

import sys

import typer

from pipelines.cli import (
    calibrate,
    features,
    monitor,
    mood,
    provenance,
    quality,
    quarantine,
    registry,
    sentiment_report,
    shadow,
    stack,
    stages,
    texts,
)
from pipelines.cli.output import complain
from pipelines.errors import ConfigError, TidemarkError

app = typer.Typer(
    name="tidemark",
    help="Keeps market-prediction models alive and honest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
stack.register(app)
stages.register(app)
monitor.register(app)
registry.register(app)
provenance.register(app)
shadow.register(app)
texts.register(app)
sentiment_report.register(app)
quality.register(app)
mood.register(app)
app.add_typer(features.app, name="features")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(calibrate.app, name="calibrate")


def main() -> None:
    """Run the command line; our own errors become one readable sentence instead of a traceback."""
    try:
        app()
    except ConfigError as error:
        complain(error)
        sys.exit(2)
    except TidemarkError as error:
        complain(error)
        sys.exit(1)
