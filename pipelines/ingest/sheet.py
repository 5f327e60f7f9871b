"""Small CSV answers: rows as dictionaries, broken lines as they came."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

from pipelines.ingest.gather import changed


def rows(provider: str, text: str, needed: Sequence[str], *, heading: str) -> list[Any]:
    """The lines below the first one that begins with the column ``heading``. What stands above it is small print,
    unless it begins with a digit as a row does.

    Returns:
        a dictionary for each line (names in lower case), or the line itself where it has too few or many values.

    Raises:
        SourceError: there is no heading, or a needed column is missing or stands there twice; names the provider and
            the column.
    """
    # Not splitlines(): a vertical tab or U+2028 inside a value ends no line.
    lines = _LINE_END.split(text.replace("\x00", "\ufffd"))
    start = next((place for place, line in enumerate(lines)
                  if re.match(rf'\s*"?{re.escape(heading)}"?\s*(,|$)', line, re.IGNORECASE)), None)
    if start is None:
        raise changed(provider, heading, f"heads no column (the answer begins with {text[:60]!r})")
    columns = [name.strip().lower() for name in _split(lines[start])]
    for name in needed:
        if name.lower() not in columns:
            raise changed(provider, name, f"is no column any more (there are {', '.join(columns)[:120]})")
        if columns.count(name.lower()) > 1:
            raise changed(provider, name, f"is the name of {columns.count(name.lower())} columns")
    found: list[Any] = []
    for place, line in enumerate(lines):
        values = [value.strip() for value in _split(line)]
        small_print = place < start and not line.lstrip(' "')[:1].isdigit()
        if any(values) and place != start and not small_print:
            found.append(dict(zip(columns, values, strict=True)) if len(values) == len(columns) else line)
    return found


_LINE_END = re.compile(r"\r\n|\n|\r")


def _split(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]
