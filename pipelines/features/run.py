"""Materialise a partition of features: the same bytes whenever it is done again."""

from __future__ import annotations

from sqlalchemy import Connection

from pipelines.contracts.line import Line
from pipelines.contracts.records import SnapshotRef
from pipelines.contracts.window import Window
from pipelines.errors import NotReady
from pipelines.features import catalog
from pipelines.features.matrix import build
from pipelines.sentiment.run import DATASET as SENTIMENT
from pipelines.store import Warehouse, asof, derived, loads, snapshots, tables

#: Feature group → the dataset (in ``store.loads``) that has to be there besides the bars, and what makes it.
_NEEDS = {"sentiment": (SENTIMENT, "tidemark sentiment"), "indicators": ("indicators", "tidemark ingest")}


def materialise(warehouse: Warehouse, line: Line, window: Window) -> SnapshotRef:
    """Build the rows that became available in ``window`` and store them (kind ``partition``).

    Raises:
        NotReady: an input of the window is not loaded yet (as far as loads are recorded at all); try again later.
        ConfigError, ContractError, StoreUnavailable, StoreError
    """
    with warehouse.begin() as connection:
        _require(connection, line, window)
    frame = build(warehouse, line, window=window, as_of=asof.just_before(window.end))
    return snapshots.put(warehouse, frame, kind="partition", line=line.name, start=window.start, end=window.end)


def _require(connection: Connection, line: Line, window: Window) -> None:
    needs = [("bars", "tidemark ingest")]
    needs += [_NEEDS[group.name] for group in catalog.select(line.features.groups) if group.name in _NEEDS]
    for dataset, command in needs:
        recorded = derived.read(connection, tables.loads, columns=["dataset"], where={"dataset": dataset}, limit=1)
        if len(recorded) and not loads.covered(connection, dataset, window):
            raise NotReady(
                f"{line.name} {window.key} needs the {dataset} of [{window.start}, {window.end}), which are not all "
                f"loaded; run `{command}` for that window first (the DAG tries again by itself)")
