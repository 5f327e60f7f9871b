"""Claiming a request and giving it back: what the train DAG does around the training itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.records import Reason, RequestState, RetrainRequest
from pipelines.errors import NotReady, StoreUnavailable, TrackingUnavailable, TrainingError
from pipelines.store import Warehouse, facts, ledger
from pipelines.training import stage
from tidemark_airflow import training
from tidemark_airflow.context import work

LINE = "direction_1h"
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SESSION = {"line": LINE, "run_id": "r", "study": "s", "snapshot_digest": "d", "as_of": AS_OF.isoformat(),
           "request_id": 1, "reason": "manual", "trials": 4, "seed": 7}


@pytest.fixture
def house(settings: Settings) -> Warehouse:
    return Warehouse.from_settings(settings)


def ask(house: Warehouse, reason: Reason = Reason.DATA_DRIFT) -> int:
    with house.begin() as connection:
        return ledger.request_retrain(connection, RetrainRequest(LINE, reason, AS_OF, "monitor"), at=AS_OF)[0]


def states(house: Warehouse) -> list[RequestState]:
    with house.begin() as connection:
        return [request.state for request in ledger.requests(connection)]


def claim() -> dict[str, Any]:
    with work() as w:
        return training.claim(w, LINE)


def test_a_bell_without_a_request_is_skipped(house: Warehouse, in_task: Callable[..., Any]) -> None:
    in_task("train_direction_1h")
    with pytest.raises(AirflowSkipException, match="no request to serve"):
        claim()
    assert states(house) == []


def test_a_bell_takes_the_request_and_a_doubled_bell_does_not(house: Warehouse, in_task: Callable[..., Any]) -> None:
    number = ask(house)
    in_task("train_direction_1h", run_id="first")
    claimed = claim()
    assert training.as_request(claimed) == RetrainRequest(LINE, Reason.DATA_DRIFT, AS_OF, "monitor", id=number,
                                                          state=RequestState.CLAIMED)
    assert claim() == claimed  # the same run again, after a kill
    in_task("train_direction_1h", run_id="second")
    with pytest.raises(AirflowSkipException, match="another run has claimed it"):
        claim()


@pytest.mark.parametrize(("reason", "known", "evidence"), [
    ("bootstrap", Reason.BOOTSTRAP, {}), ("manual", Reason.MANUAL, {}), ("", Reason.MANUAL, {}),
    ("code_change", Reason.CODE_CHANGE, {}), ("the fees changed", Reason.MANUAL, {"words": "the fees changed"})])
def test_by_hand_a_request_is_made(house: Warehouse, in_task: Callable[..., Any], reason: str, known: Reason,
                                   evidence: dict[str, str]) -> None:
    in_task("train_direction_1h", run_type="manual", params={
        "reason": reason, "as_of": "2024-03-01", "requested_by": "ann"})
    claimed = training.as_request(claim())
    assert (claimed.reason, claimed.evidence, claimed.requested_by, claimed.as_of) == (known, evidence, "ann", AS_OF)


def test_by_hand_an_open_request_is_joined(house: Warehouse, in_task: Callable[..., Any]) -> None:
    number = ask(house)
    in_task("train_direction_1h", run_type="manual", params={"reason": "manual", "as_of": "2024-03-05"})
    claimed = training.as_request(claim())
    assert (claimed.id, claimed.reason, claimed.as_of) == (number, Reason.DATA_DRIFT, AS_OF)
    (joined,) = claimed.evidence["joined"]
    assert (joined["reason"], joined["first"][:10]) == ("manual", "2024-03-05")


def test_by_hand_passes_what_holds_the_policy_and_says_so(house: Warehouse, in_task: Callable[..., Any]) -> None:
    with house.begin() as connection:
        ledger.finish_request(connection, ask(house), RequestState.FAILED, at=AS_OF)
    in_task("train_direction_1h", run_type="manual", params={
        "reason": "the fees changed", "as_of": "2024-03-02", "requested_by": "ann"})
    forced = training.as_request(claim()).evidence["forced"]
    assert (forced["by"], forced["reason"]) == ("ann", "the fees changed")
    assert forced["past"].startswith("cooling down until 2024-03-05")


def test_force_takes_over_from_a_dead_run(house: Warehouse, in_task: Callable[..., Any]) -> None:
    ask(house)
    in_task("train_direction_1h", run_id="dead")
    claim()
    by_hand = {"run_type": "manual", "run_id": "alive"}
    in_task("train_direction_1h", params={"as_of": "2024-03-01"}, **by_hand)
    with pytest.raises(AirflowSkipException):
        claim()
    in_task("train_direction_1h", params={"as_of": "2024-03-01", "force": True}, **by_hand)
    assert claim()["state"] == "claimed"


def test_without_as_of_it_is_the_newest_bar(house: Warehouse, in_task: Callable[..., Any]) -> None:
    in_task(run_type="manual")
    with work() as w, pytest.raises(NotReady, match="bootstrap"):
        training.newest(w)
    opened = pd.to_datetime(["2024-02-01 00:00", "2024-02-01 01:00"], utc=True)
    facts.write(house, Kind.BARS, pd.DataFrame({
        "symbol": "A", "interval": "1h", "event_time": opened, "available_at": opened + pd.Timedelta("1h"),
        "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "source": "test"}))
    assert training.as_request(claim()).as_of == datetime(2024, 2, 1, 2, tzinfo=UTC)


def test_a_concluded_training_is_left_alone(house: Warehouse, in_task: Callable[..., Any]) -> None:
    ask(house)
    in_task("train_direction_1h")
    with work() as w:
        training.close(w, claim(), SESSION, {"version": 3, "family": "lightgbm"})
    assert states(house) == [RequestState.CLAIMED]


def test_a_failure_before_the_session_gives_the_request_back(house: Warehouse, in_task: Callable[..., Any]) -> None:
    ask(house)
    in_task("train_direction_1h")
    with work() as w:
        training.close(w, claim(), None, None)
    assert states(house) == [RequestState.PENDING]


HOPELESS, MAY_PASS, BUG = TrainingError("no fold has both classes"), StoreUnavailable("gone"), KeyError("x")


@pytest.mark.parametrize(("errors", "cause", "state"), [
    ([HOPELESS, StoreUnavailable("a later one")], "trials: TrainingError: no fold has both classes",
     RequestState.FAILED),
    ([MAY_PASS, MAY_PASS], "trials: StoreUnavailable: gone", RequestState.PENDING),
    ([MAY_PASS, HOPELESS], "trials: TrainingError: no fold has both classes", RequestState.FAILED),
    ([BUG], "trials: KeyError: 'x'", RequestState.PENDING),
    ([], "a task was killed; see train_direction_1h/broken in Airflow", RequestState.PENDING),
])
def test_a_failed_training_is_aborted_with_its_cause(
        house: Warehouse, in_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, errors: list[Exception],
        cause: str, state: RequestState) -> None:
    causes: list[str] = []
    monkeypatch.setattr(stage, "abort", lambda w, s, session, cause, *, at: causes.append(cause))
    ask(house)
    in_task("train_direction_1h", run_id="broken", task_id="trials")
    claimed = claim()
    for error in errors:
        with pytest.raises(type(error)), work():
            raise error
    in_task("train_direction_1h", run_id="another", task_id="trials")
    with pytest.raises(TrainingError), work():
        raise TrainingError("of another run")
    in_task("train_direction_1h", run_id="broken", task_id="close")
    with work() as w:
        training.close(w, claimed, SESSION, None)
    assert causes == [cause]
    assert states(house) == [state]


def test_the_ledger_is_told_even_when_mlflow_is_down(
        house: Warehouse, in_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, at: datetime) -> None:
        raise TrackingUnavailable("MLflow is down")

    monkeypatch.setattr(stage, "abort", down)
    ask(house)
    in_task("train_direction_1h")
    with pytest.raises(TrackingUnavailable), work() as w:
        training.close(w, claim(), SESSION, None)
    assert states(house) == [RequestState.PENDING]


def test_a_served_request_stays_served(house: Warehouse, in_task: Callable[..., Any],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "abort", lambda *_, at: None)
    number = ask(house)
    in_task("train_direction_1h")
    claimed = claim()
    with house.begin() as connection:
        ledger.finish_request(connection, number, RequestState.SERVED, at=AS_OF)
    with work() as w:
        training.close(w, claimed, SESSION, None)
    assert states(house) == [RequestState.SERVED]
