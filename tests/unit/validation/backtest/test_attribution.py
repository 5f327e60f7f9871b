from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError
from pipelines.validation import backtest
from tests.unit.validation.backtest.worlds import HOUR, START, ragged, world

COSTS = Costs(fee_bps=8, slippage_bps=2, band=0.02)
NO_REGIME = pd.Series(dtype=object, index=pd.DatetimeIndex([], tz="UTC"))


@given(ragged(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_table_adds_up_to_the_book(frame: pd.DataFrame, horizon: int) -> None:
    book = backtest.book(frame, frame["p"], COSTS, horizon)
    tables = backtest.attribute(backtest.contributions(frame, frame["p"], COSTS, horizon), NO_REGIME)
    assert set(tables) == {"symbol", "month", "session", "regime"}
    for table in tables.values():
        for column in ("gross", "cost", "net", "turnover"):
            assert table[column].sum() == pytest.approx(book[column].sum(), abs=1e-12)
        assert table["rows"].sum() == pytest.approx(len(frame))
    assert tables["regime"].index.tolist() == ["unknown"]


def test_by_hand() -> None:
    """Four hours around London's opening, one symbol long, no costs; a bar belongs to the session of its close."""
    frame = world(4, symbols=1).assign(forward_return=[0.01, 0.02, 0.03, -0.01], p=0.9)
    at = pd.DatetimeIndex(["2024-01-31 06:00", "2024-01-31 07:00", "2024-01-31 08:00", "2024-02-03 08:00"], tz="UTC")
    frame = frame.assign(event_time=at.as_unit("us"), available_at=at.as_unit("us") + HOUR)
    rows = backtest.contributions(frame, frame["p"], Costs(fee_bps=0, slippage_bps=0), 1)
    regime = pd.Series(["calm", "calm", "turbulent"], index=at[:3].as_unit("us"))
    tables = backtest.attribute(rows, regime)
    # closes: 07:00 Tokyo only (16:00 there); 08:00 Tokyo and London; 09:00 London only (18:00 in Tokyo); a Saturday
    assert tables["session"]["net"].to_dict() == pytest.approx(
        {"closed": -0.01, "london": 0.01 + 0.03, "tokyo": 0.01 + 0.01})
    assert tables["session"]["rows"].to_dict() == pytest.approx({"closed": 1, "london": 1.5, "tokyo": 1.5})
    assert tables["month"]["net"].to_dict() == pytest.approx({"2024-01": 0.06, "2024-02": -0.01})
    assert tables["month"]["share"].to_dict() == pytest.approx({"2024-01": 6 / 5, "2024-02": -1 / 5})
    assert tables["regime"]["net"].to_dict() == pytest.approx({"calm": 0.03, "turbulent": 0.03, "unknown": -0.01})
    assert tables["symbol"]["net"].to_dict() == pytest.approx({"S0": 0.05})


def test_two_labels_for_one_time_are_refused() -> None:
    frame = world(3)
    twice = pd.Series(["a", "b"], index=[START, START])
    with pytest.raises(ContractError, match="two labels"):
        backtest.attribute(backtest.contributions(frame, frame["p"], COSTS, 1), twice)
