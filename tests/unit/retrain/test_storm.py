"""What the policy promises over arbitrary histories, and over a year that is backfilled through the real ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from pipelines.contracts.records import (
    Candidate,
    DriftReport,
    Outcome,
    Reason,
    RequestState,
    RetrainRequest,
    UnusualRow,
)
from pipelines.contracts.retraining import MONTH, Retrain
from pipelines.monitoring import check
from pipelines.retrain import Check, PolicyState, Run, Training, decide, explain, run
from pipelines.retrain.memory import levels
from pipelines.store import Warehouse, frames, ledger, tables
from tests.unit.registry.world import make_line, said

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LINE = "direction_1h"
LONGEST = 4  # days that a training takes, and its verdict after it


def report(day: int, rings: dict[Reason, float], champion: int | None = 1) -> DriftReport:
    share, rise = rings.get(Reason.DATA_DRIFT, 0.0), rings.get(Reason.PERFORMANCE, 0.0)
    metrics = {"loss_reference": 0.69, "loss_current": 0.69 + rise}
    return DriftReport(LINE, START + day * DAY, (), share, Reason.DATA_DRIFT in rings, False,
                       Reason.PERFORMANCE in rings, metrics, champion, "d", 600)


@dataclass(frozen=True)
class Fate:
    """What becomes of a request: ``better`` True or False, ``failed`` after work, ``expired`` without any."""

    what: str
    served_after: int
    verdict_after: int
    cpu_hours: float


FATES = st.builds(Fate, st.sampled_from(["better", "worse", "worse", "failed", "expired"]), st.integers(0, LONGEST),
                  st.integers(0, LONGEST), st.sampled_from([0.2, 2.0]))
ALARMS = st.sampled_from([{}, {}, {Reason.DATA_DRIFT: 0.3}, {Reason.DATA_DRIFT: 0.8}, {Reason.PERFORMANCE: 0.02},
                          {Reason.PERFORMANCE: 0.02, Reason.DATA_DRIFT: 0.3}])
#: Stretches of days with the same alarms, so that lasting ones are as usual as flickering ones.
STRETCHES = st.lists(st.tuples(ALARMS, st.integers(1, 70)), min_size=3, max_size=12)
RULES = st.builds(
    Retrain, on=st.just(("performance", "data_drift")), cooldown_days=st.integers(0, 6),
    cooldown_limit_days=st.integers(0, 14), min_new_days=st.integers(0, 10), quiet_days=st.integers(1, 6),
    again_days=st.integers(1, 12), ripe_days=st.sampled_from([0, 0, 3, 10]),
    budget_runs=st.integers(1, 6), budget_cpu_hours=st.sampled_from([None, 1.0, 5.0]))


@dataclass
class Life:
    """A line's life day by day, with the ledger in memory; says of each request what became of it."""

    rules: Retrain
    fates: list[Fate]
    asked: list[tuple[int, RetrainRequest, Fate]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def state(self, day: int) -> PolicyState:
        made, runs, waiting = [], [], None
        for asked_on, request, fate in self.asked:
            done = asked_on + fate.served_after <= day
            if not done:
                waiting = request
            if not done or fate.what != "expired":
                runs.append(Run(request.as_of, 3600 * fate.cpu_hours if done else 0.0))
            if done and fate.what in ("better", "worse"):
                judged = asked_on + fate.served_after + fate.verdict_after <= day
                made.append(Training(request.as_of, len(made) + 2, fate.what == "better" if judged else None,
                                     tuple(map(Reason, request.evidence["triggers"]))))
        asked = [request.as_of for _, request, _ in self.asked]
        return PolicyState(LINE, made[-1].as_of if made else None, max(asked, default=None), waiting, made[-12:],
                           self.checks, runs)

    def live(self, day: int, rings: dict[Reason, float]) -> None:
        state = self.state(day)
        champion = max((item.version for item in state.trainings if item.better), default=1)
        now = report(day, rings, champion)
        decision = decide(state, self.rules, now, now.as_of)
        if decision.request is not None:
            assert state.open_request is None
            self.asked.append((day, decision.request, self.fates[len(self.asked) % len(self.fates)]))
            again = decide(self.state(day), self.rules, now, now.as_of)  # a rerun of the same day
            assert again.request is None
        self.checks.append(Check(now.as_of, champion, levels(now)))


@settings(max_examples=60)
@given(RULES, STRETCHES, st.lists(FATES, min_size=1, max_size=6))
@example(Retrain(on=("performance", "data_drift"), cooldown_days=3, cooldown_limit_days=6, min_new_days=5, quiet_days=1,
                 again_days=1, ripe_days=10, budget_runs=3),
         [({}, 2), ({Reason.DATA_DRIFT: 0.3}, 36)],
         [Fate("better", 0, 0, 0.2), Fate("worse", 0, 0, 0.2), Fate("worse", 0, 0, 0.2), Fate("failed", 0, 0, 0.2)])
def test_whatever_happens_it_neither_storms_nor_sleeps(
        rules: Retrain, stretches: list[tuple[dict[Reason, float], int]], fates: list[Fate]) -> None:
    days = [rings for rings, length in stretches for _ in range(length)][:200]
    life = Life(rules, fates)
    for day, rings in enumerate(days):
        life.live(day, rings)
    one_in_flight(life)
    cooling(life, days)
    within_budget(life)
    answered_once(life, days)
    nobody_sleeps(life, days)


def one_in_flight(life: Life) -> None:
    for (earlier, _, fate), (later, _, _) in pairwise(life.asked):
        assert later >= earlier + fate.served_after


def cooling(life: Life, days: list[dict[Reason, float]]) -> None:
    rules, limit = life.rules, max(life.rules.cooldown_days, life.rules.cooldown_limit_days)
    for place, (day, _, _) in enumerate(life.asked[1:], start=1):
        before = life.asked[place - 1][0]
        assert day - before >= max(rules.cooldown_days, 1)
        vain, first = 0, day
        for asked_on, _, fate in reversed(life.asked[:place]):
            if asked_on + fate.served_after + fate.verdict_after > day or fate.what not in ("better", "worse"):
                continue
            if fate.what == "better":
                break
            vain, first = vain + ripe(life, days, asked_on), asked_on
        if all(days[first:day]):  # never quiet since the first of them
            assert day - before >= min(rules.cooldown_days * 2**vain, limit)


def ripe(life: Life, days: list[dict[Reason, float]], asked_on: int) -> bool:
    """Whether what this training was asked for had rung for ``ripe_days``, without a pause and about one champion."""
    begin = asked_on - life.rules.ripe_days
    request = next(request for day, request, _ in life.asked if day == asked_on)
    # A check comes before what is asked for on its day: it sees a champion of that day on the next one.
    promoted = any(fate.what == "better" and begin < day + max(fate.served_after + fate.verdict_after, 1) <= asked_on
                   for day, _, fate in life.asked)
    return begin >= 0 and not promoted and all(
        set(days[day]) & set(map(Reason, request.evidence["triggers"])) for day in range(begin, asked_on + 1))


def within_budget(life: Life) -> None:
    for place, (day, request, _) in enumerate(life.asked):
        month = [(asked_on, fate) for asked_on, earlier, fate in life.asked[:place]
                 if request.as_of - earlier.as_of < MONTH and fate.what != "expired"]
        assert len(month) < life.rules.budget_runs
        spent = sum(fate.cpu_hours for asked_on, fate in month if asked_on + fate.served_after <= day)
        assert life.rules.budget_cpu_hours is None or spent < life.rules.budget_cpu_hours


def answered_once(life: Life, days: list[dict[Reason, float]]) -> None:
    """The same alarm, ringing on and no louder, about the same champion: the next answer is ``again_days`` away."""
    for (earlier, _, fate), (later, request, _) in pairwise(life.asked):
        if fate.what != "worse" or not ripe(life, days, earlier):
            continue
        for reason in map(Reason, request.evidence["triggers"]):
            rang = [rings.get(reason, 0.0) for rings in days[earlier:later + 1]]
            older = [fate for asked_on, _, fate in life.asked if asked_on < earlier and fate.what == "better"
                     and asked_on + fate.served_after + fate.verdict_after > earlier]
            if all(rang) and max(rang) <= rang[0] and not older:
                assert later - earlier >= life.rules.again_days


def nobody_sleeps(life: Life, days: list[dict[Reason, float]]) -> None:
    """A performance alarm that lasts is answered after the longest rest, the training under way, and the month in which
    any budget frees."""
    rules = life.rules
    rest = max(rules.cooldown_days, rules.cooldown_limit_days, rules.again_days, rules.min_new_days)
    longest = rest + LONGEST + MONTH.days + 1
    asked = {asked_on for asked_on, _, _ in life.asked}
    since = 0
    for day, rings in enumerate(days):
        if Reason.PERFORMANCE not in rings or day in asked:
            since = day + 1
        assert day - since < longest, f"performance rings since day {since}, nobody asked until {day}"


@pytest.mark.parametrize(("fates", "asked"), [
    # Too early twice; after 14 days, 16, then the limit of 28 each time.
    (["worse"], [0, 7, 14, 28, 44, 72, 100, 128]),
    (["worse", "worse", "better"], [0, 7, 14, 21, 28, 42, 49, 56, 70, 77, 84, 98, 105, 112, 126, 133, 140]),
    (["failed"], [*range(0, 150, 4)])])  # nobody has answered, and only the cool-down holds it
def test_a_lasting_alarm_is_answered_by_the_longest_rest(fates: list[str], asked: list[int]) -> None:
    rules = Retrain(cooldown_days=4, min_new_days=7, budget_runs=100)
    life = Life(rules, [Fate(what, 0, 0, 1.0) for what in fates])
    for day in range(150):
        life.live(day, {Reason.PERFORMANCE: 0.02})
    assert [day for day, _, _ in life.asked] == asked


def monitored(warehouse: Warehouse, item: DriftReport) -> None:
    with warehouse.begin() as connection:
        connection.execute(insert(tables.drift_reports).values(
            line=LINE, as_of=item.as_of, champion_version=item.champion_version, reference_digest="d", share=item.share,
            data_drift=item.data_drift, prediction_drift=False, performance_drift=item.performance_drift, rows=600,
            columns=[], metrics=frames.plain(item.metrics)))


def serve(warehouse: Warehouse, version: int, outcome: Outcome) -> None:
    """Claim the open request, make a version, judge it."""
    with warehouse.begin() as connection:
        request = ledger.claim_request(connection, LINE, claimed_by="train", at=START, expires_at=START + DAY)
        assert request is not None
        ledger.add_candidate(connection, Candidate(LINE, version, f"run{version}", "lightgbm", request.as_of,
                                                   request.as_of, "s", "e", 4, request.id), at=START)
        ledger.finish_request(connection, request.id, RequestState.SERVED, at=START)
        ledger.add_verdict(connection, LINE, version, said(outcome, 1), as_of=request.as_of, at=START)


def test_a_year_of_alarms_backfilled_through_the_ledger_rings_no_storm(warehouse: Warehouse) -> None:
    line = make_line(retrain={"on": ["performance", "data_drift"], "cooldown_days": 4, "min_new_days": 7})
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, Candidate(LINE, 1, "run1", "lightgbm", START - 30 * DAY, START - 30 * DAY, "s",
                                                   "e", 4), at=START)
    asked = []
    for day in range(365):
        now = report(day, {Reason.PERFORMANCE: 0.02, Reason.DATA_DRIFT: 0.5})
        decision = run.consider(warehouse, line, now, as_of=now.as_of, at=START)
        monitored(warehouse, now)
        if decision.request is not None:
            asked.append(day)
        elif asked and day == asked[-1] + 3:  # the backfill runs on while the training does
            serve(warehouse, len(asked) + 1, Outcome.REJECT)
    assert asked == [0, 7, 14, 28, 44, *range(72, 365, 28)]
    with warehouse.begin() as connection:
        requests = ledger.requests(connection, LINE)
    assert [request.as_of for request in requests] == [START + day * DAY for day in asked]
    assert Counter(request.state for request in requests) == {RequestState.SERVED: len(asked)}
    joined = requests[0].evidence["joined"]
    assert [(entry["reason"], entry["times"], entry["first"][:10], entry["last"][:10]) for entry in joined] == [
        ("performance", 3, "2024-01-02", "2024-01-04"), ("data_drift", 3, "2024-01-02", "2024-01-04")]
    again = [run.consider(warehouse, line, report(day, {Reason.PERFORMANCE: 0.02}), as_of=START + day * DAY, at=START)
             for day in range(0, 340, 40)]
    assert [decision.request for decision in again] == [None] * len(again)


def test_an_alarm_that_monitoring_stored_can_be_explained(warehouse: Warehouse) -> None:
    """Beside figures its row holds whence, rows to look at and a pair, which are none."""
    line = make_line()
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, Candidate(LINE, 1, "run1", "lightgbm", START - 30 * DAY, START - 30 * DAY, "s",
                                                   "e", 4), at=START)
    alarm = replace(report(0, {Reason.DATA_DRIFT: 0.8}), over=True, streak=3, since="2023-12-28", pair=("rsi", "vol"),
                    unusual=(UnusualRow("2023-12-31T23:00:00+00:00", "BTC", {"rsi": 4.0}),))
    check._store(warehouse, alarm, None)
    with warehouse.begin() as connection:
        told = explain.now(connection, line, START)
    assert (told["state"], told["alarms"]) == ("asks", {"data_drift": 0.8})
