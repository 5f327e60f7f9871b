from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation import backtest
from tests.unit.validation.backtest.worlds import world


def autoregressive(count: int, persistence: float, seed: int = 0) -> np.ndarray:
    noise, values = np.random.default_rng(seed).normal(size=count), np.zeros(count)
    for at in range(1, count):
        values[at] = persistence * values[at - 1] + noise[at]
    return values


@pytest.mark.no_cover
def test_the_interval_of_the_mean_covers_as_often_as_it_says() -> None:
    """Autocorrelated returns of true Sharpe 0.1: a bootstrap of single rows is too sure, blocks are nearly right."""
    hits = {"blocks": 0, "rows": 0}
    for seed in range(120):
        values = autoregressive(400, 0.6, seed)
        net = pd.Series(0.001 + 0.01 * np.sqrt(1 - 0.36) * values)
        for name, block in (("blocks", None), ("rows", 1.0)):
            row = backtest.intervals(net, reps=200, block=block, level=0.9, seed=seed).loc["sharpe_per_period"]
            hits[name] += row["low"] <= 0.1 <= row["high"]
    assert hits["blocks"] / 120 > 0.75
    assert hits["rows"] / 120 < 0.70


def test_every_figure_of_a_book_has_an_interval_and_the_seed_decides() -> None:
    frame = world(200)
    book = backtest.book(frame, frame["p"], Costs(), 1)
    found, again = (backtest.intervals(book, reps=300, seed=1) for _ in range(2))
    other = backtest.intervals(book, reps=300, seed=2)
    pd.testing.assert_frame_equal(found, again)
    assert found.index.tolist() == list(backtest.summary(book))
    assert not found["low"].equals(other["low"])
    assert found["estimate"].to_dict() == pytest.approx(backtest.summary(book))
    inside = found.drop(index=["max_drawdown"])  # a resample's drawdown is biased: not every estimate lies inside
    assert ((inside["low"] <= inside["estimate"]) & (inside["estimate"] <= inside["high"])).all()
    assert (found["undefined"] == 0).all()


def test_a_figure_that_is_undefined_says_how_often() -> None:
    net = pd.Series([0.01] * 39 + [-0.02])
    row = backtest.intervals(net, reps=500, block=1.0).loc["profit_factor"]
    assert row["undefined"] == pytest.approx((39 / 40) ** 40, abs=0.06)  # no loss drawn
    idle = backtest.intervals(pd.Series([0.0] * 40), reps=10).loc["win_rate"]
    assert idle["undefined"] == 1.0
    assert np.isnan(idle["low"])


def test_refusals() -> None:
    with pytest.raises(InsufficientData, match="at least 20"):
        backtest.intervals(pd.Series([0.01] * 19), block=2.0)
    for wrong in ({"level": 1.0}, {"reps": 0}, {"block": 0.5}):
        with pytest.raises(ContractError, match="mean block"):
            backtest.intervals(pd.Series([0.01] * 30), **wrong)
