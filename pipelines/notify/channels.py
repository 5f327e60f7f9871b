"""The channels. A new one is one file and one line here (and its settings in ``config_notify``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pipelines.config import Settings
from pipelines.contracts.notices import Channel
from pipelines.notify.smtp import SmtpChannel
from pipelines.notify.webhook import WebhookChannel

#: Name → the channel, or None where it is not configured.
CHANNELS: dict[str, Callable[[Settings, datetime], Channel | None]] = {
    "smtp": SmtpChannel.from_settings,
    "webhook": WebhookChannel.from_settings,
}


def configured(settings: Settings, *, at: datetime) -> dict[str, Channel]:
    """The channels that are configured, by name.

    Args:
        at: wall clock of the caller (UTC), the date of what is sent.
    """
    made = {name: make(settings, at) for name, make in CHANNELS.items()}
    return {name: channel for name, channel in made.items() if channel is not None}
