"""One round of notifications: what is new is noted, the digest is written when its hour has come, all is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipelines.config import Settings
from pipelines.config_notify import Notify
from pipelines.contracts.line import Line
from pipelines.contracts.notices import Channel, Notice, Severity
from pipelines.errors import ChannelError, ConfigError
from pipelines.notify import channels, digest, digest_text
from pipelines.notify.deliver import Delivered, deliver
from pipelines.notify.gather import gather, meant
from pipelines.notify.wording import House
from pipelines.store import Warehouse
from pipelines.store import notices as outbox


@dataclass(frozen=True)
class Round:
    """Keys that were new, and what each channel did."""

    found: tuple[str, ...]
    delivered: tuple[Delivered, ...]


def house_of(settings: Settings, lines: Mapping[str, Line]) -> House:
    return House(lines, settings.notify.airflow_link or settings.airflow_url or "")


def tell(warehouse: Warehouse, settings: Settings, lines: Mapping[str, Line], *, at: datetime,
         through: Mapping[str, Channel] | None = None) -> Round:
    """Note what is new and send what waits. Without a channel it is only noted: whoever configures one later is told
    what is found from then on.

    Args:
        at: wall clock of the caller.
        through: the channels; default: those that the settings configure. They are closed at the end.
    """
    ready = channels.configured(settings, at=at) if through is None else through
    try:
        found = gather(warehouse, house_of(settings, lines), settings.notify, ready, at=at)
        if ready and lines and settings.notify.digest and at.hour >= settings.notify.digest_hour:
            found += daily_digest(warehouse, settings, lines, ready, at=at)
        return Round(tuple(found), tuple(
            deliver(warehouse, channel, settings.notify, at=at) for channel in ready.values()))
    finally:
        for channel in ready.values():
            channel.close()


def daily_digest(warehouse: Warehouse, settings: Settings, lines: Mapping[str, Line], ready: Collection[str], *,
                 at: datetime) -> list[str]:
    """Write the digest of the last whole day of data, unless today's is written; its key, if it is new."""
    key = f"digest:{at:%Y-%m-%d}"
    with warehouse.begin() as connection:
        if outbox.known(connection, key):
            return []
    made = digest_text.notice(digest.collect(warehouse, lines.values(), digest.data_time(warehouse, at=at)), key)
    with warehouse.begin() as connection:  # whatever is muted: it has a switch of its own
        return outbox.add(connection, [made], {name: {key} for name in ready}, at=at)


def enter(warehouse: Warehouse, notice: Notice, ready: Collection[str], rules: Notify, *, at: datetime) -> list[str]:
    """Put one notice into the outbox, for these channels as far as they are to tell it; its key, if it is new."""
    with warehouse.begin() as connection:
        return outbox.add(connection, [notice], {name: meant(name, [notice], rules) for name in ready}, at=at)


def hello(at: datetime) -> Notice:
    """What `tidemark notify test` sends."""
    return Notice("test", None, Severity.INFO, "Notifications work", (
        "This was sent by `tidemark notify test`.", "What is told, and when: docs/notifications.md."),
        f"test:{at.isoformat()}", at)


def send_at_once(ready: Mapping[str, Channel], notice: Notice) -> dict[str, str | None]:
    """Send one notice past the outbox, through each channel; name → why it failed, None where it did not.

    Raises:
        ConfigError: no channel is configured.
    """
    if not ready:
        raise ConfigError("no channel is configured; set TIDEMARK_SMTP__HOST or TIDEMARK_WEBHOOK__URL, see "
                          "docs/notifications.md")
    results: dict[str, str | None] = {}
    for name, channel in ready.items():
        try:
            channel.send(notice)
            results[name] = None
        except ChannelError as error:
            results[name] = str(error)
        finally:
            channel.close()
    return results
