"""What happens becomes a notice once: whatever is read again, comes late, or was there before anybody listened."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pipelines.config_notify import Notify
from pipelines.contracts.records import Action, Outcome, RequestState
from pipelines.notify import gather
from pipelines.notify.wording import House
from pipelines.store import Warehouse, events, ledger, notices
from tests.unit.notify.conftest import AS_OF, DAY, L, Memory, Scene
from tests.unit.registry.world import make_line


def test_the_ledger_and_the_reports_are_told_in_order(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    scene.report(AS_OF, data_drift=True)
    number = scene.request()
    assert scene.gather() == [f"data_drift:{L}:begins:{AS_OF.isoformat()}", f"request:{number}:asked"]
    assert scene.gather() == []
    scene.candidate(1, request=number)
    with scene.warehouse.begin() as connection:
        ledger.finish_request(connection, number, RequestState.SERVED, at=scene.at)
    scene.verdict(1, Outcome.PROMOTE)
    scene.promote(1)
    scene.candidate(2)
    scene.verdict(2, Outcome.REJECT, champion=1)
    scene.candidate(3)
    scene.verdict(3, Outcome.INCONCLUSIVE, champion=1)
    scene.promote(2, 1)
    scene.promote(1, 2, Action.ROLLBACK, actor="cli:ann")
    scene.report(AS_OF + DAY)
    scene.stale(1)
    post = Memory()
    found = scene.gather()
    scene.deliver(post)
    assert [notice.title for notice in post.told] == [
        f"{L}: data drift alarm", f"{L}: retraining requested (manual)", f"{L}: data drift alarm is over",
        f"{L}: retrained (manual)", f"{L}: v2 is not better, champion v1 kept",
        f"{L}: v3 goes into shadow beside champion v1", f"{L}: v1 is champion, the first one",
        f"{L}: v2 is champion, after v1", f"{L}: rolled back to v1, after v2", "bars of S1 went silent"]
    assert len(found) == 8
    assert "Trained v1 (lightgbm)" in post.told[3].body[0]
    assert scene.gather() == []


def test_people_are_asked_once_and_not_when_they_have_answered(scenes: Callable[..., Scene]) -> None:
    scene = scenes(approval="human")
    for version in (1, 2):
        scene.candidate(version)
        scene.verdict(version, Outcome.PROMOTE)
    with scene.warehouse.begin() as connection:
        ledger.decide_approval(connection, L, 1, True, "ann", "fine", at=scene.at)
    assert [key.split(":")[0] + ":" + key.split(":")[-1] for key in scene.gather()] == [
        "verdict:approval", "approval:1"]
    assert scene.gather() == []


def test_a_line_that_asks_from_today_on_does_not_ask_about_yesterday(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    for version in (1, 2):
        scene.candidate(version)
        scene.verdict(version, Outcome.PROMOTE, champion=version - 1 or None)
        scene.promote(version, version - 1 or None)
    assert len(scene.gather()) == 2
    scene.house = House({L: make_line(gate={"approval": "human"})})
    assert scene.gather() == []


def test_history_is_no_news(swept_warehouse: Warehouse) -> None:
    """The first look notes what is there; a channel that is configured later is told what is found from then on."""
    scene, post, late = Scene(swept_warehouse), Memory(), Memory("late")
    for number in range(3):
        scene.stale(number)
    number = scene.request()
    assert len(scene.gather("memory")) == 4
    assert scene.deliver(post).messages == 0
    scene.stale(3)
    scene.gather("memory")
    scene.stale(4)
    scene.gather("memory", "late")
    scene.deliver(post)
    scene.deliver(late)
    assert [notice.title for notice in post.told] == ["bars of S3 went silent", "bars of S4 went silent"]
    assert [notice.title for notice in late.told] == ["bars of S4 went silent"]
    with scene.warehouse.begin() as connection:
        ledger.finish_request(connection, number, RequestState.FAILED, at=scene.at)
    assert scene.gather() == [f"request:{number}:failed"]  # what was open then is told when it ends


def test_without_a_channel_it_is_only_noted(scene: Scene) -> None:
    post = Memory()
    scene.stale(1)
    assert len(gather.gather(scene.warehouse, scene.house, scene.rules, (), at=scene.at)) == 1
    scene.gather("memory")
    assert scene.deliver(post).messages == 0
    with scene.warehouse.begin() as connection:
        (row,) = notices.list_rows(connection)
    assert (row["title"], row["deliveries"]) == ("bars of S1 went silent", {})


def test_a_row_that_commits_late_is_not_lost(scene: Scene) -> None:
    """It has drawn its number before rows that were read already."""
    slow = scene.warehouse.engine.connect()
    transaction = slow.begin()
    events.record(slow, at=scene.at, kind="stale", detail={"kind": "bars", "series": "SLOW"})
    for number in range(3):
        scene.stale(number)
    assert len(scene.gather()) == 3
    transaction.commit()
    slow.close()
    assert len(scene.gather()) == 1
    with scene.warehouse.begin() as connection:
        assert notices.list_rows(connection, limit=1)[0]["title"] == "bars of SLOW went silent"


def test_a_request_that_stays_open_for_long_is_told_when_it_ends(scene: Scene,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "OVERLAP", 3)
    number = scene.request()
    scene.gather()
    with scene.warehouse.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ai_trading.retrain_requests (line, reason, as_of, requested_by, state, requested_at, "
            "finished_at) SELECT 'other', 'manual', now(), 'x', 'failed', now(), now() "
            "FROM generate_series(1, 9)")
    scene.gather()
    scene.gather()
    with scene.warehouse.begin() as connection:
        ledger.finish_request(connection, number, RequestState.FAILED, at=scene.at)
    assert scene.gather() == [f"request:{number}:failed"]


def test_two_at_once_take_turns(scene: Scene) -> None:
    for number in range(20):
        scene.stale(number)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: scene.gather(), range(4)))
    assert sorted(map(len, found)) == [0, 0, 0, 20]


@pytest.mark.parametrize(("rules", "told"), [
    ({}, ["retrain", "stale"]), ({"least": "warning"}, ["stale"]), ({"least": "critical"}, []),
    ({"mute": "stale, drift"}, ["retrain"])])
def test_what_nobody_wants_is_noted_and_not_sent(scene: Scene, rules: dict[str, str], told: list[str]) -> None:
    scene.rules = Notify.model_validate(rules)
    scene.request()
    scene.stale(1)
    assert len(scene.gather()) == 2
    post = Memory()
    scene.deliver(post)
    assert [notice.kind for notice in post.told] == told


def test_a_check_that_is_made_again_or_out_of_order_rings_once(scene: Scene) -> None:
    scene.report(AS_OF + 2 * DAY, data_drift=True)
    assert scene.gather() == [f"data_drift:{L}:begins:{(AS_OF + 2 * DAY).isoformat()}"]
    scene.report(AS_OF + 3 * DAY, data_drift=True)
    scene.report(AS_OF)
    assert scene.gather() == []
    scene.report(AS_OF + timedelta(days=4))
    assert scene.gather() == [f"data_drift:{L}:ends:{(AS_OF + 4 * DAY).isoformat()}"]


def test_an_alarm_among_the_metrics_is_told_like_the_others(scene: Scene) -> None:
    for day, value in enumerate((0.0, 1.0, 1.0, 0.0)):
        scene.report(AS_OF + day * DAY, metrics={"label_drift": value})
    assert [key.split(":")[2] for key in scene.gather()] == ["begins", "ends"]


def test_a_row_that_nobody_understands_stops_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.event("task_failed", run="a/b", task="c", error="d", retryable=None, **{"try": "many"})
    scene.stale(1)
    found = scene.gather()
    assert [key.split(":")[0] for key in found] == ["unread", "event"]
    assert "could not be put into words" in caplog.text
    assert scene.gather() == []
