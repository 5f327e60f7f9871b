"""What is done to CSV: lines, cells, columns, dialects."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from infra.fuzz.rows import Change

#: Texts for a cell of a table.
CELLS = ("", "NaN", "inf", "-1", "0", "1e999", "1;5", '"', '""', '"x', "=1+1", "x" * 120_000, "٣", "\x00", "2024-02-30",
         "1704067200000", "02/30/2024", "null", "\u2028", "\x0b", "\x85", "1,5")


def _lines(change: Callable[[random.Random, list[bytes]], None]) -> Change:
    def apply(rng: random.Random, body: bytes) -> bytes:
        lines = body.split(b"\r\n")
        if len(lines) > 1:
            change(rng, lines)
        return b"\r\n".join(lines)

    return apply


def _line_at(rng: random.Random, lines: list[bytes]) -> int:
    return rng.randrange(len(lines) - 1)


def _double_line(rng: random.Random, lines: list[bytes]) -> None:
    lines.insert(_line_at(rng, lines), lines[_line_at(rng, lines)])


def _drop_line(rng: random.Random, lines: list[bytes]) -> None:
    lines.pop(_line_at(rng, lines))


def _shuffle_lines(rng: random.Random, lines: list[bytes]) -> None:
    head = rng.choice((0, 1, 3))
    body = lines[head:-1]
    rng.shuffle(body)
    lines[head:-1] = body


def _cell(rng: random.Random, lines: list[bytes]) -> None:
    for _ in range(rng.randint(1, 3)):
        place = _line_at(rng, lines)
        cells = lines[place].split(b",")
        cells[rng.randrange(len(cells))] = rng.choice(CELLS).encode()
        lines[place] = b",".join(cells)


def _other_cell(rng: random.Random, lines: list[bytes]) -> None:
    """A line whose cells are those of another one, but one."""
    cells = lines[_line_at(rng, lines)].split(b",")
    cells[rng.randrange(len(cells))] = rng.choice(CELLS).encode()
    lines.insert(_line_at(rng, lines) + 1, b",".join(cells))


def _cells(rng: random.Random, lines: list[bytes]) -> None:
    place = _line_at(rng, lines)
    cells = lines[place].split(b",")
    at = rng.randrange(len(cells))
    if rng.random() < 0.5:
        cells.pop(at)
    else:
        cells.insert(at, rng.choice(CELLS).encode())
    lines[place] = b",".join(cells)


def _dialect(rng: random.Random, lines: list[bytes]) -> None:
    change = rng.choice((lambda line: line.replace(b",", b";"), lambda line: line.replace(b".", b","),
                         lambda line: b'"' + line.replace(b",", b'","') + b'"', lambda line: b"  " + line + b" ",
                         lambda line: line + b","))
    some = rng.random() < 0.5
    lines[:] = [change(line) if line and (not some or rng.random() < 0.3) else line for line in lines]


def _ends(rng: random.Random, body: bytes) -> bytes:
    return body.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r"))) + rng.choice((b"", b"\n"))


def _columns(rng: random.Random, lines: list[bytes]) -> None:
    """The heading in another order, without one of its names, or with one twice."""
    place = next((place for place, line in enumerate(lines) if re.match(rb"(?i)date,", line)), None)
    if place is None:
        return
    names = lines[place].split(b",")
    match rng.randrange(3):
        case 0:
            names[rng.randrange(len(names))] = rng.choice((b"", b"new", b"Date", b"Close"))
        case 1:
            names[rng.randrange(len(names))] = rng.choice(names)
        case _:
            names.append(b"more")
    lines[place] = b",".join(names)


CSV: tuple[Change, ...] = (
    _lines(_double_line), _lines(_drop_line), _lines(_shuffle_lines), _lines(_cell), _lines(_cell), _lines(_other_cell),
    _lines(_cells), _lines(_dialect), _ends, _lines(_columns))
