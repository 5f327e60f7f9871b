"""The settings of notifications: what is told, and the channels that tell it, one group each (``TIDEMARK_SMTP__HOST``
and so on).

A channel is configured as soon as its address is set. Passwords and the webhook's address (whoever knows it can write
there) are ``SecretStr``.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from pipelines.config_sources import listed


class Notify(BaseModel):
    """What is told, and how much of it.

    Attributes:
        least: notices below this severity are noted, not sent.
        mute: kinds that are noted, not sent; see docs/notifications.md for the kinds.
        fold_above: so many messages of one kind about one line within ``fold_minutes`` are sent one by one; what comes
            on top becomes one message.
        digest: whether the daily digest is sent; digest_hour: from which hour of the UTC day on.
        airflow_link: address of Airflow as people reach it, for the links; default: TIDEMARK_AIRFLOW_URL.
    """

    least: Literal["info", "warning", "critical"] = "info"
    mute: str = ""
    fold_above: int = Field(default=5, ge=1, le=1000)
    fold_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    digest: bool = True
    digest_hour: int = Field(default=6, ge=0, le=23)
    airflow_link: str = ""

    @property
    def muted(self) -> frozenset[str]:
        return frozenset(listed(self.mute))


class Smtp(BaseModel):
    """Mail. Configured when ``host`` is set; then ``sender`` and ``recipients`` are needed.

    Attributes:
        security: ``starttls`` (a server that does not offer it is refused), ``ssl``, or ``none``, which is for a relay
            on this machine unless ``allow_plain``.
        ca_file: certificates to trust instead of the system's.
        timeout: seconds for each step of the conversation.
    """

    host: str = ""
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "ssl", "none"] = "starttls"
    username: str = ""
    password: SecretStr | None = None
    sender: str = ""
    recipients: str = ""
    ca_file: Path | None = None
    allow_plain: bool = False
    timeout: float = Field(default=10.0, gt=0, le=300)

    @property
    def configured(self) -> bool:
        return bool(self.host)

    @field_validator("sender", "recipients")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in listed(value):
            name, _, domain = address.partition("@")
            plain = address.isascii() and address.isprintable() and not set('<>()[]:;"\\') & set(address)
            if not (name and domain and plain):
                raise ValueError("write plain addresses such as ops@example.org, separated by spaces or commas")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Smtp:
        if not self.configured:
            return self
        if len(listed(self.sender)) != 1 or not listed(self.recipients):
            raise ValueError("mail needs one sender and at least one of recipients beside the host")
        if bool(self.username) != bool(self.password and self.password.get_secret_value()):
            raise ValueError("a login needs username and password; set both or neither")
        if self.security == "none" and not self.allow_plain and not loopback(self.host):
            raise ValueError("security none sends in the clear and is for a relay on this machine; use starttls or "
                             "ssl, or set allow_plain")
        return self


class Webhook(BaseModel):
    """A Slack-compatible incoming webhook (Slack, Mattermost, Rocket.Chat, Discord's ``/slack``). Configured when
    ``url`` is set. ``allow_http``: also without TLS to another machine."""

    url: SecretStr | None = None
    allow_http: bool = False
    timeout: float = Field(default=10.0, gt=0, le=300)
    attempts: int = Field(default=3, ge=1, le=10)
    longest_wait: float = Field(default=20.0, ge=0, le=300)

    @property
    def configured(self) -> bool:
        return bool(self.url and self.url.get_secret_value())

    @model_validator(mode="after")
    def _safe(self) -> Webhook:
        if not self.configured:
            return self
        try:
            parts = urlsplit(self.url.get_secret_value() if self.url else "")
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("the webhook's address cannot be read; copy it anew") from None
        if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc:
            raise ValueError("the webhook's address has to begin with https:// and to hold no user or password")
        if parts.scheme == "http" and not self.allow_http and not loopback(host):
            raise ValueError("the webhook's address is not https; use https, or set allow_http")
        return self


def loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
