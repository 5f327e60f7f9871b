"""The rules that people use, on returns where it is plain what they have to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.calibration.gate.rules import RULES

DAYS = pd.date_range("2020-01-01", periods=504, freq="D", tz="UTC")


def _returns(*sharpe: float, seed: int = 0) -> pd.DataFrame:
    """Champion and trials whose measured Sharpe ratios are exactly these, uncorrelated."""
    noise = np.random.default_rng(seed).standard_normal((504, len(sharpe)))
    noise -= noise.mean(axis=0)
    noise /= noise.std(axis=0, ddof=1)
    names = ["champion", *(f"trial_{number}" for number in range(len(sharpe) - 1))]
    return pd.DataFrame(0.01 * (noise + np.array(sharpe) / np.sqrt(252)), index=DAYS, columns=names)


#: measured Sharpe of champion and trials; who is promoted by: best Sharpe, plain Diebold-Mariano, SPA
TABLE = [
    ((1.0, 0.9, 0.5), None, None, None),
    ((1.0, 1.1, 0.5), "trial_0", None, None),
    ((1.0, 0.5, 6.0), "trial_1", "trial_1", "trial_1"),
]


@pytest.mark.parametrize(("sharpe", "best", "plain", "hansen"), TABLE)
def test_who_is_promoted(sharpe: tuple[float, ...], best: str | None, plain: str | None, hansen: str | None) -> None:
    returns = _returns(*sharpe)
    found = {name: rule(returns) for name, rule in RULES.items()}
    assert found["best_sharpe"] == best
    assert found["plain_diebold_mariano"] == plain
    assert found["spa_over_all"] == hansen


def test_the_margin_is_a_margin_and_the_drawdown_counts() -> None:
    rule = RULES["sharpe_and_drawdown"]
    assert rule(_returns(1.0, 1.25)) is None
    better = _returns(0.0, 4.0)
    assert rule(better) == "trial_0"
    crash = better.copy()
    crash.iloc[100:110, 1] = -0.05
    assert crash["trial_0"].mean() > crash["champion"].mean()
    assert rule(crash) is None


def test_deflated_sharpe_asks_for_more_than_luck_and_nothing_of_the_champion() -> None:
    rule = RULES["deflated_sharpe"]
    assert rule(_returns(9.0, 4.0, 1.0, 0.9)) == "trial_0"
    assert rule(_returns(0.0, 1.0, 0.9, 0.2)) is None
    assert rule(_returns(0.0, 4.0)) is None  # one trial: nothing to deflate by
