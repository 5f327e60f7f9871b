"""The gate's rules, one function each: a finding (what it does to the verdict, and why) or nothing.

A rule never promotes; it can only stand in the way. ``reject`` means: this candidate has been shown not to be
good enough. ``inconclusive`` means: the evidence at hand cannot tell, so let it run in shadow and ask again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.contracts.line import Gate
from pipelines.contracts.records import Evidence, Outcome
from pipelines.validation.significance import TTest, block_t_test

CANDIDATE = "candidate"
CHAMPION = "champion"
NAIVE = ("base_rate", "persistence")

#: Timestamps a block needs before its mean says anything about its variation.
PERIODS_PER_BLOCK = 2


@dataclass(frozen=True)
class Finding:
    """One rule that stands in the way of a promotion."""

    outcome: Outcome
    sentence: str


def nats(value: float) -> str:
    """A log-loss difference, signed, to five decimals."""
    return f"{value:+.5f}"


def worse(test: TTest, alpha: float) -> bool:
    """The mirror of the test: is the effect significantly below zero?"""
    return test.effect < 0 and 1.0 - test.p_value <= alpha


def periods_needed(evidence: Evidence, rules: Gate) -> int:
    """Timestamps the test needs: per block those that are dropped for overlapping labels, and two more."""
    return rules.blocks * (evidence.overlap + PERIODS_PER_BLOCK)


def compare(evidence: Evidence, rules: Gate, against: str) -> TTest:
    """The block t-test of the log loss that the candidate saves against a contender, per timestamp.

    Labels that reach over a border tie neighbouring blocks together (with 24-hour labels and blocks of two days the
    test would promote 6.4 % under the null instead of 5 %), so each block gives up its first ``overlap`` timestamps.
    """
    differences = evidence.losses[against] - evidence.losses[CANDIDATE]
    if evidence.overlap:
        length = len(differences) // rules.blocks
        place = np.arange(len(differences))
        kept = (place % length >= evidence.overlap) & (place < length * rules.blocks)
        differences = differences[kept]
    return block_t_test(differences, rules.blocks, rules.alpha)


def enough(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """Too few rows or timestamps: nothing else is worth asking."""
    periods = len(evidence.losses)
    if evidence.rows < rules.min_rows:
        yield Finding(Outcome.INCONCLUSIVE,
                      f"Only {evidence.rows} rows are out of sample for both sides; the gate asks for "
                      f"{rules.min_rows}.")
    if periods < (needed := periods_needed(evidence, rules)):
        yield Finding(Outcome.INCONCLUSIVE,
                      f"Only {periods} timestamps for {rules.blocks} blocks; the test needs at least {needed}.")


def discrimination(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """The area under the ROC curve has a floor, whatever the opponent."""
    auc = evidence.metrics.get(CANDIDATE, {}).get("auc", math.nan)
    if math.isnan(auc):
        yield Finding(Outcome.INCONCLUSIVE, "The AUC is undefined: the evidence rows hold one class only.")
    elif auc < rules.min_auc:
        yield Finding(Outcome.REJECT, f"AUC {auc:.4f} is below the floor of {rules.min_auc:.4f}.")


def against_opponent(evidence: Evidence, rules: Gate, test: TTest) -> Iterator[Finding]:
    """The candidate has to be better than its opponent, significantly and by at least ``min_effect``."""
    name = evidence.opponent
    if worse(test, rules.alpha):
        yield Finding(Outcome.REJECT,
                      f"Significantly worse than {name}: log loss {nats(-test.effect)} nats "
                      f"(one-sided p of being worse {1.0 - test.p_value:.4f}).")
        return
    if test.p_value <= rules.alpha and test.effect >= rules.min_effect:
        return
    if test.p_value <= rules.alpha:
        what = f"The effect of {nats(test.effect)} nats against {name} is below the asked {rules.min_effect:.5f}"
    else:
        what = (f"Not significantly better than {name}: effect {nats(test.effect)} nats, "
                f"p {test.p_value:.4f} > {rules.alpha:g}")
    if name == CHAMPION:
        blind = test.minimum_detectable > test.effect
        yield Finding(Outcome.INCONCLUSIVE if blind else Outcome.REJECT,
                      f"{what}; the smallest effect this evidence could have seen is {test.minimum_detectable:.5f}.")
    else:
        yield Finding(Outcome.REJECT if test.effect <= 0 else Outcome.INCONCLUSIVE, f"{what}.")


def against_naive(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """Being better than a broken champion is not enough: never significantly worse than a naive forecast."""
    for name in NAIVE:
        if name == evidence.opponent or name not in evidence.losses:
            continue
        test = compare(evidence, rules, name)
        if worse(test, rules.alpha):
            yield Finding(Outcome.REJECT,
                          f"Significantly worse than the naive {name}: log loss {nats(-test.effect)} nats.")


def tradable(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """What the predictions earn after costs must be positive, and not less than what the champion earns."""
    if not rules.require_net_return:
        return
    if evidence.net_returns is None:
        yield Finding(Outcome.REJECT, "Not tradable after costs: the evidence holds no returns, and the line asks "
                                      "for them (gate.require_net_return).")
        return
    own = float(evidence.net_returns[CANDIDATE].mean())
    if not own > 0:  # NaN is not positive either
        yield Finding(Outcome.REJECT, f"Not tradable after costs: mean net return {own * 1e4:+.3f} bp per bar.")
    elif evidence.opponent == CHAMPION and own < (other := float(evidence.net_returns[CHAMPION].mean())):
        yield Finding(Outcome.REJECT, f"Not tradable after costs as well as the champion: mean net return "
                                      f"{own * 1e4:+.3f} bp per bar against {other * 1e4:+.3f} bp.")
