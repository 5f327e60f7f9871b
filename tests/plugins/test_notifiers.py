"""The notifier of Airflow's callbacks and the round of the DAG, on a real warehouse and real servers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import SyncCallback
from airflow.sdk.execution_time.callback_supervisor import execute_callback

from pipelines import config
from pipelines.config import Settings
from pipelines.errors import ConfigError, NotReady, StoreUnavailable
from pipelines.notify import gather, happenings
from pipelines.notify.wording import House
from pipelines.store import Warehouse, events, notices
from tests.fixtures.mailbox import HookServer
from tidemark_airflow import notifiers, policies
from tidemark_airflow.context import TASK_FAILED, work
from tidemark_airflow.notifiers import TidemarkNotifier, with_connections

SECRET = "conn-secret-0123456789"


@pytest.fixture
def hooked(settings: Settings, hook: HookServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings on a warehouse whose history is noted, with a webhook."""
    made = settings.model_copy(update={"webhook": settings.webhook.model_copy(
        update={"url": hook_url(hook)}), "notify": settings.notify.model_copy(update={"digest": False})})
    monkeypatch.setattr(config, "settings", lambda: made)
    warehouse = Warehouse.from_settings(made)
    gather.gather(warehouse, House(), made.notify, (), at=datetime.fromisoformat("2026-03-01T12:00Z"))
    warehouse.close()
    return made


def hook_url(hook: HookServer) -> Any:
    from pydantic import SecretStr

    return SecretStr(hook.url)


def context(dag: str = "train_direction_1h", task: str = "trials", error: BaseException | None = None,
            **more: Any) -> dict[str, Any]:
    return {"dag_run": SimpleNamespace(dag_id=dag, run_id="r1"), "exception": error, **more,
            "ti": SimpleNamespace(task_id=task, map_index=1, try_number=9, dag_id=dag, run_id="r1")}


def listed(settings: Settings) -> list[dict[str, Any]]:
    warehouse = Warehouse.from_settings(settings)
    try:
        with warehouse.begin() as connection:
            return notices.list_rows(connection)
    finally:
        warehouse.close()


def test_a_failure_goes_into_the_outbox_once_whoever_sees_it(hooked: Settings, hook: HookServer,
                                                             in_task: Callable[..., Any]) -> None:
    """The callback, again the callback, and the system event of the same failure."""
    error = NotReady("no features of 2024-03-25")
    for _ in range(2):
        TidemarkNotifier()(context(error=error))
    warehouse = Warehouse.from_settings(hooked)
    with warehouse.begin() as connection:
        events.record(connection, at=datetime.fromisoformat("2026-03-01T12:00Z"), kind=TASK_FAILED, detail={
            "run": "train_direction_1h/r1", "task": "trials", "map_index": 1, "try": 9,
            "error": "NotReady: no features of 2024-03-25", "retryable": True})
    warehouse.close()
    assert hook.taken == []  # nothing is sent from a failing task
    in_task("notify")
    with work() as w:
        done = notifiers.send_round(w)
    assert done["webhook"] == {"messages": 1, "notices": 1, "held": 0, "error": None}
    (row,) = listed(hooked)
    assert (row["title"], row["line"]) == ("train_direction_1h: trials[1] failed", "direction_1h")
    assert hook.taken[0]["text"] == "train_direction_1h: trials[1] failed"
    assert "NotReady: no features of 2024-03-25" in json.dumps(hook.taken[0])


def test_a_title_of_ones_own_is_a_template(hooked: Settings) -> None:
    said = TidemarkNotifier(title="{{ ti.task_id }} of {{ who }} is done", text="one\ntwo", severity="info")
    said(context(who="ann"))
    (row,) = listed(hooked)
    assert (row["kind"], row["severity"], row["title"]) == ("airflow", "info", "trials of ann is done")
    with pytest.raises(ValueError, match="loud"):
        TidemarkNotifier(title="x", severity="loud")(context())


def test_a_deadline_is_told_by_airflows_own_way(hooked: Settings) -> None:
    """As the process that runs callbacks does it: by the path, with the context that a deadline has."""
    said = {"dag_run": {"dag_id": "ingest_market", "dag_run_id": "r1"}, "deadline": {
        "id": "x", "deadline_time": "2024-03-26T01:00:00Z"}}
    callback = SyncCallback(TidemarkNotifier)
    assert callback.path == "tidemark_airflow.notifiers.TidemarkNotifier"
    log = SimpleNamespace(debug=lambda *a, **k: None, info=lambda *a, **k: None, exception=lambda *a, **k: None)
    assert execute_callback(callback.path, {**callback.kwargs, "context": said}, ".", None, log) == (True, None)
    (row,) = listed(hooked)
    assert row["title"] == "ingest_market is late"


def test_without_a_warehouse_it_is_sent_from_here(offline: Settings, hook: HookServer,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    made = offline.model_copy(update={"webhook": offline.webhook.model_copy(update={"url": hook_url(hook)})})
    monkeypatch.setattr(config, "settings", lambda: made)
    with pytest.raises(StoreUnavailable):
        TidemarkNotifier()(context(error=StoreUnavailable("the warehouse is gone")))
    assert [taken["text"] for taken in hook.taken] == ["train_direction_1h: trials[1] failed"]


def test_the_dag_that_tells_does_not_tell_of_itself(hooked: Settings) -> None:
    TidemarkNotifier()(context(dag=happenings.OWN))
    assert listed(hooked) == []


def test_a_line_that_cannot_be_read_silences_nobody(hooked: Settings, hook: HookServer, in_task: Callable[..., Any],
                                                    monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name = ", encoding="utf-8")
    monkeypatch.setattr(config, "settings", lambda: hooked.model_copy(update={"lines_dir": tmp_path}))
    TidemarkNotifier()(context("maintain", "reconcile", ConfigError("broken.toml is refused")))
    in_task("notify")
    with work() as w:
        notifiers.send_round(w)
    assert [taken["text"] for taken in hook.taken] == ["maintain: reconcile[1] failed"]


def test_a_channel_that_is_down_does_not_fail_the_round(hooked: Settings, hook: HookServer, in_task: Callable[..., Any],
                                                        caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    TidemarkNotifier()(context(error=KeyError("x")))
    hook.faults.append(404)
    in_task("notify")
    with work() as w:
        done = notifiers.send_round(w)
    assert "there is no such webhook" in done["webhook"]["error"]
    assert "there is no such webhook" in caplog.text
    assert HookServer.SECRET not in caplog.text + json.dumps(done)


def conn(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**dict.fromkeys(("host", "schema", "port", "login", "password", "extra")) | given)


def test_connections_go_before_the_environment() -> None:
    there = {
        "tidemark_smtp": conn(host="127.0.0.1", port=2525, login="ann", password=SECRET, extra=json.dumps({
            "sender": "t@example.org", "recipients": "ben@example.org", "security": "ssl"})),
        "tidemark_webhook": conn(password=f"https://hooks.example.org/services/{SECRET}")}
    made = with_connections(Settings(smtp={"timeout": 3}), there.get)
    assert (made.smtp.host, made.smtp.port, made.smtp.username, made.smtp.timeout) == ("127.0.0.1", 2525, "ann", 3)
    assert made.smtp.password.get_secret_value() == SECRET
    assert made.webhook.url.get_secret_value().endswith(SECRET)
    assert SECRET not in repr(made)
    there["tidemark_webhook"] = conn(host="https://hooks.example.org/services", password=SECRET)
    made = with_connections(Settings(), there.get)
    assert made.webhook.url.get_secret_value() == f"https://hooks.example.org/services/{SECRET}"
    assert with_connections(Settings(), {}.get) == Settings()


@pytest.mark.parametrize(("name", "said", "match"), [
    ("tidemark_smtp", {"host": "mail.example.org", "password": SECRET}, "tidemark_smtp is refused.*sender"),
    ("tidemark_smtp", {"extra": json.dumps({"colour": SECRET})}, "says colour, which the channel smtp has no setting"),
    ("tidemark_webhook", {"password": f"http://hooks.example.org/{SECRET}"}, "tidemark_webhook is refused.*not https"),
])
def test_a_connection_that_makes_no_sense_is_named_and_not_shown(name: str, said: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as info:
        with_connections(Settings(), {name: conn(**said)}.get)
    assert SECRET not in str(info.getrepr(chain=True, style="native"))


def test_a_real_connection_is_found(monkeypatch: pytest.MonkeyPatch, hook: HookServer) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TIDEMARK_WEBHOOK", json.dumps({"conn_type": "http", "password": hook.url}))
    assert with_connections(Settings()).webhook.url.get_secret_value() == hook.url


def test_both_rooms_agree_on_when_a_failure_is_final() -> None:
    assert happenings.LAST_TRY == policies.RETRIES + 1
    assert happenings.UNFORESEEN_TRIES == policies.UNFORESEEN_TRIES
    assert isinstance(policies.task_defaults()["on_failure_callback"], TidemarkNotifier)
