"""What an audit answers: findings, and how much was looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

State = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, order=True)
class Finding:
    """One column that knows too much.

    Attributes:
        check: name of the check that found it.
        column: the column of the matrix, the labels, the aggregates or the facts; ``label_end`` for unpurged labels.
        first_offending_time: ``event_time`` (UTC) of the earliest row that was seen to offend; for the statistical
            probes, which judge a column as a whole, the first row that has a value; None when there is no row.
        sentence: what is wrong, and what to do.
    """

    check: str
    column: str
    first_offending_time: pd.Timestamp | None
    sentence: str


@dataclass(frozen=True)
class Looked:
    """How much a check looked at. ``cuts`` counts the times the work was done again: on a cut or a disturbed past, on
    a disturbed fold, on shuffled labels, on a rung of a ladder. ``rows`` counts each row once a cut."""

    cuts: int = 0
    columns: int = 0
    rows: int = 0

    def __add__(self, other: Looked) -> Looked:
        return Looked(self.cuts + other.cuts, self.columns + other.columns, self.rows + other.rows)


@dataclass(frozen=True)
class CheckResult:
    """The answer of one check; ``skipped`` (with the reason in ``note``) when it was given nothing to look at."""

    check: str
    state: State
    findings: tuple[Finding, ...] = ()
    looked: Looked = field(default_factory=Looked)
    note: str = ""


@dataclass(frozen=True)
class AuditReport:
    """The leak audit of one subject (a line, a frame, a feature function) as of one time."""

    subject: str
    as_of: pd.Timestamp
    seed: int
    results: tuple[CheckResult, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for result in self.results for finding in result.findings)

    @property
    def passed(self) -> bool:
        """No check has a finding, and at least one had something to look at."""
        return not self.findings and any(result.state == "passed" for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; times in ISO 8601."""
        return {
            "subject": self.subject, "as_of": self.as_of.isoformat(), "seed": self.seed, "passed": self.passed,
            "checks": [{
                "check": result.check, "state": result.state, "note": result.note, "cuts": result.looked.cuts,
                "columns": result.looked.columns, "rows": result.looked.rows,
                "findings": [{
                    "check": item.check, "column": item.column, "sentence": item.sentence,
                    "first_offending_time": None if item.first_offending_time is None
                    else item.first_offending_time.isoformat()} for item in result.findings],
            } for result in self.results]}

    def to_json(self) -> str:
        """The same document for the same audit, byte for byte."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def markdown(self) -> str:
        """A table of the checks and a list of the findings, for the run page and the task log."""
        verdict = "no leak found" if self.passed else f"{len(self.findings)} finding(s)"
        lines = [f"# Leak audit of {self.subject}: {verdict}", "",
                 f"As of {self.as_of.isoformat()}, seed {self.seed}.", "",
                 "| check | state | findings | cuts | columns | rows | |", "|---|---|---|---|---|---|---|"]
        lines += [f"| {result.check} | {result.state} | {len(result.findings)} | {result.looked.cuts} | "
                  f"{result.looked.columns} | {result.looked.rows} | {result.note} |" for result in self.results]
        if self.findings:
            lines += ["", "## Findings", ""]
            lines += [f"- **{item.column}** ({item.check}), first at {_time(item.first_offending_time)}: "
                      f"{item.sentence}" for item in self.findings]
        return "\n".join(lines) + "\n"


def conclude(check: str, found: Mapping[str, tuple[pd.Timestamp | None, str]], looked: Looked,
             note: str = "") -> CheckResult:
    """The result of a check from column → (first offending time, sentence)."""
    findings = tuple(Finding(check, column, at, sentence) for column, (at, sentence) in found.items())
    return CheckResult(check, "failed" if findings else "passed", findings, looked, note)


def skipped(check: str, why: str) -> CheckResult:
    return CheckResult(check, "skipped", note=why)


def _time(at: pd.Timestamp | None) -> str:
    return "-" if at is None else at.isoformat()
