"""All trials at once are the book of each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation import backtest
from pipelines.validation.backtest import trials
from tests.unit.validation.backtest.worlds import HOUR, ragged, world

COSTS = Costs(fee_bps=8, slippage_bps=2, spread_bps=4, band=0.02)


def walked(frame: pd.DataFrame, horizon: int, p: str) -> pd.Series:
    """Brute force: open a sleeve at each row, hand it on one horizon later or close it, row by row."""
    held = {(row.symbol, row.event_time): 0.0 for row in frame.itertuples()}
    for row in frame.itertuples():
        chance = getattr(row, p)
        on_time = row.available_at <= row.event_time + 1.5 * HOUR and not np.isnan(row.forward_return)
        side = 1 if chance > 0.5 + COSTS.band else -1 if chance < 0.5 - COSTS.band else 0
        held[row.symbol, row.event_time] = side * on_time / horizon
    net: dict[pd.Timestamp, list[float]] = {}
    for row in frame.itertuples():
        mine = held[row.symbol, row.event_time]
        traded = abs(mine - held.get((row.symbol, row.event_time - horizon * HOUR), 0.0))
        if (row.symbol, row.event_time + horizon * HOUR) not in held:
            traded += abs(mine)
        earned = mine * row.forward_return if mine else 0.0
        net.setdefault(row.event_time, []).append(earned - traded * (8 + 2 + 4 / 2) / 10_000)
    return pd.Series({at: sum(values) / len(values) for at, values in net.items()}).sort_index()


@given(ragged(), st.integers(1, 4), st.sampled_from([10, 100_000]))
@settings(max_examples=100, deadline=None)
def test_each_trial_is_its_book_and_the_walk(frame: pd.DataFrame, horizon: int, cells: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "_CELLS", cells)
        net = backtest.trial_returns(frame, frame[["p", "q"]], COSTS, horizon)
    for name in ("p", "q"):
        book = backtest.net_returns(frame, frame[name], COSTS, horizon)
        assert net.index.equals(book.index)
        assert net[name].to_numpy() == pytest.approx(book.to_numpy(), abs=1e-15)
        assert net[name].to_numpy() == pytest.approx(walked(frame, horizon, name).to_numpy(), abs=1e-15)


def test_curves_and_figures_are_those_of_each_trial() -> None:
    frame = world(300)
    net = backtest.trial_returns(frame, pd.DataFrame({"a": frame["p"], "b": 1 - frame["p"]}), COSTS, 3)
    curves, table = backtest.equity_curves(net), backtest.trial_figures(net)
    for name in net:
        assert curves[name].to_numpy() == pytest.approx(backtest.equity(net[name]).to_numpy())
        assert table.loc[name].to_dict() == pytest.approx(backtest.summary(net[name]))


def test_another_number_of_rows_is_refused() -> None:
    frame = world(5)
    with pytest.raises(ContractError, match="one column per trial"):
        backtest.trial_returns(frame, frame[["p"]].T, COSTS, 1)
