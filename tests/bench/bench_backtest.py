"""The equity curve of each of 200 trials over 20,000 bars, beside a loop over the trials in pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.validation.backtest import equity_curves, trial_returns
from tests.bench.harness import Case

TRIALS, BARS, HORIZON = 200, 20_000, 4
COSTS = Costs(fee_bps=5, slippage_bps=2, spread_bps=2, band=0.02)


def cases() -> list[Case]:
    generator = np.random.default_rng(0)
    at = pd.date_range("2022-01-01", periods=BARS, freq="h", tz="UTC", unit="us")
    frame = pd.DataFrame({"symbol": "S", "event_time": at, "available_at": at + pd.Timedelta(hours=1),
                          "forward_return": generator.normal(0, 0.005, BARS)})
    chances = pd.DataFrame(generator.beta(20, 20, (BARS, TRIALS)),
                           columns=[f"trial {number}" for number in range(TRIALS)])

    def ours() -> pd.DataFrame:
        return equity_curves(trial_returns(frame, chances, COSTS, HORIZON))

    def one(p: pd.Series) -> pd.Series:
        """What one would write: regular bars of one symbol, so a shift finds the sleeve that ends."""
        p = pd.Series(p.to_numpy(), index=frame["event_time"])
        signal = ((p > 0.5 + COSTS.band).astype(float) - (p < 0.5 - COSTS.band).astype(float)) / HORIZON
        closing = signal.abs().where(np.arange(BARS) >= BARS - HORIZON, 0.0)
        turnover = (signal - signal.shift(HORIZON).fillna(0.0)).abs() + closing
        returns = frame.set_index("event_time")["forward_return"]
        return (1.0 + signal * returns - COSTS.one_way * turnover).cumprod()

    def peer() -> pd.DataFrame:
        return pd.DataFrame({name: one(chances[name]) for name in chances})

    def same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
        return (left.columns.equals(right.columns) and left.index.equals(right.index)
                and np.allclose(left.to_numpy(), right.to_numpy(), rtol=1e-9, atol=0))

    return [Case("equity_200_trials", ours, peer, float(TRIALS * BARS), "trial bars", same)]
