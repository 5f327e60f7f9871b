"""From evidence to a verdict: a pure function of the evidence and the line's rules.

The rules (`rules`) can only stand in the way; the tests (`comparison`) say how sure the difference is.
"""

from __future__ import annotations

import math

from pipelines.contracts.line import Gate
from pipelines.contracts.records import Evidence, Outcome, Verdict
from pipelines.errors import ContractError
from pipelines.gate import rules as rule
from pipelines.gate.comparison import CANDIDATE, Comparison, compare
from pipelines.gate.rules import Finding, nats


def decide(evidence: Evidence, rules: Gate) -> Verdict:
    """Judge a candidate: ``promote`` when no rule stands in the way, ``reject`` when one has shown it is not good
    enough, else ``inconclusive``. Every rule that failed gives its reason; a promotion says what was passed.

    Args:
        evidence: losses per timestamp (nats), net returns per timestamp after costs, metrics, the opponent, and the
            same of all trials on the search days.
        rules: the line's ``[gate]`` table.

    Raises:
        ContractError: the evidence lacks the candidate's or the opponent's column, or holds non-finite losses.
    """
    _check(evidence)
    findings = list(rule.enough(evidence, rules))
    found: Comparison | None = None
    if not findings:
        found = compare(evidence, rules.alpha)
        findings = [*rule.audited(evidence, rules), *rule.discrimination(evidence, rules),
                    *rule.against_opponent(evidence, rules, found), *rule.against_naive(evidence, rules),
                    *rule.tradable(evidence, rules)]
    fresh = found.fresh if found else None
    return Verdict(
        outcome=_worst(findings), reasons=tuple(finding.sentence for finding in findings) or _passed(evidence, found),
        opponent=evidence.opponent,
        effect=fresh.effect if fresh else _mean_effect(evidence),
        effect_low=fresh.low if fresh else math.nan, effect_high=fresh.high if fresh else math.nan,
        p_value=found.p_value if found else math.nan,
        minimum_detectable=fresh.minimum_detectable if fresh else math.nan,
        periods=len(evidence.losses), rows=evidence.rows,
        metrics={**evidence.metrics, **({SEARCH: found.figures} if found else {})},
        champion_version=evidence.champion_version, trials=evidence.trials)


#: Under this name the figures of the comparison stand among the contenders' metrics.
SEARCH = "search"


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


def _passed(evidence: Evidence, found: Comparison | None) -> tuple[str, ...]:
    """What a promotion rests on; only asked for when every rule passed, so the test was made."""
    if found is None:
        return ()
    fresh, figures = found.fresh, found.figures
    stages = ""
    if "p_search" in figures:
        stages = (f": fresh days {figures['p_fresh']:.4f}, best of {evidence.trials} trials on the search days "
                  f"{figures['p_search']:.4f}")
    reasons = [f"Better than {evidence.opponent} by {nats(fresh.effect)} nats of log loss per prediction "
               f"(95 % interval {nats(fresh.low)} to {nats(fresh.high)}) over {evidence.rows} rows and "
               f"{len(evidence.losses)} timestamps; one-sided p {found.p_value:.4f}{stages}."]
    auc = evidence.metrics.get(CANDIDATE, {}).get("auc")
    if auc is not None:
        reasons.append(f"AUC {auc:.4f}.")
    if evidence.net_returns is not None:
        mean = float(evidence.net_returns[CANDIDATE].mean())
        reasons.append(f"Mean net return after costs {mean * 1e4:+.3f} bp per bar.")
    return tuple(reasons)
