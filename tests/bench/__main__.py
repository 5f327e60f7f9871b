"""``make bench``: run every bench of this folder, print the tables, keep the ratios in ``.bench/latest.json``."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.bench
from tests.bench.harness import Case, Result, measure

OUTPUT = Path(__file__).resolve().parents[2] / ".bench" / "latest.json"


def cases(wanted: set[str]) -> list[Case]:
    """Every `Case` that the modules ``bench_*`` of this folder offer through ``cases()``."""
    found = []
    for module in sorted(pkgutil.iter_modules(tests.bench.__path__), key=lambda item: item.name):
        if module.name.startswith("bench_"):
            found += importlib.import_module(f"tests.bench.{module.name}").cases()
    return [case for case in found if not wanted or case.name in wanted]


def printed(wanted: set[str]) -> Iterator[Table]:
    """What the modules print besides: each table of ``printed()``, a mapping of names to functions."""
    for module in sorted(pkgutil.iter_modules(tests.bench.__path__), key=lambda item: item.name):
        if module.name.startswith("bench_"):
            offered = getattr(importlib.import_module(f"tests.bench.{module.name}"), "printed", dict)()
            yield from (make() for name, make in offered.items() if not wanted or name in wanted)


def main(names: list[str]) -> int:
    console = Console(highlight=False)
    results: list[Result] = []
    for case in cases(set(names)):
        with console.status(case.name):
            results.append(measure(case))
    table = Table(title="Benches (ratio above 1: we are faster)", title_justify="left")
    for column in ("name", "ours", "peer", "ratio", "unit", "equal"):
        table.add_column(column, no_wrap=column in ("name", "ratio"))
    for row in results:
        table.add_row(row.name, f"{row.ours:,.0f}", f"{row.peer:,.0f}", f"{row.ratio:.2f}", row.unit,
                      "yes" if row.equal else "NO")
    if results:
        console.print(table)
    others = list(printed(set(names)))
    for other in others:
        console.print(other)
    OUTPUT.parent.mkdir(exist_ok=True)
    if results:
        OUTPUT.write_text(json.dumps([row.as_json() for row in results], indent=2), encoding="utf-8")
    return 0 if (results or others) and all(row.equal for row in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
