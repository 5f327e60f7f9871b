"""Cutting a frame by availability."""

from __future__ import annotations

import pandas as pd

from pipelines.contracts.window import Window


def between(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Rows of ``frame`` (sorted by ``available_at``) with ``available_at`` in the half-open window."""
    at = frame["available_at"]
    first, last = (int(at.searchsorted(pd.Timestamp(edge))) for edge in (window.start, window.end))
    return frame.iloc[first:last].reset_index(drop=True)
