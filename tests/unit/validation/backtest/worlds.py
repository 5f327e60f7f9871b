"""Frames for the tests of the backtest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)


def world(hours: int, symbols: int = 2, seed: int = 0, horizon: int = 1) -> pd.DataFrame:
    """A full panel of hourly rows with random forecasts; ``p`` and ``candidate`` are the same."""
    generator = np.random.default_rng(seed)
    at = pd.date_range(START, periods=hours, freq="h", unit="us").repeat(symbols)
    count = hours * symbols
    chance = generator.uniform(size=count)
    return pd.DataFrame({
        "symbol": np.tile([f"S{number}" for number in range(symbols)], hours), "event_time": at,
        "available_at": at + HOUR, "label_end": at + HOUR * (horizon + 1),
        "forward_return": generator.normal(0, 0.01, count), "p": chance, "candidate": chance})


@st.composite
def ragged(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of up to three symbols at irregular hours, in any order, some late, some without a return."""
    keys = draw(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40)), min_size=1, max_size=50, unique=True))
    count = len(keys)
    at = pd.DatetimeIndex([START + hour * HOUR for _, hour in keys]).as_unit("us")
    late = draw(st.lists(st.sampled_from([1, 1, 1, 3]), min_size=count, max_size=count))
    returns = draw(st.lists(st.sampled_from([0.01, -0.02, 0.003, 0.0, np.nan]), min_size=count, max_size=count))
    frame = pd.DataFrame({"symbol": [symbol for symbol, _ in keys], "event_time": at,
                          "available_at": at + pd.to_timedelta(late, unit="h"), "forward_return": returns})
    if frame["forward_return"].isna().all():
        frame.loc[0, "forward_return"] = 0.01
    chances = st.lists(st.sampled_from([0.0, 0.45, 0.5, 0.55, 1.0]), min_size=count, max_size=count)
    return frame.assign(p=draw(chances), q=draw(chances))
