"""The feature rows of a window: those materialised, or built now. Both are the same, bit for bit."""

from __future__ import annotations

import pandas as pd

from pipelines import features
from pipelines.contracts.columns import FEATURE_META
from pipelines.contracts.line import Line
from pipelines.contracts.window import Window
from pipelines.features import catalog
from pipelines.store import Warehouse, asof, snapshots


def rows(warehouse: Warehouse, line: Line, window: Window) -> pd.DataFrame:
    """Rows that became available in ``window``: ``FEATURE_META`` and the line's features (float64), ordered by
    (event_time, symbol).

    Partitions are used when they cover the whole window without a gap and hold the features that the line asks for
    today; otherwise everything is built as of the end of the window.
    """
    parts = snapshots.between(warehouse, kind="partition", line=line.name, start=window.start, end=window.end)
    edges = [window.start, *(part.end for part in parts)]
    if parts and edges[-1] == window.end and all(part.start == edge for part, edge in zip(parts, edges, strict=False)):
        wanted = [*FEATURE_META, *(feature.name for feature in catalog.features(catalog.select(line.features.groups)))]
        frames = [snapshots.get(warehouse, part.digest) for part in parts]
        if all(list(frame.columns) == wanted for frame in frames):
            whole = [frame for frame in frames if len(frame)] or frames[:1]
            return pd.concat(whole, ignore_index=True).sort_values(["event_time", "symbol"], ignore_index=True)
    return features.build(warehouse, line, window=window, as_of=asof.just_before(window.end))
