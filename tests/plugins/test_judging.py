"""One candidate, from its bell to the change of champion; the gate and MLflow are played."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from pipelines import gate
from pipelines.config import Settings
from pipelines.contracts.records import Action, Candidate, Outcome, Verdict
from pipelines.errors import Conflict, RegistryError
from pipelines.registry import evidence, promotion
from pipelines.retrain import run as retrain
from pipelines.store import Warehouse, events, ledger
from tidemark_airflow import approval, judging
from tidemark_airflow.context import work
from tidemark_airflow.lines import LineInfo

LINE = "direction_1h"
AT = datetime(2024, 3, 25, tzinfo=UTC)


def verdict(outcome: Outcome, champion: int | None = None) -> Verdict:
    return Verdict(outcome, ("It saves 0.01 nats.",), "base_rate", 0.01, 0.005, 0.015, 0.001, 0.004, 7, 500,
                   champion_version=champion)


class Stage:
    """A real ledger, a gate that says what it is told to, and a registry that remembers what it was asked."""

    def __init__(self, house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house, self.says = house, [verdict(Outcome.PROMOTE)]
        self.asked: list[str] = []
        self.refusals: list[Exception] = []
        monkeypatch.setattr(evidence, "assemble", lambda w, s, line, candidate: candidate)
        monkeypatch.setattr(gate, "decide", lambda *_: self.says[0] if len(self.says) == 1 else self.says.pop(0))
        monkeypatch.setattr("pipelines.gate.report.sentences", lambda said: list(said.reasons))
        monkeypatch.setattr(promotion, "record", self._record)
        monkeypatch.setattr(promotion, "apply", self._apply)
        monkeypatch.setattr(promotion, "approve", lambda w, s, line, version, **how: self.asked.append(
            f"approve v{version} {how['approved']} by {how['actor']}"))

    def add(self, *versions: int) -> None:
        with self.house.begin() as connection:
            for version in versions:
                ledger.add_candidate(connection, Candidate(LINE, version, "r", "lightgbm", AT, AT, "d", "e", 3), at=AT)

    def _record(self, warehouse: Warehouse, line: Any, candidate: Candidate, said: Verdict, *, at: datetime) -> None:
        with warehouse.begin() as connection:
            ledger.add_verdict(connection, LINE, candidate.version, said, as_of=AT, at=at)

    def _apply(self, w: Any, s: Any, line: Any, candidate: Candidate, said: Verdict, **_: Any) -> Any:
        self.asked.append(f"apply v{candidate.version} {said.outcome.value}")
        if self.refusals:
            raise self.refusals.pop(0)
        return {"version": candidate.version} if said.outcome is Outcome.PROMOTE else None


@pytest.fixture
def played(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(Warehouse.from_settings(settings), monkeypatch)


def judge() -> dict[str, Any]:
    with work() as w:
        return judging.judge(w, LINE)


def promote(version: int) -> dict[str, Any]:
    with work() as w:
        return judging.promote(w, LINE, version)


@pytest.mark.parametrize(("partition", "params", "version"), [
    ("v3", {}, 3), ("v3", {"version": 2}, 3), (None, {"version": 3}, 3), (None, {"version": None}, 2),
    ("2024-03-25", {}, 2)])  # a key that names no version: the oldest that waits
def test_which_version(played: Stage, in_task: Callable[..., Any], partition: str | None, params: dict[str, Any],
                       version: int) -> None:
    played.add(2, 3)
    in_task("promote_direction_1h", partition=partition, params=params)
    assert judge() == {"version": version, "sentences": ["It saves 0.01 nats."]}


def test_nothing_to_judge_is_skipped(played: Stage, in_task: Callable[..., Any]) -> None:
    in_task("promote_direction_1h")
    with pytest.raises(AirflowSkipException, match="has its verdict"):
        judge()


def test_an_unknown_version_is_refused(played: Stage, in_task: Callable[..., Any]) -> None:
    in_task("promote_direction_1h", partition="v9")
    with pytest.raises(RegistryError, match="no version 9"):
        judge()


@pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.INCONCLUSIVE])
def test_what_is_not_promoted_is_acted_on_at_once(played: Stage, in_task: Callable[..., Any],
                                                  outcome: Outcome) -> None:
    played.add(1)
    played.says = [verdict(outcome)]
    in_task("promote_direction_1h", partition="v1")
    assert judge() == {}
    assert played.asked == [f"apply v1 {outcome.value}"]
    with played.house.begin() as connection:
        (told,) = events.list_rows(connection, kind=retrain.IN_VAIN, line=LINE)["detail"]
    assert (told["version"], told["outcome"], told["in_a_row"]) == (1, outcome.value, 1)


def test_a_former_champion_is_not_judged_again(played: Stage, in_task: Callable[..., Any]) -> None:
    played.add(1)
    with played.house.begin() as connection:
        ledger.append_promotion(connection, LINE, 1, action=Action.PROMOTE, expected_previous=None, actor="a",
                                reason="r", effective_at=AT, at=AT)
    in_task("promote_direction_1h", partition="v1")
    with pytest.raises(AirflowSkipException, match="promoted before"):
        judge()


def test_promotion(played: Stage, in_task: Callable[..., Any]) -> None:
    played.add(1)
    in_task("promote_direction_1h", partition="v1")
    judge()
    assert promote(1) == {"version": 1}
    assert played.asked == ["apply v1 promote"]


def test_after_a_conflict_it_is_judged_against_the_new_champion(played: Stage, in_task: Callable[..., Any]) -> None:
    played.add(1)
    in_task("promote_direction_1h", partition="v1")
    played.says = [verdict(Outcome.PROMOTE), verdict(Outcome.INCONCLUSIVE, champion=2)]
    judge()
    played.refusals = [Conflict("version 2 came first")]
    with pytest.raises(AirflowSkipException, match="v1 was not promoted"):
        promote(1)
    assert played.asked == ["apply v1 promote", "apply v1 inconclusive"]
    with played.house.begin() as connection:
        assert list(ledger.verdicts(connection, LINE)["outcome"]) == ["promote", "inconclusive"]


@pytest.mark.parametrize(("event", "said"), [
    ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ann"}},
     "approve v4 True by airflow:ann"),
    ({"chosen_options": ["Reject"], "responded_by_user": {"id": "7", "name": "ann"}},
     "approve v4 False by airflow:ann"),
    ({"chosen_options": ["Reject"], "responded_by_user": None},
     "approve v4 False by airflow:nobody (no answer in time)"),
])
def test_a_persons_answer_is_in_the_ledger_before_anything_follows(
        played: Stage, in_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, event: dict[str, Any],
        said: str) -> None:
    in_task("promote_direction_1h", partition="v4")
    monkeypatch.setattr(approval.ApprovalOperator, "execute_complete",
                        lambda self, context, event: played.asked.append("airflow goes on"))
    task = approval.LedgerApproval.of(LineInfo(LINE, "t", "o", "human", 2, ()))
    judged = SimpleNamespace(xcom_pull=lambda task_ids: {"version": 4})
    task.execute_complete({"ti": judged}, event)  # type: ignore[typeddict-item]
    assert played.asked == [said, "airflow goes on"]


def test_the_question_shows_the_verdict(played: Stage) -> None:
    import jinja2

    task = approval.LedgerApproval.of(LineInfo(LINE, "t", "o", "human", 2, ()))
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"version": 4, "sentences": ["Better.", "By a lot."]})
    assert jinja2.Template(task.subject).render(ti=ti) == "Promote direction_1h v4?"
    assert jinja2.Template(task.body).render(ti=ti) == "* Better.\n* By a lot.\n"
    assert (task.response_timeout, task.defaults) == (approval.PATIENCE, ["Reject"])
