from __future__ import annotations

import json

import pandas as pd
import pytest

from pipelines.errors import ContractError
from pipelines.validation.audit import CHECKS, AuditReport, CheckResult, Finding, Looked, Subject, audit

AS_OF = pd.Timestamp("2024-05-01", tz="UTC")
FINDING = Finding("prefix", "close", AS_OF - pd.Timedelta(days=1), "it knew.")


def report(*findings: Finding) -> AuditReport:
    state = "failed" if findings else "passed"
    return AuditReport("line", AS_OF, 7, (CheckResult("prefix", state, findings, Looked(3, 2, 10)),
                                          CheckResult("control", "skipped", note="nothing is fitted")))


def test_json() -> None:
    told = json.loads(report(FINDING).to_json())
    assert told["passed"] is False
    assert (told["subject"], told["as_of"], told["seed"]) == ("line", "2024-05-01T00:00:00+00:00", 7)
    assert told["checks"][0] == {
        "check": "prefix", "state": "failed", "note": "", "cuts": 3, "columns": 2, "rows": 10,
        "findings": [{"check": "prefix", "column": "close", "sentence": "it knew.",
                      "first_offending_time": "2024-04-30T00:00:00+00:00"}]}
    assert report().passed
    assert not report(FINDING).passed


def test_markdown() -> None:
    text = report(FINDING).markdown()
    assert "1 finding(s)" in text
    assert "| prefix | failed | 1 | 3 | 2 | 10 |  |" in text
    assert "- **close** (prefix), first at 2024-04-30T00:00:00+00:00: it knew." in text
    assert "no leak found" in report().markdown()


def test_an_audit_of_nothing_has_not_passed() -> None:
    empty = audit(Subject("nothing", AS_OF, 1))
    assert {result.check for result in empty.results} == set(CHECKS)
    assert all(result.state == "skipped" and result.note for result in empty.results)
    assert not empty.passed


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ContractError, match="astrology"):
        audit(Subject("nothing", AS_OF, 1), checks=["astrology"])
