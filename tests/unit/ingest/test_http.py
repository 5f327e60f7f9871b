"""The client: it waits as asked, tries again only what can help, and is bounded in time and size."""

from __future__ import annotations

import gzip
import socket

import pytest
from pydantic import SecretStr

from infra.replay import server as servers
from pipelines.config_sources import Http
from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest.http import Client, TokenBucket, retry_after

QUICK = {"rate": 1000, "burst": 1000, "backoff": 0.5, "timeout": 0.5}


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(round(seconds, 6))
        self.now += seconds


def client(server, time=None, *, base=None, secrets=(), draw=lambda: 0.0, **options):
    time = time or Time()
    return Client("somebody", base or server.url, Http(**{**QUICK, **options}), sleep=time.sleep, clock=time.clock,
                  secrets=secrets, draw=draw)


def say(monkeypatch, *spoken):
    """Answer with these in turn, then with the last of them."""
    left = list(spoken)
    monkeypatch.setattr(servers, "answer", lambda request, world: left.pop(0) if len(left) > 1 else left[0])


def test_the_bucket_lets_a_burst_through_and_then_the_rate():
    time = Time()
    bucket = TokenBucket(2.0, 3, clock=time.clock, sleep=time.sleep)
    for _ in range(5):
        bucket.take()
    assert time.slept == [0.5, 0.5]
    time.now += 100
    for _ in range(3):
        bucket.take()
    assert time.slept == [0.5, 0.5]


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:27:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
    ({"retry-after": "soon"}, None), ({"retry-after": "-3"}, None), ({"retry-after": "9" * 40}, None), ({}, None),
])
def test_retry_after(headers, seconds):
    assert retry_after(headers) == seconds


def test_it_waits_as_long_as_it_was_asked_to(replay):
    server, time = replay("429", retry_after="7"), Time()
    assert client(server, time).json("/fng/", {"limit": 1})["data"]
    assert time.slept == [7.0]


def test_a_wait_too_long_is_left_to_the_scheduler(replay):
    server, time = replay("429", retry_after="3600"), Time()
    with pytest.raises(SourceUnavailable, match=r"asks to wait 3600 s .*TIDEMARK_HTTP__LONGEST_WAIT"):
        client(server, time).json("/fng/")
    assert time.slept == []


@pytest.mark.parametrize(("draws", "slept"), [
    ([1.0] * 4, [0.5, 1.0, 2.0, 4.0]), ([0.0] * 4, [0.0] * 4), ([0.5, 0.25, 0.75, 0.125], [0.25, 0.25, 1.5, 0.5]),
])
def test_it_waits_for_a_drawn_part_of_twice_as_long_each_time_and_then_gives_up(replay, draws, slept):
    server, time = replay("500!"), Time()
    with pytest.raises(SourceUnavailable, match="failed 5 times, at last: HTTP 500"):
        client(server, time, draw=iter(draws).__next__).json("/fng/")
    assert time.slept == slept
    assert len(server.requests) == 5


def test_the_backoff_stops_growing_at_the_longest_wait(replay):
    time = Time()
    with pytest.raises(SourceUnavailable, match="failed 5 times"):
        client(replay("500!"), time, draw=lambda: 1.0, longest_wait=1.5).json("/fng/")
    assert time.slept == [0.5, 1.0, 1.5, 1.5]


@pytest.mark.parametrize(("draw", "slept"), [(0.0, [7.0] * 3), (0.5, [7.25, 7.5, 8.0])])
def test_jitter_comes_on_top_of_what_the_server_asked_for(replay, draw, slept):
    time = Time()
    with pytest.raises(SourceUnavailable, match="failed 4 times, at last: HTTP 429"):
        client(replay("429!", retry_after="7"), time, draw=lambda: draw, attempts=4).json("/fng/")
    assert time.slept == slept


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 422])
def test_what_cannot_help_is_not_tried_again(replay, monkeypatch, status):
    server = replay()
    say(monkeypatch, (status, b"no\x00\x1b[31m", "text/plain"))
    with pytest.raises(SourceError, match=f"refused: HTTP {status} 'no") as info:
        client(server).json("/fng/")
    assert not info.value.retryable
    assert len(server.requests) == 1
    assert str(info.value).isprintable()


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(SourceUnavailable, match="failed 2 times, at last: ConnectError"):
        client(None, base=url, attempts=2).json("/x")


@pytest.mark.parametrize("base", ["http://", "ftp://127.0.0.1", "http://[::1"])
def test_no_address_is_final(base):
    with pytest.raises(SourceError) as info:
        client(None, base=base, attempts=1).json("/x")
    assert not info.value.retryable


def test_an_answer_too_large_is_cut_short_even_if_it_was_squeezed(replay, monkeypatch):
    server = replay()
    monkeypatch.setattr(servers, "answer", lambda request, world: (
        200, gzip.compress(b"[" + b" " * 3_000_000 + b"]"), "application/json"))
    real = servers._Handler._send
    monkeypatch.setattr(servers._Handler, "_send", lambda self, status, body, type_, **rest: real(
        self, status, body, type_, {"Content-Encoding": "gzip"}, **rest))
    with pytest.raises(SourceError, match="sent more than 100000 bytes"):
        client(server, most_bytes=100_000).json("/x")
    assert client(server).json("/x") == []


def test_an_answer_that_drips_ends_with_its_deadline(replay, monkeypatch):
    server, time = replay(), Time()
    say(monkeypatch, (200, b"[" + b"1," * 200_000 + b"1]", "application/json"))

    def clock():
        time.now += 10
        return time.now

    slow = Client("somebody", server.url, Http(**QUICK, attempts=1, deadline=15), sleep=time.sleep, clock=clock)
    with pytest.raises(SourceUnavailable, match="no whole answer within 15 s"):
        slow.json("/x")


@pytest.mark.parametrize(("body", "error", "match"), [
    (b'{"a": [1, 2', SourceUnavailable, "cut off or broken"),
    (b"<html>maintenance</html>", SourceError, "did not answer with JSON but with '<html>"),
    (b"", SourceError, "did not answer with JSON"),
    (b"[" * 200_000, SourceError, "did not answer with JSON"),
])
def test_not_json(replay, monkeypatch, body, error, match):
    say(monkeypatch, (200, body, "application/json"))
    with pytest.raises(error, match=match):
        client(replay(), attempts=2).json("/x")


def test_json_that_was_cut_once_is_asked_for_again(replay, monkeypatch):
    say(monkeypatch, (200, b'{"a": [1, 2', "application/json"), (200, b'{"a": [1, 2]}', "application/json"))
    assert client(replay()).json("/x") == {"a": [1, 2]}


def test_bytes_that_are_no_utf8_touch_only_their_own_text(replay, monkeypatch):
    say(monkeypatch, (200, b'["caf\xe9", "fine"]', "application/json"))
    assert client(replay(), attempts=1).json("/x") == ["caf\udce9", "fine"]  # the checks refuse half surrogates


def test_secrets_are_struck_out(replay, monkeypatch):
    say(monkeypatch, (400, b"your token s3cr3t-t0ken is old", "text/plain"))
    with pytest.raises(SourceError, match=r"your token \*\*\* is old") as info:
        client(replay(), secrets=[SecretStr("s3cr3t-t0ken"), None]).json("/x", {"key": "in-the-query"})
    assert "in-the-query" not in str(info.value)


@pytest.mark.parametrize("before", range(100, 124))
def test_a_secret_is_struck_out_before_what_was_said_is_cut(replay, monkeypatch, before):
    say(monkeypatch, (400, b"x" * before + b" s3cr3t-t0ken", "text/plain"))
    with pytest.raises(SourceError) as info:
        client(replay(), secrets=[SecretStr("s3cr3t-t0ken")]).json("/x")
    assert "s3c" not in str(info.value)


def test_a_secret_at_a_torn_end_is_struck_out(replay, monkeypatch):
    say(monkeypatch, (200, b"rows and s3cr3t-t0ken-0123456789 torn", "text/csv"))
    with pytest.raises(SourceUnavailable, match="its text is cut off") as info:
        client(replay(), attempts=1, secrets=[SecretStr("s3cr3t-t0ken-0123456789")]).text("/x", ending="end")
    assert "456789" not in str(info.value)


@pytest.mark.parametrize("token", ["s3cr3t\nHost: elsewhere", "s3cr3t\u0663", "s3cr3t\x00"])
def test_a_credential_that_no_header_can_hold_is_an_error_that_does_not_show_it(token):
    with pytest.raises(SourceError, match=r"somebody: the value of the header Auth.* check its cred") as info:
        Client("somebody", "http://127.0.0.1:9", Http(), headers={"Authorization": f"Bearer {token}"})
    assert "s3cr3t" not in str(info.value)
