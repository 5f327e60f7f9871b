"""Materialise a partition of features: the same bytes whenever, and in however many parts, it is done again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import SnapshotRef
from pipelines.contracts.window import Window
from pipelines.errors import NotReady
from pipelines.features import catalog, columns
from pipelines.sentiment.run import DATASET as SENTIMENT
from pipelines.store import Warehouse, asof, derived, snapshots, tables

#: Feature group → the dataset (in ``store.loads``) that has to be there besides the bars.
_NEEDS = {"sentiment": SENTIMENT, "indicators": Kind.INDICATORS.value}
_COMMANDS = {SENTIMENT: "tidemark sentiment"}


def materialise(warehouse: Warehouse, line: Line, window: Window, workers: int = 1) -> SnapshotRef:
    """Build the rows that became available in ``window`` and store them (kind ``partition``). Features that were
    computed before are read (``features.columns``).

    Args:
        workers: processes for a line of many symbols, one thread each.

    Raises:
        ConfigError: the line's rows are texts, which are learned from and not served.
        NotReady: an input of the window is not loaded yet (as far as its loads are recorded at all); try again later.
        ConfigError, ContractError, StoreUnavailable, StoreError
    """
    _require_inputs(warehouse, line, window)
    frame = columns.build(warehouse, line, window=window, as_of=asof.just_before(window.end), workers=workers)
    return snapshots.put(warehouse, frame, kind="partition", line=line.name, start=window.start, end=window.end)


def prepare(warehouse: Warehouse, line: Line, window: Window, symbols: Sequence[str]) -> int:
    """Compute a part of a partition (one of ``columns.parts``), so that ``materialise`` finds it; how many values.

    Raises:
        As ``materialise``.
    """
    _require_inputs(warehouse, line, window)
    return columns.fill(warehouse, line, window, symbols)


def _require_inputs(warehouse: Warehouse, line: Line, window: Window) -> None:
    line.require_bars("build features of")
    loads = derived.read(warehouse, tables.loads, columns=["dataset", "window_start", "window_end"])
    if missing := not_ready(loads, line, window):
        commands = sorted({_COMMANDS.get(name.split("/")[0], "tidemark ingest") for name in missing})
        raise NotReady(
            f"{line.name} {window.key} needs {', '.join(missing)} of [{window.start}, {window.end}), which are not all "
            f"loaded; run `{'` and `'.join(commands)}` for that window first (a scheduled task tries again by itself)")


def not_ready(loads: pd.DataFrame, line: Line, window: Window) -> list[str]:
    """The datasets that the line needs and whose recorded loads leave a part of ``window`` open.

    A dataset without any record is not waited for: its facts came in another way.

    Args:
        loads: ``dataset``, ``window_start``, ``window_end``; bars may be loaded whole or by symbol (``bars/BTCUSDT``).
    """
    recorded = set(loads["dataset"])
    bars = Kind.BARS.value
    by_symbol = {name.split("/", 1)[1] for name in recorded if name.startswith(f"{bars}/")}
    alternatives: list[tuple[str, ...]] = [(bars, f"{bars}/{symbol}")
                                           for symbol in sorted(set(line.symbols) or by_symbol)] or [(bars,)]
    alternatives += [(_NEEDS[group.name],) for group in catalog.select(line.features.groups) if group.name in _NEEDS]
    missing = []
    for names in alternatives:
        own = loads[loads["dataset"].isin(names)]
        if recorded.intersection(names) and not _covers(
                zip(own["window_start"], own["window_end"], strict=True), window):
            missing.append(names[-1] if names[-1] in recorded else names[0])
    return missing


def _covers(spans: Iterable[tuple[pd.Timestamp, pd.Timestamp]], window: Window) -> bool:
    reached = pd.Timestamp(window.start)
    for start, end in sorted(spans):
        if start > reached:
            break
        reached = max(reached, end)
    return bool(reached >= pd.Timestamp(window.end))
