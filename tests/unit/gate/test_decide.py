"""Each rule of the gate on evidence made for it, and the error rate that the gate promises."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from pipelines.contracts.line import Gate
from pipelines.contracts.records import Evidence, Outcome
from pipelines.errors import ContractError
from pipelines.gate import decide
from pipelines.gate.rules import CHAMPION

RULES = Gate(alpha=0.05, min_rows=400, min_auc=0.52)
PERIODS = 168
AT = pd.date_range("2024-03-01", periods=PERIODS, freq="h", tz="UTC")


def evidence(effect: float = 0.01, noise: float = 0.01, *, opponent: str = "base_rate", auc: float = 0.6,
             periods: int = PERIODS, rows: int = 840, net: float | None = None, rival_net: float = 0.0,
             seed: int = 0) -> Evidence:
    """A candidate that saves ``effect`` nats against ``opponent``, with white noise of mean zero in the differences."""
    rng = np.random.default_rng(seed)
    base = 0.69 + rng.normal(0, 0.01, periods)
    differences = rng.normal(0, noise, periods)
    columns = {"candidate": base - effect + differences - differences.mean() if periods else base, opponent: base}
    index = AT[:periods]
    returns = None
    if net is not None:
        returns = pd.DataFrame({"candidate": np.full(periods, net), opponent: np.full(periods, rival_net)}, index=index)
    return Evidence(
        line="direction_1h", version=2, as_of=datetime(2024, 3, 8, tzinfo=UTC),
        champion_version=1 if opponent == CHAMPION else None, opponent=opponent,
        losses=pd.DataFrame(columns, index=index), net_returns=returns,
        metrics={"candidate": {"auc": auc, "log_loss": 0.68}}, rows=rows, trials=16, audited=True)


NET = RULES.model_copy(update={"require_net_return": True})
ASKS_MORE = RULES.model_copy(update={"min_effect": 0.02})

#: what, evidence, rules, outcome, a part of the reasons
TABLE = [
    ("clearly better", evidence(), RULES, "promote", "Better than base_rate"),
    ("too few rows", evidence(rows=399), RULES, "inconclusive", "Only 399 rows"),
    ("too few timestamps", evidence(periods=13), RULES, "inconclusive", "Only 13 timestamps of fresh days"),
    ("no timestamps", evidence(periods=0, rows=0), RULES, "inconclusive", "Only 0 rows"),
    ("AUC below its floor", evidence(auc=0.5199), RULES, "reject", "AUC 0.5199 is below"),
    ("AUC undefined", evidence(auc=math.nan), RULES, "inconclusive", "AUC is undefined"),
    ("significantly worse", evidence(-0.01), RULES, "reject", "Significantly worse than base_rate"),
    ("worse than the baseline, not significantly", evidence(-0.0005, 0.05, seed=1), RULES, "reject",
     "Not significantly better"),
    ("better than the baseline, not significantly", evidence(0.001, 0.05), RULES, "inconclusive",
     "Not significantly better"),
    ("against a champion the same is undecided", evidence(-0.0005, 0.05, opponent=CHAMPION, seed=1), RULES,
     "inconclusive", "could have seen"),
    ("real but too small against a champion", evidence(0.01, 0.001, opponent=CHAMPION), ASKS_MORE, "reject",
     "below the asked 0.02000"),
    ("real but too small against a baseline", evidence(0.01, 0.001), ASKS_MORE, "inconclusive", "below the asked"),
    ("the champion again", evidence(0.0, 0.0, opponent=CHAMPION), RULES, "reject", "Not significantly better"),
    ("loses money", evidence(net=-1e-5), NET, "reject", "not tradable after costs"),
    ("earns nothing", evidence(net=0.0), NET, "reject", "not tradable after costs"),
    ("earns NaN", evidence(net=math.nan), NET, "reject", "not tradable after costs"),
    ("holds no returns", evidence(), NET, "reject", "holds no returns"),
    ("earns", evidence(net=1e-4), NET, "promote", "+1.000 bp per bar"),
    ("earns less than the champion", evidence(opponent=CHAMPION, net=1e-4, rival_net=2e-4), NET, "reject",
     "as well as the champion"),
    ("not audited", replace(evidence(), audited=False), RULES, "inconclusive", "leak audit has not looked"),
    ("not audited, and nobody asks", replace(evidence(), audited=False),
     RULES.model_copy(update={"require_audit": False}), "promote", "Better than"),
    ("returns are not asked for", evidence(net=-1e-4), RULES, "promote", "Better than"),
]


@pytest.mark.parametrize(("what", "given_evidence", "rules", "outcome", "reason"), TABLE, ids=[row[0] for row in TABLE])
def test_rules(what: str, given_evidence: Evidence, rules: Gate, outcome: str, reason: str) -> None:
    verdict = decide(given_evidence, rules)
    assert verdict.outcome == outcome
    assert reason.lower() in " ".join(verdict.reasons).lower()
    assert verdict.rows == given_evidence.rows
    assert verdict.periods == len(given_evidence.losses)
    assert verdict.champion_version == given_evidence.champion_version


def test_better_than_a_broken_champion_is_not_enough() -> None:
    broken = evidence(0.05, opponent=CHAMPION)
    losses = broken.losses.assign(base_rate=broken.losses["candidate"] - 0.01)
    verdict = decide(replace(broken, losses=losses), RULES)
    assert verdict.outcome is Outcome.REJECT
    assert verdict.reasons == ("Significantly worse than the naive base_rate: log loss +0.01000 nats.",)
    assert verdict.effect > 0.04


def test_every_failed_rule_gives_its_reason() -> None:
    verdict = decide(evidence(-0.01, auc=0.4, net=-1e-4), NET)
    assert [reason.split()[0] for reason in verdict.reasons] == ["AUC", "Significantly", "Not"]


def test_the_effect_lies_in_its_interval() -> None:
    verdict = decide(evidence(0.01, 0.02), RULES)
    assert verdict.effect_low < verdict.effect < verdict.effect_high
    assert verdict.effect == pytest.approx(0.01, abs=0.005)
    assert 0 < verdict.minimum_detectable < 0.02


@pytest.mark.parametrize(("losses", "words"), [
    (lambda frame: frame.drop(columns="base_rate"), "no losses for"),
    (lambda frame: frame.assign(candidate=np.inf), "not finite"),
])
def test_unusable_evidence_is_refused(losses, words: str) -> None:  # type: ignore[no-untyped-def]
    made = evidence()
    with pytest.raises(ContractError, match=words):
        decide(replace(made, losses=losses(made.losses)), RULES)


@given(st.floats(-0.05, 0.05), st.floats(0.4, 0.7), st.integers(0, 2**16))
def test_no_promotion_without_a_significant_gain_and_a_floor_for_auc(effect: float, auc: float, seed: int) -> None:
    verdict = decide(evidence(effect, 0.03, auc=auc, seed=seed), RULES)
    if verdict.outcome is Outcome.PROMOTE:
        assert verdict.p_value <= RULES.alpha
        assert verdict.effect > 0
        assert auc >= RULES.min_auc
    assert verdict.reasons


def with_search(made: Evidence, gains: np.ndarray, **changes: object) -> Evidence:
    """``gains`` (periods, trials): what each trial saves against the opponent on the search days."""
    index = pd.date_range("2024-01-01", periods=len(gains), freq="h", tz="UTC")
    theirs = pd.Series(0.69, index=index)
    search = pd.DataFrame({made.opponent: theirs} | {
        f"trial_{number}": theirs - column for number, column in enumerate(gains.T)})
    return replace(made, search=search, trials=gains.shape[1], **changes)


def test_the_search_days_count_for_all_trials_that_were_made() -> None:
    rng = np.random.default_rng(5)
    undecided = evidence(0.0008, 0.012)  # alone the fresh days cannot tell
    gains = rng.normal(0.0, 0.01, (384, 16))
    gains[:, 3] += 0.003
    alone, together = decide(undecided, RULES), decide(with_search(undecided, gains), RULES)
    assert (alone.outcome, together.outcome) == (Outcome.INCONCLUSIVE, Outcome.PROMOTE)
    assert "best of 16 trials on the search days" in together.reasons[0]
    assert together.trials == 16
    figures = together.metrics["search"]
    assert figures["p_search"] < 0.01
    assert figures["p_spa"] < 0.01
    assert figures["pbo"] < 0.2
    # the same trials, but most of those that were tried were dropped half-way: the best of many more has to be better
    dropped = decide(replace(with_search(undecided, gains), trials=160), RULES)
    assert dropped.metrics["search"]["p_search"] > 5 * figures["p_search"]


def test_after_a_change_of_regime_the_fresh_days_are_enough() -> None:
    """On the search days the opponent was still good: the older stage must not outvote the newer one."""
    gains = np.random.default_rng(6).normal(-0.01, 0.01, (384, 16))
    verdict = decide(with_search(evidence(0.01, 0.01), gains), RULES)
    assert verdict.outcome is Outcome.PROMOTE
    assert verdict.metrics["search"]["p_search"] > 0.9


def test_a_search_too_short_or_without_any_difference_is_left_out() -> None:
    made = evidence()
    alone = decide(made, RULES).p_value
    assert decide(with_search(made, np.full((10, 4), 0.01)), RULES).p_value == alone
    assert decide(with_search(made, np.zeros((100, 4))), RULES).p_value == alone


@pytest.mark.no_cover
@pytest.mark.parametrize(("trials", "rho"), [(4, 0.0), (16, 0.5), (16, 0.9)])
def test_false_promotions_over_both_stages(trials: int, rho: float) -> None:
    """The best of many equal trials on the search days meets the opponent again on fresh ones: at most 5 %."""
    repetitions, periods = 400, 384
    rng = np.random.default_rng(trials)
    template = evidence(0.0, 0.0, opponent=CHAMPION)
    promoted = 0
    for _ in range(repetitions):
        shocks = rng.standard_t(5, (periods + PERIODS + 100, trials)) + rng.standard_t(5, (periods + PERIODS + 100, 1))
        gains = lfilter([1.0], [1.0, -rho], shocks, axis=0)[100:] * 0.01
        best = gains[:periods].mean(axis=0).argmax()
        losses = template.losses.assign(candidate=template.losses[CHAMPION] - gains[periods:, best])
        made = with_search(replace(template, losses=losses), gains[:periods])
        promoted += decide(made, RULES).outcome is Outcome.PROMOTE
    check(promoted, repetitions)


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    share = hits / of
    centre, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (centre - half) / (1 + z * z / of), (centre + half) / (1 + z * z / of)


@pytest.mark.no_cover
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 0.9, 0.95])
def test_false_promotions_under_the_null(rho: float) -> None:
    """Same skill, correlated and heavy-tailed differences, variance that doubles half way: at most 5 %.

    Every other rule is satisfied here, so the rate is that of the test alone; the true one is lower.
    """
    repetitions = 2000
    rng = np.random.default_rng(int(rho * 100) + 1)
    noise = lfilter([1.0], [1.0, -rho], rng.standard_t(5, size=(repetitions, PERIODS + 100)), axis=1)[:, 100:]
    noise *= np.where(np.arange(PERIODS) < PERIODS // 2, 0.01, 0.02)
    template = evidence(0.0, 0.0, opponent=CHAMPION)
    promoted = 0
    for row in noise:
        losses = template.losses.assign(candidate=template.losses[CHAMPION] + row)
        promoted += decide(replace(template, losses=losses), RULES).outcome is Outcome.PROMOTE
    check(promoted, repetitions, 0.02 if rho < 0.9 else 0.0)  # beyond that, a week mostly cannot tell, and says so


def test_differences_that_remember_for_long_are_not_judged() -> None:
    walk = np.random.default_rng(1).normal(0, 0.01, PERIODS).cumsum()
    made = evidence(0.0, 0.0, opponent=CHAMPION)
    verdict = decide(replace(made, losses=made.losses.assign(candidate=made.losses[CHAMPION] - 0.05 + walk)), RULES)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "hang together for so long that 168 timestamps" in verdict.reasons[0]


@pytest.mark.no_cover
def test_false_promotions_with_overlapping_labels() -> None:
    """24-hour labels scored every hour over 56 days: neighbours share most of their outcome."""
    repetitions, periods = 1000, 1344
    rng = np.random.default_rng(3)
    noise = lfilter(np.ones(24), [1.0], rng.standard_t(5, size=(repetitions, periods + 24)), axis=1)[:, 24:]
    index = pd.date_range("2024-03-01", periods=periods, freq="h", tz="UTC")
    base = pd.Series(0.69, index=index)
    template = replace(evidence(opponent=CHAMPION), overlap=23)
    promoted = 0
    for row in 0.01 * noise:
        losses = pd.DataFrame({"candidate": base + row, CHAMPION: base})
        promoted += decide(replace(template, losses=losses), RULES).outcome is Outcome.PROMOTE
    check(promoted, repetitions)


def test_overlapping_labels_cost_timestamps() -> None:
    verdict = decide(replace(evidence(periods=140), overlap=23), RULES)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (
        "Only 140 timestamps of fresh days; labels that reach over 24 of them need at least 144.",)


def check(promoted: int, repetitions: int, least: float = 0.02) -> None:
    low, high = wilson(promoted, repetitions)
    assert low <= RULES.alpha, f"{promoted} of {repetitions} promoted, interval {low:.4f} to {high:.4f}"
    assert high >= least, "a gate that never promotes under the null has lost its power or is not being tested"
