"""One way to print: a table for people, one JSON document for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]

#: A table this many times wider than the terminal is unreadable when its cells are folded.
MOST_FOLDED = 2.0
#: Full minutes in UTC, the zone of all our times, are shown without seconds and zone.
_INSTANT = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::00)?\+00:00$")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(error: Exception) -> None:
    """One sentence on stderr, with whether trying again can help."""
    hint = " (trying again may help)" if getattr(error, "retryable", False) else ""
    err.print(f"[bold red]{type(error).__name__}[/]: {error}{hint}", markup=True, soft_wrap=True)


def plain(value: Any) -> Any:
    """``value`` as JSON types: records become objects, times ISO 8601, NaN null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return None if value != value else value.isoformat()  # pandas' NaT is a datetime that differs from itself
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item"):  # numpy scalars
        return plain(value.item())
    return value


def show(value: Any, *, as_json: bool, title: str = "") -> None:
    """Print a record (one row per field) or a sequence of records (one row each)."""
    data = plain(value)
    if as_json:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False, sort_keys=False))
    elif isinstance(data, list):
        _table(data, title)
    elif isinstance(data, dict):
        _table([{"": key, title or "value": _cell(item)} for key, item in data.items()], "")
    else:
        out.print(data)


def _table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    if not rows:
        out.print(f"[dim]{title or 'nothing'}: none[/]")
        return
    widths = [max(len(name), *(_width(row.get(name)) for row in rows)) for name in rows[0]]
    if sum(widths) + 3 * len(widths) > MOST_FOLDED * out.width:
        _blocks(rows, title)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(item) for item in row.values()))
    out.print(table)


def _blocks(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Rows that no terminal is wide enough for, one below the other: a line for each value that there is."""
    if title:
        out.print(title, style="italic")
    for row in rows:
        out.print()
        for name, value in row.items():
            if value is not None:
                out.print(f"  [bold]{escape(name)}[/]  {_cell(value)}", soft_wrap=True)


def _width(value: Any) -> int:
    return max(map(len, _cell(value).splitlines()), default=0)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(_cell(item) for item in value)
    if isinstance(value, str):
        value = _INSTANT.sub(r"\1 \2", value)
        return escape(value.encode("utf-8", "backslashreplace").decode())  # refused texts may hold lone surrogates
    return str(value)
