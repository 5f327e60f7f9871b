"""Probability of backtest overfitting of 20 trials over 500 periods at 16 blocks, beside purgedcv."""

from __future__ import annotations

import numpy as np
import pandas as pd
import purgedcv

from pipelines.validation.significance import Overfitting, pbo
from tests.bench.harness import Case

PERIODS, TRIALS, BLOCKS = 500, 20, 16
COMBINATIONS = 12_870


def cases() -> list[Case]:
    generator = np.random.default_rng(0)
    values = generator.normal(0.0003, 0.01, (PERIODS, TRIALS)) + generator.normal(0, 0.005, (PERIODS, 1))
    index = pd.date_range("2024-01-01", periods=PERIODS, freq="D", tz="UTC")
    returns = pd.DataFrame(values, index, [f"trial {number}" for number in range(TRIALS)])
    transposed = np.ascontiguousarray(values.T)

    def same(ours: Overfitting, peer: purgedcv.PBOResult) -> bool:
        return (ours.probability == peer.pbo and np.allclose(ours.logits, peer.logits, rtol=0, atol=1e-12)
                and bool(np.isclose(ours.slope, peer.slope, rtol=1e-9)))

    return [Case("pbo_vs_purgedcv", lambda: pbo(returns, BLOCKS),
                 lambda: purgedcv.probability_of_backtest_overfitting(transposed, BLOCKS), COMBINATIONS, "combinations",
                 same, runs=3)]
