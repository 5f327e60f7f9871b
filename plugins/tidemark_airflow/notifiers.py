"""Notifications in Airflow: the round that the DAG `notify` makes, and a notifier for any DAG's callbacks.

Both use the same outbox and the same channels, so what two of them see is told once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from tidemark_airflow import connections
from tidemark_airflow.context import Work, describe, tell

if TYPE_CHECKING:
    from pipelines.config import Settings
    from pipelines.contracts.line import Line
    from pipelines.contracts.notices import Notice

log = logging.getLogger(__name__)


def send_round(w: Work) -> Any:
    """Note what is new, write the digest when its hour has come, send what waits. A channel that is down is a warning
    and a system event, not a failure: the next round tries it again.

    Raises:
        ConfigError: a channel's settings or Connection are refused.
    """
    from pipelines.notify.tell import tell as round_of

    done = round_of(w.warehouse, with_connections(w.settings), lines_of(w.settings), at=w.at)
    for item in done.delivered:
        if item.error:
            log.warning("%s: %s", item.channel, item.error)
    return tell("notifications", {"found": len(done.found), **{
        item.channel: {"messages": item.messages, "notices": item.notices, "held": item.held, "error": item.error}
        for item in done.delivered}})


def lines_of(settings: Settings) -> dict[str, Line]:
    """Every line by name; none while one of their files is refused, for that is what people have to be told."""
    from pipelines.contracts.line import load_lines
    from pipelines.errors import ConfigError

    try:
        return load_lines(settings.lines_dir)
    except ConfigError as error:
        log.warning("the lines cannot be read, so notices say less: %s", error)
        return {}


def with_connections(settings: Settings, find: Callable[[str], Any] | None = None) -> Settings:
    """The settings with what the Connections ``tidemark_smtp`` and ``tidemark_webhook`` say, field by field.

    Raises:
        ConfigError: a Connection says what its channel has no setting for, or a wrong value; the value is not shown.
    """
    find = find or connections.connection
    for name, fields in (("smtp", _smtp), ("webhook", _webhook)):
        found = find(f"{connections.PREFIX}{name}")
        if found is not None:
            said = {**fields(found), **connections.extra(name, found)}
            settings = settings.model_copy(
                update={name: connections.filled(name, getattr(settings, name), said, what="channel")})
    return settings


def _smtp(found: Any) -> dict[str, Any]:
    said = {"host": found.host, "port": found.port, "username": found.login, "password": found.password}
    return {name: value for name, value in said.items() if value}


def _webhook(found: Any) -> dict[str, Any]:
    """The whole address is the password; or its beginning is the host and its secret end the password, as in Airflow's
    own Connections for Slack."""
    secret = found.password or ""
    if "://" in secret or not found.host:
        return {"url": secret} if secret else {}
    return {"url": f"{connections.url(found.host, found.schema, found.port)}/{secret}".rstrip("/")}


class TidemarkNotifier(BaseNotifier):
    """Tells people what happened in a DAG, by the channels of Tidemark.

    ``on_failure_callback=TidemarkNotifier()`` of a task or DAG; ``DeadlineAlert(..., callback=SyncCallback(
    TidemarkNotifier, kwargs={"title": ...}))``. Without a title it says what has failed or is late. The notice goes
    into the outbox, and the DAG `notify` sends it within minutes, folded with others in a storm; should the warehouse
    be out of reach, it is sent from here, past the outbox.

    Args:
        title: one line; text: the rest. Both are Jinja templates.
        severity: ``info``, ``warning`` or ``critical``.
    """

    template_fields: Sequence[str] = ("title", "text")

    def __init__(self, title: str = "", text: str = "", severity: str = "warning", context: Any = None) -> None:
        self.title, self.text, self.severity = title, text, severity
        super().__init__(context=context)

    def notify(self, context: Any) -> None:
        from pipelines import config
        from pipelines.clock import now
        from pipelines.errors import StoreUnavailable
        from pipelines.notify import channels, tell
        from pipelines.store import Warehouse

        settings, at = with_connections(config.settings()), now()
        notice = self.notice(context, settings, at)
        if notice is None:
            return
        ready = channels.configured(settings, at=at)
        warehouse = Warehouse.from_settings(settings)
        try:
            tell.enter(warehouse, notice, ready, settings.notify, at=at)
        except StoreUnavailable:
            if ready:
                tell.send_at_once(ready, notice)
            raise
        finally:
            warehouse.close()
            for channel in ready.values():
                channel.close()

    def notice(self, context: Mapping[str, Any], settings: Settings, at: Any) -> Notice | None:
        """What is told; None for a failure of the DAG that would have to tell it."""
        from pipelines.contracts.notices import Notice, Severity
        from pipelines.notify import happenings, tell

        house = tell.house_of(settings, lines_of(settings))
        ti, deadline = context.get("ti"), context.get("deadline")
        dag, run = _run(context.get("dag_run"), ti)
        if dag == happenings.OWN:
            return None
        task, piece, attempt = (getattr(ti, name, None) for name in ("task_id", "map_index", "try_number"))
        if self.title:
            about = sha256(f"{self.title}\n{self.text}".encode()).hexdigest()[:12]
            return Notice("airflow", None, Severity(self.severity), self.title, tuple(self.text.splitlines()),
                          f"airflow:{dag}/{run}:{task}:{piece}:{attempt}:{about}", at, house.dag(dag, run))
        if deadline:
            detail = {"dag": dag, "run": run, "deadline": str(deadline.get("deadline_time", ""))}
            return happenings.late(at, detail, house)
        error = context.get("exception")
        words = describe(error) if isinstance(error, BaseException) else str(
            error or context.get("reason") or "see its log")
        return happenings.failure(dag, run, str(task or "a task"), piece, _redacted(words), at, house,
                                  int(attempt or 1))


def _run(run: Any, ti: Any) -> tuple[str, str]:
    """DAG and run of a context: an object for tasks, a mapping for deadlines."""
    if isinstance(run, Mapping):
        return str(run.get("dag_id")), str(run.get("dag_run_id") or run.get("run_id"))
    source = run if run is not None else ti
    return str(getattr(source, "dag_id", None)), str(getattr(source, "run_id", None))


def _redacted(words: str) -> str:
    """What Airflow knows to be a secret is struck out, as in its logs."""
    from airflow.sdk.log import redact

    return str(redact(words))
