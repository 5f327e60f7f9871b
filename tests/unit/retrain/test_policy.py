"""The policy against its own manual, and its promise over a year of alarms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Retrain
from pipelines.contracts.records import ColumnDrift, DriftReport, Reason, RequestState, RetrainRequest
from pipelines.retrain import PolicyState, decide

NOW = datetime(2024, 6, 1, tzinfo=UTC)
RULES = Retrain(on=("performance", "data_drift", "prediction_drift", "schedule"), every_days=30, cooldown_days=4,
                min_new_days=7)
MANUAL = Path(__file__).resolve().parents[3] / "docs" / "retraining.md"


def transitions() -> list[list[str]]:
    section = MANUAL.read_text(encoding="utf-8").split("## Transitions")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row.startswith("|")]
    return rows[2:]


def report(*findings: str, as_of: datetime = NOW, champion: int | None = 1) -> DriftReport:
    columns = (ColumnDrift("rsi", "wasserstein", 0.9, 0.3, True), ColumnDrift("vol", "wasserstein", 0.1, 0.3, False),
               ColumnDrift("ret", "wasserstein", 2.0, 0.3, True))
    return DriftReport(
        line="direction_1h", as_of=as_of, columns=columns, share=2 / 3, data_drift="data_drift" in findings,
        prediction_drift="prediction_drift" in findings, performance_drift="performance" in findings,
        metrics={"loss_current": 0.71, "loss_p": float("nan")}, champion_version=champion, reference_digest="d",
        rows=600)


def days_ago(cell: str) -> datetime | None:
    return None if cell == "-" else NOW - timedelta(days=int(cell))


def test_the_manual_has_its_table() -> None:
    assert len(transitions()) >= 20


@pytest.mark.parametrize("row", transitions(), ids=" | ".join)
def test_transitions(row: list[str]) -> None:
    open_state, training, request, findings, answer = row
    waiting = None if open_state == "-" else RetrainRequest(
        "direction_1h", Reason.MANUAL, NOW, "ann", id=9, state=RequestState(open_state))
    state = PolicyState("direction_1h", days_ago(training), days_ago(request), waiting)
    decision = decide(state, RULES, report(*findings.split(", ")), NOW)
    if answer.startswith("request "):
        assert decision.request is not None
        assert decision.request.reason == answer.removeprefix("request ")
        assert (decision.request.as_of, decision.request.line) == (NOW, "direction_1h")
    else:
        assert decision.request is None
        assert answer in decision.reason_text.lower()


def test_the_request_carries_its_evidence() -> None:
    state = PolicyState("direction_1h", NOW - timedelta(days=10), NOW - timedelta(days=10))
    decision = decide(state, RULES, report("data_drift", "performance"), NOW)
    assert decision.request is not None
    assert decision.request.evidence == {
        "triggers": ["performance", "data_drift"], "last_training": "2024-05-22T00:00:00+00:00", "share": 2 / 3,
        "champion_version": 1, "rows": 600, "drifted": ["ret", "rsi"], "metrics": {"loss_current": 0.71}}


@pytest.mark.parametrize(("rules", "given_report", "words"), [
    (Retrain(on=("performance",)), report("data_drift"), "does not retrain on it"),
    (Retrain(), report(champion=None), "no champion to watch"),
    (Retrain(), report(), "67% of the columns have drifted"),
    (Retrain(), None, "No check"),
])
def test_doing_nothing_has_a_reason_too(rules: Retrain, given_report: DriftReport | None, words: str) -> None:
    decision = decide(PolicyState("direction_1h"), rules, given_report, NOW)
    assert decision.request is None
    assert words in decision.reason_text


@settings(max_examples=40)
@given(alarms=st.lists(st.sampled_from(["", "data_drift", "performance"]), min_size=365, max_size=365),
       served=st.lists(st.booleans(), min_size=365, max_size=365), serve_after=st.integers(0, 6),
       cooldown=st.integers(0, 20), new_days=st.integers(0, 20))
def test_a_year_of_alarms_asks_at_most_once_per_cooldown(
    alarms: list[str], served: list[bool], serve_after: int, cooldown: int, new_days: int,
) -> None:
    """Requests are served or fail some days later; every day is decided twice, as a rerun would."""
    rules = Retrain(cooldown_days=cooldown, min_new_days=new_days)
    trained = last = None
    waiting: RetrainRequest | None = None
    asked: list[datetime] = []
    for day in range(365):
        now = NOW + timedelta(days=day)
        if waiting is not None and now - waiting.as_of >= timedelta(days=serve_after):
            trained = waiting.as_of if served[day] else trained
            waiting = None
        for _ in range(2):
            decision = decide(PolicyState("direction_1h", trained, last, waiting), rules, report(alarms[day]), now)
            if decision.request is not None:
                assert waiting is None
                waiting, last = decision.request, now
                asked.append(now)
            assert decision.reason_text
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert all(gap >= timedelta(days=max(cooldown, 1)) for gap in gaps)
    if any(alarms):
        assert asked


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40))
def test_going_back_in_time_asks_for_nothing_again(days: list[int]) -> None:
    """A backfill of old days, in any order, after a training as of the newest one."""
    newest = NOW + timedelta(days=max(days))
    for day in days:
        now = NOW + timedelta(days=day)
        state = PolicyState("direction_1h", newest, newest)
        assert decide(state, Retrain(cooldown_days=0, min_new_days=0), report("data_drift"), now).request is None
