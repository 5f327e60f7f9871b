"""What commands have in common: the settings, an open warehouse, a line by its name, times from text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import clock, config
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.store import Warehouse

LineArgument = Annotated[str, typer.Argument(help="Name of a line, as in mlflow/lines/<line>.toml.", metavar="LINE")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Use only what was known at this UTC time (ISO 8601). Default: now.")]


def line_of(name: str) -> Line:
    """The line called ``name``.

    Raises:
        ConfigError: there is none; the message lists those that exist.
    """
    lines = load_lines(config.settings().lines_dir)
    if name not in lines:
        raise ConfigError(f"no line {name!r}; there are: {', '.join(lines)}")
    return lines[name]


def as_of_time(text: str | None) -> datetime:
    return clock.now() if text is None else clock.parse(text)


def window_of(start: str, end: str) -> Window:
    return Window(clock.parse(start), clock.parse(end))


@contextmanager
def open_warehouse() -> Iterator[Warehouse]:
    """The warehouse of the settings, closed at the end.

    Raises:
        ConfigError: no warehouse is configured; StoreUnavailable: it does not answer.
    """
    from pipelines.store import Warehouse

    warehouse = Warehouse.from_settings(config.settings())
    try:
        yield warehouse
    finally:
        warehouse.close()
