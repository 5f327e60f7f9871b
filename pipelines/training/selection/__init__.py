"""The ways to choose columns by name. A new one is a file here and a line in ``_MODULES``.

Whatever chooses sees the training rows of one fold and nothing else: chosen on all rows, worthless columns that happen
to fit the test rows look like an edge (Ambroise and McLachlan, "Selection bias in gene extraction", *PNAS* 99(10),
2002).
"""

from __future__ import annotations

from importlib import import_module

from pipelines.errors import ConfigError
from pipelines.training.selection.base import Rows, Selector

__all__ = ["NONE", "Rows", "Selector", "get", "names"]

#: All columns.
NONE = "none"
_MODULES = {
    "importance": "pipelines.training.selection.importance",
    "rfecv": "pipelines.training.selection.rfecv",
    "stability": "pipelines.training.selection.stability",
}


def names() -> tuple[str, ...]:
    """Every way, in the order of this file; :data:`NONE` is not among them."""
    return tuple(_MODULES)


def get(name: str) -> Selector:
    """The way called ``name``.

    Raises:
        ConfigError: there is no such way.
    """
    if name not in _MODULES:
        raise ConfigError(f"unknown selection {name!r} in search.selection; choose from {NONE}, {', '.join(_MODULES)}")
    selector: Selector = import_module(_MODULES[name]).select
    return selector
