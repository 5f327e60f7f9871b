"""Panels for the tests of the splitters."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from hypothesis import strategies as st

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = pd.Timestamp("2024-01-01", tz="UTC")


def panel(hours: int, symbols: int = 1, horizon: int = 1) -> pd.DataFrame:
    """Hourly rows; a label ends ``horizon`` hours after its row."""
    times = pd.date_range(START, periods=hours, freq="h", unit="us").repeat(symbols)
    return pd.DataFrame({"symbol": np.tile([f"S{number}" for number in range(symbols)], hours), "event_time": times,
                         "label_end": times + HOUR * horizon})


@st.composite
def ragged(draw: st.DrawFn, least: int = 1) -> pd.DataFrame:
    """Missing hours, repeated times, labels of unequal length, rows in any order."""
    hours = draw(st.lists(st.integers(0, 300), min_size=least, max_size=60))
    spans = draw(st.lists(st.integers(0, 60), min_size=len(hours), max_size=len(hours)))
    times = START + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame({"event_time": pd.DatetimeIndex(times).as_unit("us"),
                         "label_end": pd.DatetimeIndex(times + pd.to_timedelta(spans, unit="h")).as_unit("us")})
