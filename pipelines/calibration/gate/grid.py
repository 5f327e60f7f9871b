"""The cheap grid: simulated daily returns become the evidence of a training, and the gate decides.

The first two thirds of the days are search days for all trials; the trial that did best there becomes the candidate and
meets the champion on the last third. The gate compares losses, so the loss of a day is ``1 - return``: positive, with
the same differences between contenders, and hence the same signal to noise, as the returns themselves. A day counts as
the mean over `SYMBOLS` rows. The other rules of the gate (AUC, returns after costs) are set to pass: they could only
lower the rate of promotions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from pipelines.calibration.gate.outcome import Outcome, Outcomes, Scenario
from pipelines.calibration.gate.returns import World, simulate
from pipelines.calibration.gate.rules import RULES
from pipelines.calibration.scenario import repeated
from pipelines.contracts.line import Gate
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Evidence
from pipelines.contracts.records import Outcome as Answer
from pipelines.gate import decide
from pipelines.gate.comparison import CANDIDATE
from pipelines.gate.rules import CHAMPION

GATE = Gate()
SYMBOLS = 5
FALSE, RIGHT, ANY, FADED = ("a challenger that is no better is promoted", "the right winner is promoted",
                            "one of the better ones is promoted",
                            "the former winner is promoted although its gain is gone")


def evidence_of(returns: FloatArray, search_periods: int) -> Evidence:
    """Evidence as a training hands it to the gate, from daily returns (periods, 1 + trials), the champion first."""
    trials = [f"trial_{number}" for number in range(returns.shape[1] - 1)]
    days = pd.date_range("2020-01-01", periods=len(returns), freq="D", tz="UTC", name="event_time")
    losses = pd.DataFrame(1.0 - returns, index=days, columns=[CHAMPION, *trials])
    search, fresh = losses.iloc[:search_periods], losses.iloc[search_periods:]
    chosen = str(search[trials].mean().idxmin())
    return Evidence(
        line="calibration", version=2, as_of=days[-1].to_pydatetime(), champion_version=1, opponent=CHAMPION,
        losses=pd.DataFrame({CANDIDATE: fresh[chosen], CHAMPION: fresh[CHAMPION]}), net_returns=None,
        metrics={CANDIDATE: {"auc": 0.6}}, rows=SYMBOLS * len(fresh), trials=len(trials), search=search,
        selected=chosen, audited=True)


def draw(world: World, rng: np.random.Generator, with_rules: bool = False) -> Outcome:
    """One training of one world: did the gate promote, and was it right (under a null: wrong) to do so?"""
    returns = simulate(world, rng)
    evidence = evidence_of(returns, world.search_periods)
    promoted = decide(evidence, GATE).outcome is Answer.PROMOTE
    right = {f"trial_{number}" for number in range(world.better)}
    others = {}
    if with_rules:
        frame = pd.DataFrame(returns, columns=[CHAMPION, *(f"trial_{i}" for i in range(world.trials))],
                             index=pd.date_range("2020-01-01", periods=len(returns), freq="D", tz="UTC"))
        for name, rule in RULES.items():
            winner = rule(frame)
            others[name] = winner is not None and (not right or winner in right)
    return Outcome(promoted and (not right or evidence.selected in right), promoted, others)


def _scenario(name: str, world: World, what: str, counts: str = FALSE, with_rules: bool = False) -> Scenario:
    def one(rng: np.random.Generator) -> Outcome:
        return draw(world, rng, with_rules)

    outcomes: Outcomes = repeated(name, one)
    return Scenario(name, "null" if counts == FALSE else "alternative", what, counts, outcomes)


def scenarios() -> Iterator[Scenario]:
    """All of them, nulls first."""
    usual = World()
    for periods in (252, 504, 1008):
        for trials, correlations in ((1, (0.0, 0.5, 0.9)), (20, (0.0, 0.5, 0.9)),
                                     (100, (0.0, 0.5, 0.9) if periods == 504 else (0.5,))):
            for correlation in correlations:
                yield _scenario(f"null_{periods}x{trials}_c{correlation:g}",
                                World(periods, trials, correlation),
                                f"{trials} challenger{'s' * (trials > 1)} equal to the champion, {periods} days, "
                                f"correlation {correlation:g}", with_rules=(periods, trials) == (504, 20))
    for memory in (0.5, 0.9):
        for periods in (504, 1008):
            yield _scenario(f"null_ar{memory:g}_{periods}x20",
                            replace(usual, noise="ar", memory=memory, periods=periods),
                            f"the same, daily autocorrelation {memory:g}", with_rules=periods == 504)
    yield _scenario("null_garch_504x20", replace(usual, noise="garch"),
                    "the same, Student-t shocks and GARCH volatility", with_rules=True)
    yield _scenario("null_break_504x20", replace(usual, regime_break=True),
                    "the same, half-way everybody loses 2 Sharpe and volatility doubles", with_rules=True)
    yield _scenario("null_break_ar0.5_504x20", replace(usual, regime_break=True, noise="ar", memory=0.5),
                    "the same break, daily autocorrelation 0.5")
    yield from _alternatives(usual)


def _alternatives(usual: World) -> Iterator[Scenario]:
    for gain in (1, 2, 3):
        for correlation in (0.0, 0.5, 0.8):
            yield _scenario(f"edge{gain}_c{correlation:g}",
                            replace(usual, gain=(gain, gain), better=1, correlation=correlation),
                            f"one of 20 challengers has +{gain} Sharpe a year, 504 days, correlation {correlation:g}",
                            RIGHT, with_rules=True)
    for gain in (1, 2):
        yield _scenario(f"edge{gain}_all", replace(usual, gain=(gain, gain), better=20),
                        f"all 20 challengers have +{gain} Sharpe a year", ANY, with_rules=True)
    yield _scenario("edge2_one_trial", replace(usual, gain=(2, 2), better=1, trials=1),
                    "a single challenger with +2 Sharpe a year", RIGHT)
    yield _scenario("edge2_1008", replace(usual, gain=(2, 2), better=1, periods=1008),
                    "one of 20 has +2 Sharpe a year, 1,008 days", RIGHT)
    yield _scenario("edge2_garch", replace(usual, gain=(2, 2), better=1, noise="garch"),
                    "one of 20 has +2 Sharpe a year, GARCH volatility", RIGHT)
    yield _scenario("regime_gain", replace(usual, gain=(0, 3), better=20),
                    "no gain on the search days, all 20 have +3 Sharpe on the fresh ones", ANY)
    yield _scenario("regime_turn", replace(usual, gain=(-2, 3), better=20),
                    "all 20 lose 2 Sharpe on the search days and gain 3 on the fresh ones", ANY)
    yield _scenario("faded_edge2", replace(usual, gain=(2, 0), better=1),
                    "one of 20 had +2 Sharpe on the search days and has none on the fresh ones", FADED,
                    with_rules=True)
    yield _scenario("faded_edge2_all", replace(usual, gain=(2, 0), better=20),
                    "all 20 had +2 Sharpe on the search days and have none on the fresh ones", FADED)
