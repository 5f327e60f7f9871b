"""What a stored value of a feature is made of: its declaration, the code, and the bars as they were known.

Two values with the same fingerprint are the same bits, so one of them need not be computed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.features.declare import Feature, Group
from pipelines.sentiment.hours import instant, microseconds

_LIBRARY = "pipelines.features"
#: Every feature of bars is computed through these.
_BASE = (f"{_LIBRARY}.view", f"{_LIBRARY}.across")
_NUMBERS = ("open", "high", "low", "close", "volume")
_BAR = timedelta(hours=1)


def digest(*parts: object) -> str:
    """32 hex digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:32]


def of_feature(group: Group, feature: Feature) -> str:
    """Declaration and code of a feature: changes when its group's file, or what that imports from this room, does."""
    return digest(group.name, group.across_symbols, repr(feature), code(getattr(group.from_bars, "__module__", "")))


@lru_cache(maxsize=256)
def code(module: str) -> str:
    """The source of a module, of the modules of this room that it imports, and of the ones behind every feature; with
    the versions of what computes, as a sum may be rounded otherwise on another machine."""
    found: dict[str, str] = {}
    for name in (module, *_BASE):
        _collect(name, found)
    return digest(found, np.__version__, version("numba"), platform.machine())


def _collect(module: str, found: dict[str, str]) -> None:
    spec = importlib.util.find_spec(module) if module and module not in found else None
    if spec is None or spec.origin is None:
        return
    text = Path(spec.origin).read_text(encoding="utf-8")
    found[module] = hashlib.sha256(text.encode()).hexdigest()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_LIBRARY):
            source = str(node.module)
            imported = importlib.util.find_spec(source)
            if imported is not None and imported.submodule_search_locations is not None:  # modules of a package
                for name in node.names:
                    _collect(f"{source}.{name.name}", found)
            else:
                _collect(source, found)


def of_bars(bars: pd.DataFrame, first_row: datetime, leads: Iterable[int]) -> dict[int, str]:
    """For each number of bars before ``first_row``: what is known of the bars from there on, all versions.

    A bar that comes later, or is corrected, changes the digests of those that reach back to it and no others.

    Args:
        bars: ``symbol``, ``event_time``, ``available_at``, ``revision`` and prices, ordered by key and time.
    """
    opened = microseconds(bars["event_time"])
    codes, names = pd.factorize(bars["symbol"])
    table = np.stack([opened, microseconds(bars["available_at"]), bars["revision"].to_numpy(np.int64),
                      *(bars[name].to_numpy(np.float64).view(np.int64) for name in _NUMBERS)], axis=1)
    names = np.array([int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=7).digest()) for name in names],
                     dtype=np.int64)
    # Newest first, so that what reaches further back begins like what does not, whoever else is asked for.
    order = np.argsort(-opened, kind="stable")
    table, opened = np.column_stack([names[codes], table])[order], opened[order]
    running, begin, result = hashlib.sha256(), 0, dict[int, str]()
    for bars_before in sorted(set(leads)):
        end = int(np.searchsorted(-opened, -instant(first_row - bars_before * _BAR), side="right"))
        running.update(table[begin:end].tobytes())
        result[bars_before], begin = running.hexdigest()[:32], end
    return result
