"""How numbers, times and pages are written in notices and in the digest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.contracts.line import Line


@dataclass(frozen=True)
class House:
    """What wording needs to know beside a row: the lines by name, and the address of Airflow, if there is one."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    airflow: str = ""

    def dag(self, dag_id: str, run: str = "") -> str:
        """The page of a DAG or of one of its runs; empty without an address."""
        if not self.airflow:
            return ""
        return f"{self.airflow.rstrip('/')}/dags/{dag_id}" + (f"/runs/{run}" if run else "")

    def asks_people(self, line: str) -> bool:
        return line in self.lines and self.lines[line].gate.approval == "human"


def instant(value: object) -> str:
    """A time in UTC to the minute; a text (out of JSON) is ISO 8601 of UTC already."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return f"{value[:16].replace('T', ' ')} UTC" if isinstance(value, str) and value else "an unknown time"


def number(value: Any, digits: int = 3) -> str:
    """A finite number with so many decimals, else ``-``."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return f"{value:.{digits}f}" if known else "-"


def finite(value: Any) -> float | None:
    """A number out of JSON or a nullable column, None where there is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def version(value: Any) -> str:
    return "no champion" if value is None else f"v{value}"


def several(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
