"""A verdict reads as plain sentences and as a table."""

from __future__ import annotations

import math

from pipelines.contracts.records import Outcome, Verdict
from pipelines.gate.report import markdown, sentences

VERDICT = Verdict(
    Outcome.REJECT, ("AUC 0.5010 is below the floor of 0.5200.",), "base_rate", -0.001, -0.004, 0.002, 0.8, 0.0031,
    168, 840, {"candidate": {"auc": 0.501, "log_loss": 0.694}, "base_rate": {"log_loss": 0.693}})


def test_sentences_name_outcome_reasons_and_power() -> None:
    assert sentences(VERDICT) == [
        "Reject: the candidate does not replace the base rate.",
        "AUC 0.5010 is below the floor of 0.5200.",
        "With 168 timestamps the smallest effect seen with 80 % power is 0.00310 nats.",
    ]


def test_markdown_sets_contenders_side_by_side() -> None:
    page = markdown(VERDICT)
    assert "| -0.00100 | -0.00400 to 0.00200 | 0.80000 | 0.00310 | 168 | 840 |" in page
    assert "| | log_loss | auc |" in page
    assert "| base_rate | 0.69300 | n/a |" in page


def test_without_a_test_nothing_is_claimed() -> None:
    early = Verdict(Outcome.INCONCLUSIVE, ("Only 10 rows.",), "champion", math.nan, math.nan, math.nan, math.nan,
                    math.nan, 3, 10)
    assert sentences(early) == [
        "Inconclusive: the candidate stays in shadow; the evidence against the champion cannot tell.", "Only 10 rows."]
    assert "| n/a | n/a to n/a | n/a | n/a | 3 | 10 |" in markdown(early)
