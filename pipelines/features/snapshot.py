"""The training snapshot: features, labels and naive predictions of a line's history, as of one time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, ROW_KEY
from pipelines.contracts.line import Line
from pipelines.contracts.records import SnapshotRef
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import columns, labels, texts, trades
from pipelines.features.matrix import NAIVE, build, feature_names
from pipelines.store import Warehouse, asof, snapshots

__all__ = ["NAIVE", "matrix", "training"]


class Build(Protocol):
    """``matrix.build``, or what gives the same."""

    def __call__(self, warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime) -> pd.DataFrame: ...


def training(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[SnapshotRef, pd.DataFrame]:
    """Everything a training of ``line`` may see at ``as_of``, stored by content.

    The rows whose outcome was known before ``as_of`` (``label_end < as_of``) of the last ``history_days``, decided
    before their outcome was known (a row that came later than its own outcome could have seen it).

    Returns:
        The snapshot's reference, and its frame: ``FEATURE_META``, features, ``LABEL_COLUMNS`` and one of ``NAIVE``
        (bars and trades: ``base_prev_label``, the latest label known at the row's time; texts: ``base_compound``),
        ordered by (event_time, symbol).

    Raises:
        InsufficientData: no labelled row in that time.
    """
    window, frame = matrix(warehouse, line, as_of, columns.build)
    ref = snapshots.put(warehouse, frame, kind="training", line=line.name, start=window.start, end=window.end)
    return ref, frame


def matrix(warehouse: Warehouse, line: Line, as_of: datetime, build: Build = build) -> tuple[Window, pd.DataFrame]:
    """The frame of :func:`training` and the window it is of. Computed anew and without storing anything, unless
    ``build`` does: whoever checks a snapshot must not read what it was made from.

    Raises:
        InsufficientData: no labelled row in that time.
    """
    if not line.on_bars:
        special = texts.training if line.target.rows == "texts" else trades.training
        return special(warehouse, line, as_of)
    window = Window(as_of - timedelta(days=line.walk_forward.history_days) - line.horizon, as_of)
    rows = build(warehouse, line, window=window, as_of=as_of)
    # What becomes available at as_of belongs to the partition that begins there. It comes in after a training at the
    # end of the one before, and would make the same training another one when it is done again.
    known = asof.just_before(as_of)
    frame = join(rows, labels.read(warehouse, line, start=_first(rows, window), end=as_of, as_of=known))
    if frame.empty:
        raise InsufficientData(
            f"{line.name} has no labelled rows available between {window.start} and {as_of}; load bars (`tidemark "
            f"ingest`) for at least {line.walk_forward.history_days} days before as_of, or choose a later as_of")
    return window, frame


def join(rows: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    """Features with their labels: rows that have one, decided before it was known, with a known previous label."""
    names = feature_names(rows)
    previous = NAIVE[0]
    frame = rows.merge(labelled.rename(columns={"prev_label": previous}), on=list(ROW_KEY), how="inner")
    usable = (frame["available_at"] < frame["label_end"]) & frame[previous].notna()
    frame = frame.loc[usable, [*FEATURE_META, *names, *LABEL_COLUMNS, previous]]
    return frame.sort_values(["event_time", "symbol"], ignore_index=True)


def _first(rows: pd.DataFrame, window: Window) -> datetime:
    first: datetime = rows["event_time"].min().to_pydatetime() if len(rows) else window.start
    return min(first, window.start)
