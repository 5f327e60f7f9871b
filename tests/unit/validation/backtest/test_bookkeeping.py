from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation import backtest

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
COSTS = Costs(fee_bps=8.0, slippage_bps=2.0, band=0.1)  # 10 bps one way


def rows(symbol: str, hours: list[int], returns: list[float], late: tuple[int, ...] = ()) -> pd.DataFrame:
    times = pd.DatetimeIndex([START + hour * HOUR for hour in hours]).as_unit("us")
    known = [at + HOUR * (6 if hour in late else 1) for at, hour in zip(times, hours, strict=True)]
    return pd.DataFrame({"symbol": symbol, "event_time": times, "available_at": pd.DatetimeIndex(known).as_unit("us"),
                         "forward_return": returns})


@pytest.mark.parametrize(("chance", "position"), [
    (0.61, 1), (0.60, 0), (0.50, 0), (0.40, 0), (0.39, -1), (1.0, 1), (0.0, -1)])
def test_the_band_has_no_position(chance: float, position: int) -> None:
    assert backtest.positions([chance], 0.1).tolist() == [position]


def test_one_symbol_by_hand() -> None:
    """long, long, short, flat, long: turnover 1, 0, 2, 1, then 1 to open and 1 to close at the end."""
    frame = rows("A", [0, 1, 2, 3, 4], [0.01, 0.02, 0.03, 0.04, -0.05])
    book = backtest.book(frame, [0.9, 0.7, 0.1, 0.5, 0.8], COSTS, 1)
    assert book["turnover"].tolist() == pytest.approx([1, 0, 2, 1, 2])
    assert book["gross"].tolist() == pytest.approx([0.01, 0.02, -0.03, 0.0, -0.05])
    assert book["cost"].tolist() == pytest.approx([0.001, 0.0, 0.002, 0.001, 0.002])
    assert book["net"].tolist() == pytest.approx([0.009, 0.02, -0.032, -0.001, -0.052])
    assert book["exposure"].tolist() == [1, 1, 1, 0, 1]
    assert backtest.net_returns(frame, [0.9, 0.7, 0.1, 0.5, 0.8], COSTS, 1).tolist() == book["net"].tolist()


def test_a_gap_closes_the_position_and_opens_it_again() -> None:
    book = backtest.book(rows("A", [0, 1, 5, 6], [0.0] * 4), [0.9] * 4, COSTS, 1)
    assert book["turnover"].tolist() == [1, 1, 1, 1]  # open, close before the gap, open after it, close at the end


def test_a_horizon_of_two_bars_has_two_sleeves_of_half_a_unit() -> None:
    frame = rows("A", [0, 1, 2, 3], [0.02, 0.02, 0.04, 0.04])
    book = backtest.book(frame, [0.9, 0.1, 0.9, 0.9], COSTS, 2)
    # sleeve one: long at 0, stays long at 2, closes; sleeve two: short at 1, long at 3, closes
    assert book["turnover"].tolist() == pytest.approx([0.5, 0.5, 0.0 + 0.5, 1.0 + 0.5])
    assert book["gross"].tolist() == pytest.approx([0.01, -0.01, 0.02, 0.02])
    assert book["exposure"].tolist() == [0.5] * 4


def test_the_portfolio_is_the_mean_over_the_symbols_present() -> None:
    frame = pd.concat([rows("A", [0, 1], [0.02, 0.02]), rows("B", [0], [-0.01])])
    book = backtest.book(frame, [0.9, 0.9, 0.1], Costs(fee_bps=0, slippage_bps=0, band=0.1), 1)
    assert book["gross"].tolist() == pytest.approx([0.015, 0.02])


def test_a_late_row_and_a_row_without_a_next_bar_are_not_traded() -> None:
    frame = rows("A", [0, 1, 2], [0.01, 0.01, math.nan], late=(1,))
    book = backtest.book(frame, [0.9, 0.9, 0.9], COSTS, 1)
    assert book["exposure"].tolist() == [1, 0, 0]
    assert book["turnover"].tolist() == [1, 1, 0]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.floats(-0.1, 0.1)), min_size=2, max_size=40),
       st.integers(1, 5), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_costs_only_cost_and_what_is_opened_is_closed(steps: list[tuple[float, float]], horizon: int, gap: int) -> None:
    hours = [index + (gap if index > len(steps) // 2 else 0) for index in range(len(steps))]
    frame = rows("A", hours, [value for _, value in steps])
    chances = [chance for chance, _ in steps]
    book = backtest.book(frame, chances, COSTS, horizon)
    free = backtest.book(frame, chances, Costs(fee_bps=0, slippage_bps=0, band=0.1), horizon)
    assert (book["net"] <= free["net"] + 1e-15).all()
    assert np.allclose(free["net"] - book["net"], COSTS.one_way * book["turnover"])
    # each sleeve trades at least its opening and closing, at most twice its signals
    signals = np.abs(backtest.positions(chances, 0.1)) / horizon
    assert book["turnover"].sum() <= 2 * signals.sum() + 1e-9
    if signals.any():
        assert book["turnover"].sum() >= 2 * signals.max() - 1e-9


def test_the_summary_of_a_book_adds_turnover_exposure_and_cost() -> None:
    book = backtest.book(rows("A", [0, 1], [0.01, 0.02]), [0.9, 0.9], COSTS, 1)
    found = backtest.summary(book)
    assert (found["turnover"], found["exposure"], found["cost"]) == pytest.approx((1.0, 1.0, 0.002))


def test_half_the_spread_is_paid_on_each_side() -> None:
    assert Costs(fee_bps=2, slippage_bps=1, spread_bps=4).one_way == pytest.approx(0.0005)
    assert Costs().one_way == pytest.approx(0.0003)  # no spread unless it is stated
    frame = rows("A", [0, 1], [0.01, 0.02])
    wide, none = (backtest.book(frame, [0.9, 0.9], Costs(fee_bps=0, slippage_bps=0, spread_bps=spread, band=0.1), 1)
                  for spread in (10, 0))
    assert (none["net"] - wide["net"]).sum() == pytest.approx(0.0010)  # in and out: the full spread, once


def test_refusals() -> None:
    with pytest.raises(ContractError, match="cannot be traded"):
        backtest.book(rows("A", [0], [math.nan]), [0.9], COSTS, 1)
    with pytest.raises(ContractError, match="two rows at one time"):
        backtest.book(rows("A", [0, 0], [0.1, 0.1]), [0.9, 0.9], COSTS, 1)
