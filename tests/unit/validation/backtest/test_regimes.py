from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError
from pipelines.validation import backtest
from tests.unit.validation.backtest.worlds import HOUR, START, world


def test_the_regime_follows_the_volatility_with_the_label_s_delay() -> None:
    frame = world(900, symbols=1, horizon=6)
    sign = np.where(np.arange(900) % 2, 1.0, -1.0)
    # the usual size wobbles a little, so that terciles mean something; hour 600 to 699 is ten times as wild
    size = 0.01 * (1 + 0.2 * np.sin(np.arange(900) / 20))
    size[600:700] *= 10
    regime = backtest.volatility_regime(frame.assign(forward_return=sign * size), window=24)
    assert regime.index.equals(pd.DatetimeIndex(frame["event_time"]))
    assert (regime.iloc[:17] == "unknown").all()
    # the first wild return belongs to hour 600 and is known at 607, when the row of hour 606 is decided
    assert (regime.iloc[606:700] == "turbulent").all()
    assert regime.iloc[605] == backtest.volatility_regime(
        frame.assign(forward_return=sign * np.where(size > 0.05, size / 10, size)), window=24).iloc[605]
    counts = regime.iloc[100:600].value_counts()
    assert counts.min() > 80


@given(st.integers(0, 1000), st.integers(30, 119), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_the_regime_does_not_know_the_future(seed: int, cut: int, horizon: int) -> None:
    frame = world(120, seed=seed, horizon=horizon)
    whole = backtest.volatility_regime(frame, window=12)
    # what was not known at the cut is replaced by noise of another size
    unknown = frame["label_end"] > START + (cut + 1) * HOUR
    other = frame.assign(forward_return=frame["forward_return"].where(~unknown, frame["forward_return"] * 50 + 1))
    assert whole.iloc[: cut + 1].equals(backtest.volatility_regime(other, window=12).iloc[: cut + 1])
    shorter = backtest.volatility_regime(frame[frame["event_time"] <= START + cut * HOUR], window=12)
    assert whole.iloc[: cut + 1].equals(shorter)


def test_a_window_of_one_has_no_volatility() -> None:
    with pytest.raises(ContractError, match="at least 2"):
        backtest.volatility_regime(world(5), window=1)
