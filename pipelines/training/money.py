"""What the evidence would have earned, and how fragile that is: tables for the training's report.

``benchmarks.csv``       the candidate beside buy and hold, the base rate and persistence: same rows, same costs
``intervals.csv``        every figure with its 95 % interval (stationary bootstrap)
``stress.csv``           every figure under doubled costs, delayed fills, missing bars, the worst month again, doubled
                         volatility
``attribution_*.csv``    where the return came from: symbol, month, session, volatility regime
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.training.measure import book
from pipelines.validation import backtest

CANDIDATE = "candidate"


def write(tables: Path, line: Line, evidence: pd.DataFrame, seed: int) -> None:
    """Write the tables of a tradable line's evidence (``EVIDENCE_COLUMNS``) into an existing directory."""
    if line.costs is None:
        return
    costs, horizon, bar = line.costs, line.target.horizon_bars, line.bar
    backtest.compare(backtest.books(evidence, costs, horizon, bar)).to_csv(
        tables / "benchmarks.csv", index_label="contender")
    own = book(line, evidence)
    if len(own) >= backtest.MIN_PERIODS:
        backtest.intervals(own, seed=seed).to_csv(tables / "intervals.csv")
    setting = backtest.Setting(evidence.assign(p=evidence[CANDIDATE]), costs, horizon, bar, seed)
    backtest.stress(setting).to_csv(tables / "stress.csv", index_label="scenario")
    rows = backtest.contributions(evidence, evidence[CANDIDATE], costs, horizon, bar)
    for name, table in backtest.attribute(rows, backtest.volatility_regime(evidence), bar).items():
        table.to_csv(tables / f"attribution_{name}.csv", index_label=name)
