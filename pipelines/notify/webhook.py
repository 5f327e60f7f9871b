"""A Slack-compatible incoming webhook: one POST of JSON for each notice (docs.slack.dev, Incoming webhooks)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipelines.config import Settings
from pipelines.config_notify import Webhook
from pipelines.config_sources import Http
from pipelines.contracts.notices import Notice, one_line
from pipelines.errors import ChannelError, ChannelUnavailable, SourceError, SourceUnavailable
from pipelines.ingest.http import PASSING, Answer, Client, retry_after
from pipelines.notify import render

#: Statuses that are looked at here, instead of being an error of the client.
_LOOKED_AT = tuple(range(300, 600))
_PAUSE, _SHOWN = 0.5, 120
_REMEDIES = {
    400: "it does not take such messages: is it a Slack-compatible webhook?",
    401: "its address is not valid any more: make a new one",
    403: "its address is not valid any more, or the app may not post there: make a new one",
    404: "there is no such webhook: correct its address",
    405: "that page takes no posts: correct its address",
    410: "the webhook or its place is gone: make a new one",
    413: "the message is too long for it"}


class WebhookChannel:
    """Tells by HTTP. 429, 5xx and cut connections are tried again on the spot, what else is refused is not.

    Args:
        sleep: how to wait between two tries.
    """

    name = "webhook"

    def __init__(self, options: Webhook, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._options, self._sleep = options, sleep
        address = options.url.get_secret_value() if options.url else ""
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._secrets = [part for part in (address, f"{parts.path}?{parts.query}", parts.path, parts.query,
                                           *parts.path.split("/")) if len(part) > 7]
        self._client = Client(
            "webhook", address, Http(timeout=options.timeout, deadline=3 * options.timeout, attempts=1, rate=5, burst=5,
                                     most_bytes=100_000),
            headers={"Content-Type": "application/json; charset=utf-8"},
            secrets=[SecretStr(part) for part in self._secrets])

    @classmethod
    def from_settings(cls, settings: Settings, at: datetime) -> WebhookChannel | None:
        """The channel, if it is configured."""
        return cls(settings.webhook) if settings.webhook.configured else None

    def send(self, notice: Notice) -> None:
        """See ``contracts.notices.Channel``. Taken means 2xx."""
        body = json.dumps(render.slack(notice), ensure_ascii=True).encode()
        for attempt in range(1, self._options.attempts + 1):
            last = attempt == self._options.attempts
            try:
                answer = self._client.request("", method="POST", content=body, accept=_LOOKED_AT)
            except SourceUnavailable as error:
                if last:
                    raise ChannelUnavailable(self._named(f"cannot be reached right now: {error}")) from None
                self._sleep(_PAUSE * 2 ** (attempt - 1))
                continue
            except SourceError as error:
                raise ChannelError(self._named(f"cannot be used: {error}")) from None
            if 200 <= answer.status < 300:
                return
            self._sleep(self._pause(answer, attempt, last))

    def close(self) -> None:
        self._client.__exit__(None, None, None)

    def _pause(self, answer: Answer, attempt: int, last: bool) -> float:
        """Seconds until the next try.

        Raises:
            ChannelError: another try cannot help, now (ChannelUnavailable) or ever.
        """
        said = one_line(self._clean(answer.text), _SHOWN)
        if answer.status not in PASSING:
            remedy = "it has moved: correct its address" if answer.status < 400 else _REMEDIES.get(
                answer.status, "check its address (TIDEMARK_WEBHOOK__URL, or the Connection tidemark_webhook)")
            raise ChannelError(self._named(f"refused: HTTP {answer.status} {said!r}; {remedy}"))
        asked = retry_after(answer.headers)
        wait = asked if asked is not None else _PAUSE * 2 ** (attempt - 1)
        if last or wait > self._options.longest_wait:
            raise ChannelUnavailable(self._named(f"cannot take messages right now: HTTP {answer.status} {said!r}"),
                                     asked)
        return wait

    def _named(self, words: str) -> str:
        return f"the webhook at {self._host} {self._clean(words)}"

    def _clean(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return words
