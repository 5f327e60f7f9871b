from __future__ import annotations

import pytest

from pipelines.contracts.line import Costs
from pipelines.validation import backtest
from tests.unit.validation.backtest.worlds import world

COSTS = Costs(fee_bps=8, slippage_bps=2, spread_bps=4, band=0.02)


def test_benchmarks_trade_the_same_rows() -> None:
    frame = world(50).assign(base_rate=0.9, persistence=0.1)
    found = backtest.books(frame, COSTS, 2)
    assert list(found) == ["candidate", "buy_and_hold", "base_rate", "persistence"]
    # always long, always short: the gross returns mirror each other, the costs are the same
    assert found["persistence"]["gross"].to_numpy() == pytest.approx(-found["buy_and_hold"]["gross"].to_numpy())
    assert found["buy_and_hold"]["turnover"].sum() == pytest.approx(2.0)  # in once, out once
    assert found["buy_and_hold"].equals(found["base_rate"])
    table = backtest.compare(found)
    assert table.loc["candidate", "excess_mean"] == 0.0
    assert table.loc["persistence", "excess_mean"] == pytest.approx(
        found["candidate"]["net"].mean() - found["persistence"]["net"].mean())
    assert "no_retraining" in backtest.books(frame.assign(no_retraining=0.5), COSTS, 2)
