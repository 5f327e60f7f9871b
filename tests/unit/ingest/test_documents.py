"""Articles and posts over the protocols of their sources: clean they equal the facts row for row; with faults nothing
is lost, doubled or guessed, and no secret shows."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import timedelta
from itertools import pairwise

import pandas as pd
import pytest

from infra.replay.speak import TOKEN, message_id
from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from tests.fixtures.replay import ALL, START, truth
from tests.unit.ingest.test_indicators import spoil

NAMES = {"newsapi": "news", "reddit": "post", "x": "post", "stocktwits": "post"}
EACH = pytest.mark.parametrize("name", list(NAMES))
SECRETS = ("news-secret-0123", "reddit-secret-0123", "x-secret-0123", TOKEN)
#: The field with the text and the one with the time, as each source calls them, and the list they are in.
FIELDS = {"newsapi": ("articles", "title", "publishedAt"), "reddit": ("data.children", "title", "created_utc"),
          "x": ("data", "text", "created_at"), "stocktwits": ("messages", "body", "created_at")}


def fetch(name, settings, window=ALL):
    return providers.create(name, settings).fetch(window, [Kind.DOCUMENTS])


def documents(name, batch):
    good, bad = check(Kind.DOCUMENTS, batch.frames[Kind.DOCUMENTS], name)
    return dict(zip(good["doc_id"], zip(good["event_time"], good["text"], strict=True), strict=True)), bad


def identity(name, row):
    """How the source calls a document of the simulator."""
    return {"newsapi": lambda: hashlib.sha256(f"https://news.example/{row.doc_id}".encode()).hexdigest(),
            "stocktwits": lambda: str(message_id(row.event_time, row.doc_id))}.get(name, lambda: row.doc_id)()


def expected(name, rows=None):
    rows = truth(Kind.DOCUMENTS) if rows is None else rows
    return {identity(name, row): (row.event_time, row.text)
            for row in rows[rows["kind"] == NAMES[name]].itertuples()}


@EACH
def test_clean_it_is_the_facts_row_for_row(replay, pointed, name):
    server = replay()
    batch = fetch(name, pointed(server))
    found, bad = documents(name, batch)
    assert found == expected(name)
    assert not bad
    assert not batch.refused
    frame = batch.frames[Kind.DOCUMENTS]
    assert (frame["available_at"] == frame["event_time"]).all()
    assert set(frame["kind"]) == {NAMES[name]}
    assert frame["engagement"].isna().all()  # what a crawler counts later is never taken
    assert len(server.requests) > 3  # it had to turn pages


@EACH
def test_windows_put_together_are_the_whole(replay, pointed, name):
    settings = pointed(replay())
    together = {}
    edges = [ALL.start, START + timedelta(days=3), START + timedelta(days=7, minutes=17), ALL.end]
    for start, end in pairwise(edges):
        found, _ = documents(name, fetch(name, settings, Window(start, end)))
        assert not set(found) & set(together)
        together |= found
    assert together == expected(name)


@EACH
@pytest.mark.parametrize("faults", ["429,500,cut,truncate", "duplicate,reordered,zone,cut"])
def test_passing_faults_leave_no_trace(replay, pointed, name, faults):
    found, bad = documents(name, fetch(name, pointed(replay(faults))))
    assert found == expected(name)
    assert not bad


@EACH
def test_a_stall_is_left_behind(replay, pointed, name):
    server = replay("stall")
    start = START + timedelta(days=9)
    found, _ = documents(name, fetch(name, pointed(server), Window(start, ALL.end)))
    rows = truth(Kind.DOCUMENTS)
    assert found == expected(name, rows[rows["event_time"] >= start])
    assert server.faults.struck["stall"] >= 1


@EACH
@pytest.mark.parametrize("fault", ["429!", "500!", "cut!", "truncate!"])
def test_lasting_faults_are_a_clear_error_that_may_pass_and_show_no_secret(replay, pointed, name, fault, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceUnavailable, match=rf"{name} \(127.0.0.1/.*\) failed 2 times") as info:
        fetch(name, pointed(replay(fault), http={"attempts": 2, "backoff": 0, "timeout": 0.3, "rate": 100}))
    assert not [secret for secret in SECRETS if secret in f"{info.value!r} {caplog.text}"]


@EACH
def test_hostile_huge_and_missing_texts_touch_no_other(replay, pointed, name):
    server = replay("hostile,huge,nan")
    batch = fetch(name, pointed(server))
    found, bad = documents(name, batch)
    struck = {fault: set(expected(name, server.world.struck(Kind.DOCUMENTS, fault)))
              for fault in ("hostile", "huge", "nan")}
    assert all(struck.values())
    refused = {one.payload["doc_id"] for one in bad}
    assert struck["huge"] | struck["hostile"] <= refused  # too long; a NUL
    wanted = expected(name)
    untouched = set(wanted) - set().union(*struck.values())
    assert {key: found.get(key) for key in untouched} == {key: wanted[key] for key in untouched}
    assert set(found) | refused == set(wanted)
    assert not set(found) & refused


@EACH
def test_late_and_edited_texts_come_with_the_next_window_as_known_at_its_end(replay, pointed, name):
    server = replay("late,revised", phase=0)
    settings = pointed(server, http={"rate": 1000, "burst": 1000, "overlap_hours": 24})
    first, second = Window.day("2024-01-03"), Window.day("2024-01-04")
    before, _ = documents(name, fetch(name, settings, first))
    server.world.phase = 1
    frame = fetch(name, settings, second).frames[Kind.DOCUMENTS]
    again = frame[frame["event_time"] < second.start]
    assert set(again["available_at"]) == {pd.Timestamp(second.end - timedelta(microseconds=1))}
    news = {row.doc_id for row in again.itertuples() if before.get(row.doc_id, (None, None))[1] != row.text}
    struck = pd.concat([server.world.struck(Kind.DOCUMENTS, fault) for fault in ("late", "revised")])
    of_first = struck[(struck["event_time"] >= first.start) & (struck["event_time"] < first.end)]
    assert news == set(expected(name, of_first)) != set()


@EACH
def test_an_interrupted_fetch_goes_on_where_it_was(replay, pointed, name):
    server = replay()
    settings = pointed(server, http={"attempts": 1, "rate": 1000, "burst": 1000, "overlap_hours": 0})
    server.faults = _After(3)
    with pytest.raises(SourceUnavailable):
        fetch(name, settings)
    before = _asked(server)[:-1]  # the last one failed
    server.faults = _After(1000)
    server.requests.clear()
    found, _ = documents(name, fetch(name, settings))
    assert found == expected(name)
    assert before
    assert not set(before) & set(_asked(server))
    assert list((settings.home / "spool").iterdir()) == []


class _After:
    """A server that fails after so many answers."""

    def __init__(self, left):
        self.left = left

    def next(self):
        self.left -= 1
        return "500" if self.left < 0 else None


def _asked(server):
    return [json.dumps(one.query, sort_keys=True) for one in server.requests if one.method == "GET"]


@EACH
def test_another_shape_names_provider_and_field(replay, pointed, monkeypatch, name):
    where, words, time = FIELDS[name]
    settings = pointed(replay())
    for field in (where.rsplit(".", maxsplit=1)[-1], words, time):
        with monkeypatch.context() as patch:
            spoil(patch, lambda body, field=field: body.replace(f'"{field}":'.encode(), b'"renamed":'))
            with pytest.raises(SourceError, match=rf"{name} has changed its shape: .*{field} is (missing|\w+, not)"):
                fetch(name, settings)


@EACH
def test_one_unreadable_record_is_refused_with_what_came(replay, pointed, monkeypatch, name):
    where, _, time = FIELDS[name]
    broken = []

    def change(body):
        answer = json.loads(body)
        found = answer
        for part in where.split("."):
            found = found.get(part, []) if isinstance(found, dict) else []
        for record in found[:1] if not broken else []:
            target = record["data"] if name == "reddit" else record
            target[time] = "the day before yesterday"
            broken.append(target)
        return json.dumps(answer).encode()

    spoil(monkeypatch, change)
    batch = fetch(name, pointed(replay()))
    assert [one.payload[time] for one in batch.refused] == ["the day before yesterday"]
    assert "the day before yesterday" in batch.refused[0].reason
    assert len(documents(name, batch)[0]) == len(expected(name)) - 1


@pytest.mark.parametrize(("name", "group", "match"), [
    ("newsapi", {"key": None}, "TIDEMARK_NEWSAPI__KEY"),
    ("reddit", {"client_secret": None}, "TIDEMARK_REDDIT__SUBREDDITS"),
    ("x", {"token": None}, "TIDEMARK_X__TOKEN"),
    ("stocktwits", {"symbols": " "}, "TIDEMARK_STOCKTWITS__SYMBOLS"),
])
def test_missing_settings_are_named(name, group, match):
    full = {"client_id": "reader", **group} if name == "reddit" else group
    with pytest.raises(ConfigError, match=match):
        providers.create(name, Settings(**{name: full}))


def test_refused_credentials_are_final_and_not_shown(replay, pointed, monkeypatch):
    from infra.replay import server as servers

    monkeypatch.setattr(servers, "answer", lambda request, world: (
        403, json.dumps({"message": f"bad key {request.headers.get('X-Api-Key')}"}).encode(), "application/json"))
    server = replay()
    with pytest.raises(SourceError, match=r"newsapi .* refused: HTTP 403 .*bad key \*\*\*.*check its cred") as info:
        fetch("newsapi", pointed(server))
    assert not info.value.retryable
    assert len(server.requests) == 1  # trying again would not have helped
    assert "news-secret" not in str(info.value)
