"""How sure is it that the candidate is better, after all that was tried?

Two stages answer. On the *fresh* days, which no search has seen, one candidate meets the opponent: a test of the mean
loss difference that measures how long the differences remember (equal-weighted cosines). On the *search* days, all
trials meet it at once: the best of them is tested against what the best of so many would show by chance (Hansen's
question, answered by rotations where the bootstrap would not keep its level), corrected once more for those that were
dropped half-way. Both are combined to one p-value whose level is known (`significance.combination`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from pipelines.contracts.records import Evidence
from pipelines.errors import ContractError, TidemarkError
from pipelines.validation.significance import MeanTest, RotationTest, deflated_sharpe, forecast, pbo, spa
from pipelines.validation.significance.combination import for_untold, two_stage
from pipelines.validation.significance.forecast import LEAST_COSINES, affordable_cosines
from pipelines.validation.significance.rotation import rotation_of_gains

CANDIDATE = "candidate"
#: Fewest timestamps with which a test of a mean says anything.
LEAST_PERIODS = 20
DRAWS = 2000
#: Both tests are right only in the limit of long series: made at 5 %, they promoted 4.0 to 6.5 % of worthless
#: candidates (thirty null scenarios, docs/gate-calibration.md). P-values are enlarged so that the promised level holds.
NOMINAL = 0.8
#: Blocks of the combinatorial cross-validation that PBO is made of.
PBO_BLOCKS = 10


@dataclass(frozen=True)
class Comparison:
    """What the tests found.

    Attributes:
        fresh: the candidate against the opponent on the days that no search has seen; effect in nats.
        search: the best of all trials against the opponent on the search days; None where there are none to compare.
        p_value: one-sided, both stages together, enlarged to hold its level in short series.
        figures: numbers beside the decision, by name: ``trials``, ``p_fresh``, ``p_search``, ``p_spa`` (Hansen's test
            with the stationary bootstrap), ``pbo``, ``dsr``; those that the evidence cannot define are missing.
    """

    fresh: MeanTest
    search: RotationTest | None
    p_value: float
    figures: Mapping[str, float] = field(default_factory=dict)


def periods_needed(overlap: int) -> int:
    """Timestamps a test needs: twice the label's reach for each of its fewest cosines, and never under twenty."""
    return max(LEAST_PERIODS, 2 * LEAST_COSINES * (overlap + 1))


def remembers_too_long(evidence: Evidence) -> bool:
    """Whether the fresh days are too few for how long the loss differences hang together: no test keeps its level."""
    differences = (evidence.losses[evidence.opponent] - evidence.losses[CANDIDATE]).to_numpy(dtype="float64")
    return bool(differences.std() > 0) and affordable_cosines(differences) < LEAST_COSINES


def mean_gain(evidence: Evidence, against: str, alpha: float) -> MeanTest:
    """The log loss that the candidate saves against a contender, per timestamp of the fresh days."""
    return forecast.mean_gain(evidence.losses[against] - evidence.losses[CANDIDATE], overlap=evidence.overlap,
                              alpha=alpha)


def compare(evidence: Evidence, alpha: float) -> Comparison:
    """The candidate against its opponent, over both stages."""
    fresh = mean_gain(evidence, evidence.opponent, alpha)
    search = _search_stage(evidence, alpha)
    figures: dict[str, float] = {"trials": float(evidence.trials), "p_fresh": fresh.p_value}
    p_value = fresh.p_value
    if search is not None:
        p_search = for_untold(search.p_value, max(evidence.trials, search.contenders), search.contenders)
        p_value = two_stage(fresh.p_value, p_search)
        figures |= {"p_search": p_search, "search_periods": float(search.periods), "complete": float(search.contenders)}
        figures |= _reported(evidence)
    return Comparison(fresh, search, min(1.0, p_value / NOMINAL), figures)


def _search_stage(evidence: Evidence, alpha: float) -> RotationTest | None:
    if evidence.search is None or len(evidence.search) < periods_needed(evidence.overlap):
        return None
    gains = _gains(evidence)
    gains = gains.loc[:, gains.std() > 0]
    if gains.empty:
        return None
    return rotation_of_gains(gains, cosines=forecast.bearable_cosines(gains.to_numpy(), evidence.overlap), draws=DRAWS,
                             alpha=alpha)


def _gains(evidence: Evidence) -> pd.DataFrame:
    """Loss that each trial saves against the opponent, per timestamp of the search days."""
    if evidence.search is None:
        raise ContractError("the evidence holds no search days; ask for them first")
    theirs, trials = evidence.search[evidence.opponent], evidence.search.drop(columns=evidence.opponent)
    return pd.DataFrame({name: theirs - losses for name, losses in trials.items()})


def _reported(evidence: Evidence) -> dict[str, float]:
    """Figures that people ask for and that decide nothing; what a degenerate search cannot define is left out."""
    found: dict[str, float] = {}
    returns = None
    if evidence.search_returns is not None:
        returns = evidence.search_returns.drop(columns=evidence.opponent)
        returns = returns.loc[:, returns.std() > 0]
    figures: dict[str, Callable[[], float]] = {
        "p_spa": lambda: spa(benchmark=evidence.opponent, losses=evidence.search).p_value,
        "pbo": lambda: pbo(_gains(evidence) if returns is None else returns, PBO_BLOCKS).probability,
        "dsr": lambda: math.nan if returns is None else deflated_sharpe(returns).probability}
    for name, figure in figures.items():
        try:
            value = figure()
        except TidemarkError:  # too few periods or trials, or none that ever traded
            continue
        if math.isfinite(value):
            found[name] = value
    return found
