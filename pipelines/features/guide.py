"""The feature guide (``docs/features.md``), made from what the groups declare and the docstrings of their files."""

from __future__ import annotations

import importlib
import inspect

from pipelines.features import catalog
from pipelines.features.declare import Group

_INTRODUCTION = """\
# Features

Made from the catalog by `python -m tests.unit.test_docs`; a test holds that it is current. `tidemark features list`
prints the same table, `--group` one group, `--json` for programs.

## The law of trailing windows

The value of a feature at bar *e* depends on the bars *e - look-back* to *e* of its own symbol and on the absolute
hour, and on nothing else, bit for bit: not on where the computation begins, not on the bars before the look-back, not
on other symbols (a group that looks across symbols says so), not on which other features are computed, and never on a
later bar. Bars count with the versions that were known at the row's own time. Hence an incremental build (new bars
and their look-back) equals a full one, a live row equals the row that a model was trained on, and cutting off the
future changes nothing. `tests/unit/features/test_laws.py` and `test_builds.py` put every registered group to it.

So nothing here is a running sum: it carries the rounding of all that came before. Each window is added up by itself,
newest bar first (`numerics/rolling.py`, or a compiled kernel in the same order). An indicator with an endless memory
(EMA, Wilder's smoothing) would depend on the first bar that anybody stored: it is replaced by a window mean, or
begins anew at fixed hours of the calendar, counted since 1970 (`Bars.first`), with a warm-up that belongs to its
look-back; its group says which. Levels of a day or a week begin at the hour that their group names, in UTC.

## What is declared

| | |
|---|---|
| inputs | columns of the bars, or tables that are read as of the row's time |
| look-back | how many hourly bars before its own a value needs |
| available | when a value can be known |
| formula | and where it comes from |
| gaps | when a value is absent |
| absent | what a row gets in place of an absent value: a number that stands for "nothing known", or *row left out* |

No NaN and no infinity reaches a model: an absent value becomes the number under *absent*, and a row that lacks a
feature without one is left out, which the log counts. A missing bar is waited for up to six hours after its close and
is a gap from then on; so a row is decided when its own bar and those of the six hours before are there, whatever its
features look back on.

## A line's list

```toml
[features]
version = 2
groups = ["returns", "time", "volatility.atr_14h", "volatility.parkinson_24h"]
```

A group stands for all its features; `group.feature` for one of them. Feature names are unique by themselves; the
group before the dot shows where a feature comes from, so that a slip is noticed where it is written. A name that is
unknown, doubled, or beside its whole group is refused. Only the named features are computed; one more changes no
other, neither its values nor its time. Columns stand group by group in the order of first mention. The order, the names
and all that they declare go into the stamp `version-digest` that each trained version bears (`tidemark lineage LINE
VERSION`): two lists under one number are told apart.

## Adding one

A feature is one `Feature(...)` in its group's file and its values in what the group computes; a group is one file in
`pipelines/features/groups/` and one line in `pipelines/features/catalog.py`. From then on the proofs hold for it; of
its own it needs a test against something independent (another library, a published figure, a loop). A group computed
from bars may give functions in place of arrays: they run only when their feature is wanted. What several symbols
share is declared with `across_symbols=True`.
"""


def text() -> str:
    """The whole guide as Markdown."""
    sections = "\n".join(_section(group) for group in catalog.GROUPS.values())
    count = sum(len(group.features) for group in catalog.GROUPS.values())
    return f"{_INTRODUCTION}\n## The groups\n\n{len(catalog.GROUPS)} groups, {count} features.\n\n{sections}"


def _section(group: Group) -> str:
    table = catalog.describe([group])
    lines = [f"### {group.name}", "", _about(group), "",
             f"*Available* {group.availability}. *Gaps*: {group.gaps}."
             + (" *Looks across symbols.*" if group.across_symbols else ""), "",
             "| feature | inputs | look-back | unit | formula and source | absent |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in (
        f"`{row['feature']}`", row["inputs"], row["lookback"], row["unit"], row["source"], row["absent"])) + " |"
        for row in table.to_dict("records")]
    return "\n".join(lines) + "\n"


def _about(group: Group) -> str:
    """The docstring of the group's file, its references as one paragraph."""
    home = importlib.import_module(f"pipelines.features.groups.{group.name}")
    said, _, references = inspect.cleandoc(home.__doc__ or "").partition("\nReferences:\n")
    return said.strip() + (f"\n\nReferences: {' '.join(references.split())}" if references else "")
