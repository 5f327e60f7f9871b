"""The gate's rules, one function each: a finding (what it does to the verdict, and why) or nothing.

A rule never promotes; it can only stand in the way. ``reject`` means: this candidate has been shown not to be
good enough. ``inconclusive`` means: the evidence at hand cannot tell, so let it run in shadow and ask again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.contracts.line import Gate
from pipelines.contracts.records import BASELINES, Evidence, Outcome
from pipelines.gate.comparison import CANDIDATE, Comparison, mean_gain, periods_needed, remembers_too_long
from pipelines.validation.significance import MeanTest

CHAMPION = "champion"


@dataclass(frozen=True)
class Finding:
    """One rule that stands in the way of a promotion."""

    outcome: Outcome
    sentence: str


def nats(value: float) -> str:
    """A log-loss difference, signed, to five decimals."""
    return f"{value:+.5f}"


def chance(p_value: float) -> str:
    """A p-value to four decimals; a tiny one by its bound, for no test is sure."""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def worse(test: MeanTest, alpha: float) -> bool:
    """The mirror of the test: is the effect significantly below zero?"""
    return test.effect < 0 and 1.0 - test.p_value <= alpha


def audited(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """A figure from data that look ahead is worth nothing, however good."""
    if rules.require_audit and not evidence.audited:
        yield Finding(Outcome.INCONCLUSIVE,
                      "The leak audit has not looked at this training; run it (`tidemark audit`, or train again).")


def enough(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """Too few rows or timestamps: nothing else is worth asking."""
    periods = len(evidence.losses)
    if evidence.rows < rules.min_rows:
        yield Finding(Outcome.INCONCLUSIVE,
                      f"Only {evidence.rows} rows are out of sample for both sides; the gate asks for "
                      f"{rules.min_rows}.")
    if periods < (needed := periods_needed(evidence.overlap)):
        reach = f" that reach over {evidence.overlap + 1} of them" if evidence.overlap else ""
        yield Finding(Outcome.INCONCLUSIVE,
                      f"Only {periods} timestamps of fresh days; labels{reach} need at least {needed}.")
    elif remembers_too_long(evidence):
        yield Finding(Outcome.INCONCLUSIVE,
                      f"The loss differences hang together for so long that {periods} timestamps cannot tell luck from "
                      f"skill; more evidence_days are needed.")


def discrimination(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """The area under the ROC curve has a floor, whatever the opponent."""
    auc = evidence.metrics.get(CANDIDATE, {}).get("auc", math.nan)
    if math.isnan(auc):
        yield Finding(Outcome.INCONCLUSIVE, "The AUC is undefined: the evidence rows hold one class only.")
    elif auc < rules.min_auc:
        yield Finding(Outcome.REJECT, f"AUC {auc:.4f} is below the floor of {rules.min_auc:.4f}.")


def against_opponent(evidence: Evidence, rules: Gate, found: Comparison) -> Iterator[Finding]:
    """The candidate has to be better than its opponent, significantly and by at least ``min_effect``."""
    name, fresh = evidence.opponent, found.fresh
    if worse(fresh, rules.alpha):
        yield Finding(Outcome.REJECT,
                      f"Significantly worse than {name}: log loss {nats(-fresh.effect)} nats "
                      f"(one-sided p of being worse {1.0 - fresh.p_value:.4f}).")
        return
    if found.p_value <= rules.alpha and fresh.effect >= rules.min_effect and fresh.effect > 0:
        return
    if found.p_value <= rules.alpha:
        what = f"The effect of {nats(fresh.effect)} nats against {name} is below the asked {rules.min_effect:.5f}"
    else:
        what = (f"Not significantly better than {name}: effect {nats(fresh.effect)} nats, "
                f"p {found.p_value:.4f} > {rules.alpha:g}")
    if name == CHAMPION:
        blind = fresh.minimum_detectable > fresh.effect
        yield Finding(Outcome.INCONCLUSIVE if blind else Outcome.REJECT,
                      f"{what}; the smallest effect this evidence could have seen is {fresh.minimum_detectable:.5f}.")
    else:
        yield Finding(Outcome.REJECT if fresh.effect <= 0 else Outcome.INCONCLUSIVE, f"{what}.")


def against_naive(evidence: Evidence, rules: Gate) -> Iterator[Finding]:
    """Being better than a broken champion is not enough: never significantly worse than a naive forecast."""
    for name in BASELINES:
        if name == evidence.opponent or name not in evidence.losses:
            continue
        test = mean_gain(evidence, name, rules.alpha)
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
