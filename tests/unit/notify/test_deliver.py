"""At least once whatever dies where, exactly once when nothing does, and nothing is lost while a channel is down."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config_notify import Notify, Webhook
from pipelines.contracts.notices import Notice
from pipelines.errors import ChannelError, ChannelUnavailable
from pipelines.notify import deliver as module
from pipelines.notify.webhook import WebhookChannel
from pipelines.store import Warehouse, events, notices
from tests.fixtures.mailbox import HookServer
from tests.unit.notify.conftest import Killed, Memory, Scene, swept


def state(scene: Scene) -> Counter[str]:
    with scene.warehouse.begin() as connection:
        return Counter(connection.exec_driver_sql("SELECT state FROM ai_trading.deliveries").scalars().all())


def test_each_notice_is_told_once_and_by_every_channel(scene: Scene) -> None:
    for number in range(4):
        scene.stale(number)
    keys = scene.gather("one", "two")
    for name in ("one", "two"):
        post = Memory(name)
        assert scene.deliver(post) == module.Delivered(name, messages=4, notices=4)
        assert post.keys == keys
        assert scene.deliver(post).messages == 0


STEPS = st.sampled_from([None, None, "before", "after", "gather", "later", ChannelUnavailable("not now")])


@settings(max_examples=10)
@given(st.lists(STEPS, max_size=14), st.integers(1, 5))
def test_whatever_dies_every_notice_arrives_and_without_a_crash_once(
        shared_warehouse: Warehouse, steps: list[Any], count: int) -> None:
    """Rounds that are killed before or after the other side took a message, or meet a channel that is down, with
    notices that come in between; then healthy rounds."""
    scene, post = Scene(swept(shared_warehouse)), Memory()
    scene.gather()
    for number in range(count):
        scene.stale(number)
    scene.gather()
    post.script = [step for step in steps if step not in ("gather", "later")]
    deaths = post.script.count("after")
    for step in steps:
        if step == "gather":
            count += 1
            scene.stale(count + 100)
            scene.gather()
        scene.at += timedelta(minutes=61 if step == "later" else 5)
        with suppress(Killed):
            scene.deliver(post)
    post.script = []
    scene.at += timedelta(hours=2)
    scene.deliver(post)
    told = Counter(notice.title for notice in post.told)
    assert len(told) == count
    assert sum(told.values()) - count <= deaths  # a second copy only where the record of the first was lost
    assert state(scene) == {"sent": count}


def test_killed_between_send_and_record_it_is_sent_again_and_nothing_else(scene: Scene) -> None:
    for number in range(3):
        scene.stale(number)
    keys, post = scene.gather(), Memory()
    post.script = [None, "after"]
    with pytest.raises(Killed):
        scene.deliver(post)
    scene.deliver(post)
    assert post.keys == [keys[0], keys[1], keys[1], keys[2]]


def test_a_process_that_dies_behind_the_send_leaves_nothing_locked_or_lost(scene: Scene, hook: HookServer) -> None:
    """SIGKILL, as an out-of-memory killer does it: the webhook has the message, the warehouse does not know."""
    for number in range(2):
        scene.stale(number)
    scene.gather("webhook")
    url = scene.warehouse.engine.url.render_as_string(hide_password=False)
    child = os.fork()
    if child == 0:  # in the child, no fixture may be torn down
        try:
            mortal = WebhookChannel(Webhook(url=hook.url))
            send = mortal.send
            mortal.send = lambda notice: (send(notice), os.kill(os.getpid(), signal.SIGKILL))[0]  # type: ignore
            module.deliver(Warehouse(url, "unused"), mortal, scene.rules, at=scene.at)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert state(scene) == {"waiting": 2}
    give_up = time.monotonic() + 10
    while state(scene) == {"waiting": 2} and time.monotonic() < give_up:  # the server has to notice the death first
        module.deliver(scene.warehouse, WebhookChannel(Webhook(url=hook.url)), scene.rules, at=scene.at)
    assert state(scene) == {"sent": 2}
    assert [taken["text"] for taken in hook.taken] == [
        f"bars of S{number} went silent" for number in (0, 0, 1)]


def test_two_rounds_at_once_share_nothing(scene: Scene) -> None:
    """One hangs in the middle of sending; the other finds nothing that is free, and takes nothing twice."""
    for number in range(3):
        scene.stale(number)
    keys = scene.gather()
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Memory):
        def send(self, notice: Notice) -> None:
            inside.set()
            assert go_on.wait(10)
            super().send(notice)

    slow, quick = Slow(), Memory()
    worker = threading.Thread(target=scene.deliver, args=(slow,))
    worker.start()
    assert inside.wait(10)
    assert scene.deliver(quick).messages == 0
    go_on.set()
    worker.join(10)
    assert (slow.keys, quick.keys) == (keys, [])


def test_a_channel_that_is_down_is_tried_again_later_and_nothing_is_lost(scene: Scene) -> None:
    for number in range(3):
        scene.stale(number)
    keys, post = scene.gather(), Memory()
    for _ in range(4):
        post.script = [ChannelUnavailable("no route")]
        done = scene.deliver(post)
        assert (done.messages, done.error) == (0, "no route")
        assert scene.deliver(post).error is None  # not due: it is left in peace
        scene.at += timedelta(minutes=30)
    with scene.warehouse.begin() as connection:
        rows = notices.list_rows(connection, waiting=True)
        assert len(events.list_rows(connection, kind=module.DOWN)) == 1
    assert "waiting: no route" in rows[-1]["deliveries"]["memory"]
    assert scene.deliver(post).messages == 3
    assert post.keys == keys
    with scene.warehouse.begin() as connection:
        assert len(events.list_rows(connection, kind=module.UP)) == 1


@pytest.mark.parametrize(("wait", "attempts", "minutes"), [(None, 1, 1), (None, 2, 2), (None, 4, 8), (None, 9, 30),
                                                           (7200.0, 1, 120)])
def test_the_pause_grows_or_is_what_the_other_side_asked_for(scene: Scene, wait: float | None, attempts: int,
                                                            minutes: float) -> None:
    scene.stale(1)
    scene.gather()
    post = Memory()
    for _ in range(attempts):
        scene.at += timedelta(minutes=31)
        post.script = [ChannelUnavailable("busy", wait)]
        scene.deliver(post)
    down = scene.at
    scene.at = down + timedelta(minutes=minutes) - timedelta(seconds=1)
    assert scene.deliver(post).messages == 0
    scene.at = down + timedelta(minutes=minutes)
    assert scene.deliver(post).messages == 1


def test_another_channel_tells_that_one_is_down(scene: Scene) -> None:
    scene.stale(1)
    scene.gather("smtp", "webhook")
    broken, healthy = Memory("smtp"), Memory("webhook")
    broken.script = [ChannelError("refused the login")]
    scene.deliver(broken)
    scene.gather("smtp", "webhook")
    scene.deliver(healthy)
    scene.at += timedelta(hours=1)
    scene.deliver(broken)
    assert healthy.told[-1].title == "notifications by smtp do not get through"
    assert healthy.told[-1].body[0] == "refused the login"
    assert [notice.kind for notice in broken.told] == ["stale"]  # it does not complain about itself


def test_one_message_that_is_refused_stops_no_other_and_is_given_up_in_the_end(scene: Scene) -> None:
    for number in range(3):
        scene.stale(number)
    keys, post = scene.gather(), Memory()
    post.script = [ChannelError("too long")]
    done = scene.deliver(post)
    assert (done.messages, done.error, post.keys) == (2, "too long", keys[1:])
    for _ in range(module.MOST_REFUSALS - 1):
        scene.at += timedelta(hours=1)
        post.script = [ChannelError("too long")]
        scene.deliver(post)
    assert state(scene) == {"sent": 2, "given_up": 1}
    scene.at += timedelta(hours=1)
    assert scene.deliver(post).messages == 0


def test_a_channel_that_refuses_everything_is_not_hammered(scene: Scene) -> None:
    for number in range(9):
        scene.stale(number)
    scene.gather()
    post = Memory()
    post.script = [ChannelError("no")] * 9
    scene.deliver(post)
    assert len(post.script) == 9 - module.IN_A_ROW
    assert state(scene) == {"waiting": 9}


def test_a_bug_in_a_channel_is_a_refusal(scene: Scene) -> None:
    scene.stale(1)
    scene.stale(2)
    scene.gather()
    post = Memory()
    post.script = [KeyError("secret")]
    done = scene.deliver(post)
    assert done.messages == 1
    assert "KeyError" in (done.error or "")
    assert "secret" not in (done.error or "")


def test_a_storm_is_one_message_and_what_follows_waits_its_turn(scene: Scene) -> None:
    scene.rules, post = Notify(fold_above=3, fold_minutes=60), Memory()
    for number in range(13):
        scene.stale(number)
    scene.gather()
    assert scene.deliver(post) == module.Delivered("memory", messages=1, notices=13)
    assert post.told[0].title == "bars of S0 went silent and 12 more"
    for number in range(20, 30):
        scene.stale(number)
    scene.gather()
    assert scene.deliver(post) == module.Delivered("memory", held=10)
    assert scene.deliver(post).held == 0
    scene.at += timedelta(minutes=60)
    assert scene.deliver(post).messages == 1
    assert state(scene) == {"sent": 23}
    assert len(post.told) == 2


def test_real_servers_in_one_round(scene: Scene, mail_server: Callable[..., Any], hook: Any) -> None:
    """Warehouse → outbox → SMTP and HTTP, with a webhook that fails first."""
    from pipelines.config import Settings
    from pipelines.notify import tell

    server = mail_server()
    hook.faults.extend([500, (429, {"Retry-After": "0"})])
    made = Settings(smtp={"host": "127.0.0.1", "port": server.port, "security": "none", "sender": "t@example.org",
                          "recipients": "ann@example.org"}, webhook={"url": hook.url}, notify={"digest": False},
                    airflow_url="http://air.example")
    scene.report(scene.at, data_drift=True)
    done = tell.tell(scene.warehouse, made, {scene.line.name: scene.line}, at=scene.at)
    assert [(item.channel, item.messages, item.error) for item in done.delivered] == [
        ("smtp", 1, None), ("webhook", 1, None)]
    assert server.mails[0]["Subject"] == "[tidemark] direction_1h: data drift alarm"
    assert hook.taken[0]["text"] == "direction_1h: data drift alarm"
    assert "http://air.example/dags/monitor_direction_1h" in json.dumps(hook.taken[0])
    again = tell.tell(scene.warehouse, made, {scene.line.name: scene.line}, at=scene.at)
    assert (len(server.mails), len(hook.taken), again.found) == (1, 1, ())
