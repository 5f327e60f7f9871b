"""What is done to rows, whatever they are made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Change = Callable[[random.Random, bytes], bytes]


def double_row(rng: random.Random, rows: list[Any]) -> None:
    rows.insert(rng.randrange(len(rows) + 1), rng.choice(rows))


def shuffle_rows(rng: random.Random, rows: list[Any]) -> None:
    rng.shuffle(rows)


def drop_rows(rng: random.Random, rows: list[Any]) -> None:
    for _ in range(rng.randint(1, len(rows))):
        rows.pop(rng.randrange(len(rows)))
