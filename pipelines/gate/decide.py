"""From evidence to a verdict.

The test is that of Ibragimov and Müller (2010), "t-Statistic Based Correlation and Heterogeneity Robust
Inference", Journal of Business & Economic Statistics 28(4): loss differences are cut into few long blocks in time
order, and a one-sided t-test is made on the block means. It keeps its level when the differences are correlated
inside blocks and their variance changes between them, where a t-test on single rows does not.
"""

from __future__ import annotations

import math

from pipelines.contracts.line import Gate
from pipelines.contracts.records import Evidence, Outcome, Verdict
from pipelines.errors import ContractError
from pipelines.gate import rules as rule
from pipelines.gate.rules import CANDIDATE, Finding, nats
from pipelines.validation.significance import TTest


def decide(evidence: Evidence, rules: Gate) -> Verdict:
    """Judge a candidate: ``promote`` when no rule stands in the way, ``reject`` when one has shown it is not good
    enough, else ``inconclusive``. Every rule that failed gives its reason; a promotion says what was passed.

    Args:
        evidence: losses per timestamp (nats), net returns per timestamp after costs, metrics, and the opponent.
        rules: the line's ``[gate]`` table.

    Raises:
        ContractError: the evidence lacks the candidate's or the opponent's column, or holds non-finite losses.
    """
    _check(evidence)
    findings = list(rule.enough(evidence, rules))
    test: TTest | None = None
    if not findings:
        test = rule.compare(evidence, rules, evidence.opponent)
        findings = [*rule.discrimination(evidence, rules), *rule.against_opponent(evidence, rules, test),
                    *rule.against_naive(evidence, rules), *rule.tradable(evidence, rules)]
    return Verdict(
        outcome=_worst(findings), reasons=tuple(finding.sentence for finding in findings) or _passed(evidence, test),
        opponent=evidence.opponent,
        effect=test.effect if test else _mean_effect(evidence),
        effect_low=test.low if test else math.nan, effect_high=test.high if test else math.nan,
        p_value=test.p_value if test else math.nan,
        minimum_detectable=test.minimum_detectable if test else math.nan,
        periods=len(evidence.losses), rows=evidence.rows, metrics=evidence.metrics,
        champion_version=evidence.champion_version)


def _check(evidence: Evidence) -> None:
    missing = [name for name in (CANDIDATE, evidence.opponent) if name not in evidence.losses]
    if missing:
        raise ContractError(f"evidence of {evidence.line} v{evidence.version} has no losses for {missing}; "
                            f"it holds {list(evidence.losses.columns)}; assemble it again")
    pair = evidence.losses[[CANDIDATE, evidence.opponent]]
    if not pair.map(math.isfinite).to_numpy().all():
        raise ContractError(f"evidence of {evidence.line} v{evidence.version} holds losses that are not finite; "
                            "clip the probabilities before taking logs")


def _mean_effect(evidence: Evidence) -> float:
    if evidence.losses.empty:
        return math.nan
    return float((evidence.losses[evidence.opponent] - evidence.losses[CANDIDATE]).mean())


def _worst(findings: list[Finding]) -> Outcome:
    outcomes = {finding.outcome for finding in findings}
    for outcome in (Outcome.REJECT, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.PROMOTE


def _passed(evidence: Evidence, test: TTest | None) -> tuple[str, ...]:
    """What a promotion rests on; only asked for when every rule passed, so the test was made."""
    if test is None:
        return ()
    reasons = [f"Better than {evidence.opponent} by {nats(test.effect)} nats of log loss per prediction "
               f"(95 % interval {nats(test.low)} to {nats(test.high)}, one-sided p {test.p_value:.4f}) "
               f"over {evidence.rows} rows and {len(evidence.losses)} timestamps."]
    auc = evidence.metrics.get(CANDIDATE, {}).get("auc")
    if auc is not None:
        reasons.append(f"AUC {auc:.4f}.")
    if evidence.net_returns is not None:
        mean = float(evidence.net_returns[CANDIDATE].mean())
        reasons.append(f"Mean net return after costs {mean * 1e4:+.3f} bp per bar.")
    return tuple(reasons)
