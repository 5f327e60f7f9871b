"""The webhook, spoken with a real HTTP server: limits, faults, and no secret in anything that is said."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.config import Settings
from pipelines.config_notify import Webhook
from pipelines.contracts.notices import Notice, Severity
from pipelines.errors import ChannelError, ChannelUnavailable
from pipelines.notify import render
from pipelines.notify.webhook import WebhookChannel
from tests.fixtures.mailbox import HookServer

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def notice(title: str = "tide_1h: v3 is champion", body: tuple[str, ...] = ("It is better.",), **more: Any) -> Notice:
    return Notice("champion", "tide_1h", Severity.INFO, title, body, "k1", AT, **more)


def channel(url: str, waited: list[float] | None = None, **options: Any) -> WebhookChannel:
    slept = waited if waited is not None else []
    return WebhookChannel(Webhook.model_validate({"url": url, "timeout": 0.3} | options), sleep=slept.append)


def test_slack_gets_text_and_blocks(hook: HookServer) -> None:
    channel(hook.url).send(notice(body=("one", "two", "", "three <!channel> & co"), link="https://air.example/dags/x"))
    (taken,) = hook.taken
    assert taken["text"] == "tide_1h: v3 is champion"
    header, first, second, foot = taken["blocks"]
    assert header == {"type": "header", "text": {"type": "plain_text", "text": "tide_1h: v3 is champion"}}
    assert first["text"] == {"type": "mrkdwn", "text": "one\ntwo"}
    assert second["text"]["text"] == "three &lt;!channel&gt; &amp; co"
    assert foot["elements"][0]["text"].endswith("2026-03-01 12:00 UTC · <https://air.example/dags/x|open>")
    assert hook.paths == [f"/services/{HookServer.SECRET}"]


@pytest.mark.parametrize("faults", [[500], [503, 429], ["cut"], ["stall", 502], [(429, {"Retry-After": "7"})]])
def test_what_may_pass_is_tried_again(hook: HookServer, faults: list[Any]) -> None:
    hook.faults.extend(faults)
    waited: list[float] = []
    channel(hook.url, waited).send(notice())
    assert len(hook.taken) == 1
    assert len(hook.paths) == len(waited) + 1 == len(faults) + 1
    if isinstance(faults[0], tuple):
        assert waited == [7]


@pytest.mark.parametrize(("faults", "requests", "wait"), [
    ([500] * 9, 3, None), (["cut"] * 9, 3, None), ([(429, {"Retry-After": "3600"})], 1, 3600.0),
    ([(429, {"Retry-After": "2"})] * 9, 3, 2.0)])
def test_what_does_not_pass_is_left_to_a_later_round(hook: HookServer, faults: list[Any], requests: int,
                                                     wait: float | None) -> None:
    hook.faults.extend(faults)
    with pytest.raises(ChannelUnavailable) as info:
        channel(hook.url).send(notice())
    assert info.value.wait == wait
    assert (len(hook.paths), hook.taken) == (requests, [])


@pytest.mark.parametrize(("status", "remedy"), [
    (400, "Slack-compatible"), (401, "make a new one"), (403, "make a new one"), (404, "correct its address"),
    (410, "make a new one"), (413, "too long"), (418, "TIDEMARK_WEBHOOK__URL"), (302, "it has moved")])
def test_a_refusal_names_its_remedy_and_is_not_repeated(hook: HookServer, status: int, remedy: str) -> None:
    hook.faults.append(status)
    with pytest.raises(ChannelError, match=f"HTTP {status}.*{remedy}") as info:
        channel(hook.url).send(notice())
    assert not info.value.retryable
    assert len(hook.paths) == 1


def test_the_address_is_a_secret(hook: HookServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for faults in ([404], [500] * 3, ["cut"] * 3, ["stall"] * 3, []):
        hook.faults.extend(faults)
        try:
            channel(hook.url).send(notice())
        except ChannelError as error:
            said.append(str(error))
    with pytest.raises(ChannelUnavailable) as info:
        channel(f"http://127.0.0.1:1/services/{HookServer.SECRET}").send(notice())
    assert len(said) == 4
    whole = f"{said} {info.getrepr(chain=True, style='native')} {caplog.text} {channel(hook.url)._options!r}"
    assert [part for part in HookServer.SECRET.split("/") if len(part) > 7 and part in whole] == []


@pytest.mark.parametrize(("url", "says"), [
    ("http://hooks.example.org/x", "not https"), ("ftp://hooks.example.org/x", "begin with https"),
    ("https://u:p@hooks.example.org/x", "no user or password"), ("https://[::1/x", "cannot be read"),
    ("https:///x", "begin with https")])
def test_addresses_that_are_not_safe_are_refused(url: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Webhook(url=url)
    assert Webhook(url="http://hooks.example.org/x", allow_http=True).configured
    assert Webhook(url="http://[::1]:80/x").configured


def test_without_an_address_there_is_no_channel() -> None:
    assert WebhookChannel.from_settings(Settings(), AT) is None


@settings(max_examples=40)
@given(st.text(max_size=200),
       st.lists(st.text(max_size=40) | st.sampled_from(["", "&" * 4000, "<x>" * 900]), max_size=99),
       st.text(max_size=40) | st.just("https://air.example/dags/x"))
def test_any_text_stays_within_slacks_limits_and_is_never_markup(title: str, body: list[str], link: str) -> None:
    made = render.slack(notice(title, tuple(body), link=link))
    json.dumps(made)
    assert len(made["blocks"]) <= render.MOST_BLOCKS
    for block in made["blocks"][1:-1]:
        assert 0 < len(block["text"]["text"]) <= render.MOST_SECTION
        assert not set("<>") & set(block["text"]["text"])
    assert len(made["blocks"][0]["text"]["text"]) <= render.MOST_HEADER
    assert "\n" not in made["text"]
    page = render.html(notice(title, tuple(body), link=link))
    assert page.count("<a ") == (made["blocks"][-1]["elements"][0]["text"].count("|open>"))
    assert "<script" not in page
