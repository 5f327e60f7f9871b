"""The ledger under concurrency, repetition and attempts to rewrite it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from pipelines.contracts.records import (
    Action,
    Candidate,
    Outcome,
    Promotion,
    Reason,
    RequestState,
    RetrainRequest,
    Verdict,
)
from pipelines.contracts.retraining import Cost
from pipelines.errors import Conflict, RegistryError, StoreError
from pipelines.store import Warehouse, events, ledger, lines

AT = datetime(2024, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINE = "direction_1h"


def request(line: str = LINE, **change) -> RetrainRequest:
    return replace(RetrainRequest(line, Reason.DATA_DRIFT, AT, "monitor", {"share": 0.4, "bad": math.nan}), **change)


def candidate(version: int, line: str = LINE, **change) -> Candidate:
    entered = Candidate(line, version, f"run{version}", "lightgbm", AT, AT - HOUR, "s" * 64, "e" * 64, 20)
    return replace(entered, **change)


VERDICT = Verdict(Outcome.REJECT, ("too weak", "too short"), "base_rate", -0.1, -math.inf, 0.2, math.nan, 0.05, 7, 700,
                  {"candidate": {"auc": 0.5, "brier": math.nan}}, champion_version=None)


def together(warehouse: Warehouse, count: int, work: Callable[[Connection, int], object]) -> list[object]:
    """``work`` in ``count`` transactions at once; its results (or the Conflict it raised)."""
    def one(number: int) -> object:
        try:
            with warehouse.begin() as connection:
                return work(connection, number)
        except Conflict as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def test_an_open_request_takes_up_the_next_ones(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        first, created = ledger.request_retrain(connection, request(), at=AT)
        assert created
        assert ledger.request_retrain(connection, request(reason=Reason.MANUAL), at=AT) == (first, False)
        other, created = ledger.request_retrain(connection, request("volatility_24h"), at=AT)
        assert created
        claimed = ledger.claim_request(connection, LINE, claimed_by="a", at=AT, expires_at=AT + HOUR)
        assert claimed == request(id=first, state=RequestState.CLAIMED, evidence={"share": 0.4, "bad": None})
        assert ledger.request_retrain(connection, request(), at=AT) == (first, False)
        ledger.finish_request(connection, first, RequestState.SERVED, at=AT, detail="v1")
        again, created = ledger.request_retrain(connection, request(), at=AT)
        assert created
        assert [item.id for item in ledger.requests(connection)] == [first, other, again]
        assert [item.id for item in ledger.requests(connection, LINE, {RequestState.PENDING})] == [again]


def test_many_ask_at_once_and_one_request_is_made(warehouse: Warehouse) -> None:
    answers = together(warehouse, 24, lambda connection, n: ledger.request_retrain(connection, request(), at=AT))
    assert len({number for number, _ in answers}) == 1
    assert sorted(created for _, created in answers) == [False] * 23 + [True]


def test_a_request_has_one_winner_and_distinct_lines_distinct_ones(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for number in range(3):
            ledger.request_retrain(connection, request(f"line_{number}"), at=AT)
    claims = together(warehouse, 24, lambda connection, n: ledger.claim_request(
        connection, f"line_{n % 3}", claimed_by=f"w{n}", at=AT, expires_at=AT + HOUR))
    assert sorted(claim.line for claim in claims if claim is not None) == ["line_0", "line_1", "line_2"]


def test_an_expired_claim_can_be_taken_over_and_an_own_one_resumed(warehouse: Warehouse) -> None:
    def claim(who: str, after: timedelta, *, resume: bool = False) -> RetrainRequest | None:
        with warehouse.begin() as connection:
            return ledger.claim_request(connection, LINE, claimed_by=who, at=AT + after, resume=resume,
                                        expires_at=AT + after + HOUR)

    with warehouse.begin() as connection:
        ledger.request_retrain(connection, request(), at=AT)
    assert claim("a", 0 * HOUR) is not None
    assert claim("a", 0 * HOUR) is None
    assert claim("b", HOUR / 2, resume=True) is None
    assert claim("a", HOUR / 2, resume=True) is not None  # now until 1:30
    assert claim("b", HOUR) is None
    assert claim("b", 1.5 * HOUR) is not None


def test_a_request_is_released_or_finished_once(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        number, _ = ledger.request_retrain(connection, request(), at=AT)
        ledger.claim_request(connection, LINE, claimed_by="a", at=AT, expires_at=AT + HOUR)
        ledger.release_request(connection, number, at=AT, detail="killed")
        ledger.release_request(connection, number, at=AT)
        assert ledger.claim_request(connection, LINE, claimed_by="b", at=AT, expires_at=AT + HOUR) is not None
        ledger.finish_request(connection, number, RequestState.FAILED, at=AT, detail="no data")
        ledger.finish_request(connection, number, RequestState.FAILED, at=AT, detail="no data")
        with pytest.raises(Conflict, match="is failed already"):
            ledger.finish_request(connection, number, RequestState.SERVED, at=AT)
        with pytest.raises(Conflict, match="is failed already"):
            ledger.release_request(connection, number, at=AT)
        with pytest.raises(StoreError, match="no retrain request 999"):
            ledger.release_request(connection, 999, at=AT)
        with pytest.raises(StoreError, match="cannot be finished as pending"):
            ledger.finish_request(connection, number, RequestState.PENDING, at=AT)


def joined(warehouse: Warehouse, number: int) -> list[dict]:
    with warehouse.begin() as connection:
        return next(item for item in ledger.requests(connection) if item.id == number).evidence.get("joined", [])


def test_further_wishes_are_written_into_the_open_request(warehouse: Warehouse) -> None:
    def join(connection: Connection, **change) -> bool:
        return ledger.join_request(connection, number, request(**change), at=AT)

    with warehouse.begin() as connection:
        number, _ = ledger.request_retrain(connection, request(), at=AT)
        assert not join(connection)  # the request itself, done again
        assert join(connection, as_of=AT + HOUR)
        assert not join(connection, as_of=AT + HOUR)
        assert join(connection, as_of=AT + 2 * HOUR, evidence={"share": math.nan})
        assert join(connection, reason=Reason.PERFORMANCE)
        assert join(connection, requested_by="ann")
    found = joined(warehouse, number)
    assert [(entry["reason"], entry["requested_by"], entry["times"]) for entry in found] == [
        ("data_drift", "monitor", 2), ("performance", "monitor", 1), ("data_drift", "ann", 1)]
    assert (found[0]["first"], found[0]["last"]) == ((AT + HOUR).isoformat(), (AT + 2 * HOUR).isoformat())
    assert found[0]["evidence"] == {"share": None}
    with warehouse.begin() as connection:
        ledger.finish_request(connection, number, RequestState.SERVED, at=AT)
        assert not join(connection, as_of=AT + 3 * HOUR)
        assert not ledger.join_request(connection, 99, request(), at=AT)


def test_no_wish_is_lost_among_many_and_a_crowd_has_its_bound(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        number, _ = ledger.request_retrain(connection, request(), at=AT)
    answers = together(warehouse, 60, lambda connection, n: ledger.join_request(
        connection, number, request(requested_by=f"person{n}"), at=AT))
    assert Counter(answers) == {True: 50, False: 10}
    assert len({entry["requested_by"] for entry in joined(warehouse, number)}) == 50


def test_what_trainings_cost_is_added_up_and_stands(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        number, _ = ledger.request_retrain(connection, request(), at=AT)
        ledger.add_candidate(connection, candidate(1), at=AT)
        for step, cost, run_id in (("open", Cost(1.0, 2.0), "run1"), ("trials", Cost(3.0, 3.5, 4), "run1"),
                                   ("trials", Cost(3.0, 4.0, 2), "run1"), ("open", Cost(0.5, 0.5), None)):
            ledger.add_step(connection, LINE, step, cost, request_id=number, run_id=run_id,
                            recipe={"code": "c"} if step == "open" and run_id else None)
        assert ledger.cost_of_run(connection, LINE, "run1") == Cost(7.0, 9.5, 6)
        assert ledger.cost_of_run(connection, LINE, "other") == Cost()
        assert ledger.costs_of_runs(connection, LINE) == {"run1": Cost(7.0, 9.5, 6)}
        assert ledger.costs_of_requests(connection, LINE) == {number: Cost(7.5, 10.0, 6)}
        assert ledger.recipes(connection, LINE) == {1: {"code": "c"}}
    with pytest.raises(StoreError, match="append-only"), warehouse.begin() as connection:
        connection.exec_driver_sql("UPDATE ai_trading.training_steps SET cpu_seconds = 0")


def test_candidates_are_entered_once(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        assert ledger.last_training(connection, LINE) is None
        for version in (1, 2, 2):
            ledger.add_candidate(connection, candidate(version, as_of=AT + version * HOUR), at=AT)
        assert ledger.last_training(connection, LINE) == AT + 2 * HOUR
        assert ledger.candidate(connection, LINE, 1) == candidate(1, as_of=AT + HOUR)
        with pytest.raises(Conflict, match="another model \\(run run1\\)"):
            ledger.add_candidate(connection, candidate(1, run_id="other"), at=AT)
        with pytest.raises(RegistryError, match="no version 7; it has 1, 2"):
            ledger.candidate(connection, LINE, 7)
        with pytest.raises(RegistryError, match="none yet"):
            ledger.candidate(connection, "other", 7)


def test_a_candidate_cannot_have_seen_the_future(warehouse: Warehouse) -> None:
    with pytest.raises(StoreError, match="candidates_no_future"), warehouse.begin() as connection:
        ledger.add_candidate(connection, candidate(1, trained_through=AT + HOUR), at=AT)


def test_verdicts_and_approvals(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for version in (1, 2):
            ledger.add_candidate(connection, candidate(version), at=AT)
        assert [item.version for item in ledger.unjudged(connection, LINE)] == [1, 2]
        assert ledger.latest_verdict(connection, LINE, 1) is None
        first = ledger.add_verdict(connection, LINE, 1, VERDICT, as_of=AT, at=AT)
        assert ledger.add_verdict(connection, LINE, 1, VERDICT, as_of=AT, at=AT + HOUR) == first
        with_zero = replace(VERDICT, metrics={"candidate": {"gain": -0.0}})  # which JSONB gives back as 0.0
        zero = ledger.add_verdict(connection, LINE, 2, with_zero, as_of=AT, at=AT)
        assert ledger.add_verdict(connection, LINE, 2, with_zero, as_of=AT, at=AT) == zero
        later = replace(VERDICT, outcome=Outcome.PROMOTE, champion_version=1)
        second = ledger.add_verdict(connection, LINE, 1, later, as_of=AT, at=AT)
        assert second > first
        assert ledger.unjudged(connection, LINE) == []
        assert repr(ledger.latest_verdict(connection, LINE, 1)) == repr(later)  # repr: NaN is not equal to itself
        table = ledger.verdicts(connection, LINE)
        table = table[table["version"] == 1]
        assert table["outcome"].tolist() == ["reject", "promote"]
        assert table["reasons"].tolist() == [["too weak", "too short"]] * 2
        assert table["effect_low"].tolist() == [-math.inf] * 2
        assert table["champion_version"].tolist()[1] == 1
        assert ledger.verdicts(connection, "other").empty
        with pytest.raises(RegistryError, match="no version 9"):
            ledger.add_verdict(connection, LINE, 9, VERDICT, as_of=AT, at=AT)

        assert ledger.approval(connection, LINE, 1) is None
        ledger.decide_approval(connection, LINE, 1, True, "ann", "fine", at=AT)
        ledger.decide_approval(connection, LINE, 1, False, "bob", "not fine", at=AT)
        assert ledger.approval(connection, LINE, 1) is False
        assert ledger.approval(connection, LINE, 2) is None


def promote(connection: Connection, version: int, expected: int | None, effective: datetime = AT,
            action: Action = Action.PROMOTE) -> Promotion:
    return ledger.append_promotion(connection, LINE, version, action=action, expected_previous=expected, actor="test",
                                   reason="why", effective_at=effective, at=AT)


def test_promotions_form_a_chain(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for version in (1, 2):
            ledger.add_candidate(connection, candidate(version), at=AT)
        assert ledger.champion(connection, LINE) is None
        first = promote(connection, 1, None)
        assert promote(connection, 1, None, AT + HOUR) == first
        assert promote(connection, 1, 55) == first
        with pytest.raises(Conflict, match="is version 1, the decision was made against none"):
            promote(connection, 2, None)
        second = promote(connection, 2, 1, AT + 2 * HOUR)
        back = promote(connection, 1, 2, AT, Action.ROLLBACK)
        assert back.effective_at == AT + 2 * HOUR  # never before the champion it replaces
        assert (back.version, back.previous, back.action) == (1, 2, Action.ROLLBACK)
        assert ledger.history(connection, LINE) == [first, second, back]
        assert ledger.champion(connection, LINE) == back
        assert ledger.champion(connection, LINE, as_of=AT - HOUR) is None
        assert ledger.champion(connection, LINE, as_of=AT + HOUR) == first
        assert ledger.champion(connection, LINE, as_of=AT + 2 * HOUR) == back
        with pytest.raises(RegistryError, match="no version 9"):
            promote(connection, 9, 1)


def test_fifty_promotions_at_once_leave_one_chain(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for version in range(1, 51):
            ledger.add_candidate(connection, candidate(version), at=AT)

    def insist(connection: Connection, number: int) -> Promotion | None:
        present = ledger.champion(connection, LINE)
        return promote(connection, number + 1, present.version if present else None, AT + number * HOUR)

    results = together(warehouse, 50, insist)
    won = [result for result in results if isinstance(result, Promotion)]
    with warehouse.begin() as connection:
        chain = ledger.history(connection, LINE)
        assert ledger.champion(connection, LINE) == chain[-1]
    assert sorted(row.id for row in won) == [row.id for row in chain]
    assert len(won) + sum(isinstance(result, Conflict) for result in results) == 50
    assert [row.previous for row in chain] == [None, *(row.version for row in chain[:-1])]
    effective = [row.effective_at for row in chain]
    assert effective == sorted(effective)


def test_the_ledger_cannot_be_rewritten(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, candidate(1), at=AT)
        ledger.add_verdict(connection, LINE, 1, VERDICT, as_of=AT, at=AT)
        ledger.decide_approval(connection, LINE, 1, True, "ann", "fine", at=AT)
        lines.record_version(connection, LINE, "a = 1", at=AT)
        promote(connection, 1, None)
    for table in ("promotions", "verdicts", "approvals", "line_configs"):
        for change in ("UPDATE {} SET line = 'other'", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(StoreError, match=f"on ai_trading.{table} refused: this table is append-only"), \
                    warehouse.begin() as connection:
                connection.exec_driver_sql(change.format(table))


def test_line_configurations_keep_their_number(warehouse: Warehouse) -> None:
    numbers = together(warehouse, 20, lambda connection, n: lines.record_version(
        connection, LINE, f"a = {n % 4}", at=AT))
    assert set(numbers) == {1, 2, 3, 4}
    with warehouse.begin() as connection:
        assert lines.text_of(connection, LINE, numbers[3]) == "a = 3"
        assert lines.record_version(connection, "other", "a = 3", at=AT) == 1
        with pytest.raises(StoreError, match="no configuration 9"):
            lines.text_of(connection, LINE, 9)


def test_events_are_listed_newest_first(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for number in range(3):
            events.record(connection, at=AT + number * HOUR, kind="late" if number else "repair", line=None,
                          detail={"n": number, "at": AT})
        read = events.list_rows(connection, kind="late", end=AT + 9 * HOUR, limit=1)
    assert read["detail"].tolist() == [{"n": 2, "at": AT.isoformat()}]
    assert read["line"].isna().all()
