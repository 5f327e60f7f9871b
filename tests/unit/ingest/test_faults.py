"""Every provider meets every fault: the same facts as without it, or rows in quarantine, or an error with a remedy;
and no secret on any way to an error."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import timedelta
from functools import lru_cache

import pandas as pd
import pytest

from infra.fuzz.play import NAMES, rows_of
from infra.replay import Faults, Replay, World
from infra.replay import server as servers
from infra.replay.faults import FACTS, WIRE
from infra.replay.speak import TOKEN
from pipelines.config import Simulator
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.window import Window
from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import examine
from pipelines.ingest.simulator import SimulatorProvider
from tests.fixtures.replay import START

EACH = pytest.mark.parametrize("name", NAMES)
DAYS = 40
WINDOW = Window(START, START + timedelta(days=DAYS + 2))
SECRETS = ("news-secret-0123", "reddit-secret-0123", "x-secret-0123", TOKEN)
#: What each source tells of its kind of facts.
TOLD = {"fear_greed": ("name", ["fear_greed"]), "cboe": ("name", ["vix", "put_call"]),
        **dict.fromkeys(("rss", "newsapi"), ("kind", ["news"])),
        **dict.fromkeys(("reddit", "x", "stocktwits"), ("kind", ["post"]))}
#: Dates cannot be shifted by hours, only be written so that they are none; an instant can be said in any zone, and the
#: hour of a daily stamp means nothing.
ZONE = {**dict.fromkeys(("cboe", "equities"), "refused"), "exchange": "error"}


@lru_cache
def frames(name):
    """Enough rows of each kind that every fault strikes some."""
    simulator = SimulatorProvider(Simulator(days=DAYS, symbols=1, dirt=0))
    found = dict(simulator.fetch(WINDOW, simulator.kinds()).frames)
    bars, documents = found[Kind.BARS], found[Kind.DOCUMENTS].drop_duplicates("event_time")
    found[Kind.BARS] = bars.iloc[:90]
    if name == "equities":
        found[Kind.BARS] = bars.iloc[::24].assign(
            symbol="AAPL", interval="1d", available_at=lambda rows: rows["event_time"] + pd.Timedelta(days=1))
    found[Kind.DOCUMENTS] = pd.concat([documents[documents["kind"] == kind].iloc[:90] for kind in ("news", "post")])
    return found


@pytest.fixture
def world(pointed):
    """``world(name, faults)`` → a running server and the provider that asks it."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        def start(name, faults="", *, phase=1, **http):
            server = stack.enter_context(Replay(World(frames(name), phase=phase), Faults.parse(faults)))
            patience = {"timeout": 0.4 if "stall" in faults else 5, **http}
            settings = pointed(server, http={"rate": 1000, "burst": 1000, "backoff": 0, "overlap_hours": 0, **patience},
                               exchange={"symbols": "BTC/USDT", "page": 50})
            return server, providers.create(name, settings)

        yield start


def window_of(name):
    """An exchange is walked through to the end of the window."""
    return Window(START, START + timedelta(hours=90)) if name == "exchange" else WINDOW


def read(name, provider, window=None):
    """Good rows as texts by key, and how many were refused (pages that overlap bring a row twice)."""
    (kind,) = provider.kinds()
    batch = provider.fetch(window or window_of(name), [kind])
    checked = examine(kind, batch.frames[kind], name)
    width = len(SCHEMAS[kind].key)
    refused = {json.dumps(one.payload, sort_keys=True) for one in (*batch.refused, *checked.refused)}
    return {row[:width]: row[width + 1:] for row in rows_of(kind, checked.clean)}, len(refused)


def told(info):
    """All that a traceback would show, causes included."""
    return "".join(traceback.format_exception(info.value)) + repr(info.value)


def struck(name, server, kind, fault):
    rows = server.world.struck(kind, fault)
    column, values = TOLD.get(name, ("source", sorted(set(rows["source"]))))
    return rows[rows[column].isin(values) & (rows["available_at"] < window_of(name).end)]


@EACH
@pytest.mark.parametrize("fault", [*WIRE, "duplicate", "reordered"])
def test_what_passes_leaves_no_trace(world, name, fault):
    _, whole = world(name)
    server, provider = world(name, fault)
    assert read(name, provider) == read(name, whole)
    assert fault not in WIRE or server.faults.struck[fault] > 0


@EACH
@pytest.mark.parametrize("fault", ["nan", "huge", "hostile"])
def test_broken_facts_are_refused_or_kept_as_they_are_and_touch_no_other(world, name, fault):
    _, whole = world(name)
    server, provider = world(name, fault)
    (kind,) = provider.kinds()
    facts, _ = read(name, whole)
    found, refused = read(name, provider)
    hit = struck(name, server, kind, fault)
    assert len(hit) > 0
    assert found.keys() <= facts.keys()
    differ = {key for key in facts if found.get(key) != facts[key]}
    assert len(differ) <= len(hit)
    assert len(facts) - len(found) == refused
    if kind is not Kind.DOCUMENTS:  # of a text there may be a title left, and a hostile one may be a proper text
        assert refused == len(hit)


@EACH
@pytest.mark.parametrize("fault", ["late", "revised"])
def test_what_comes_later_is_there_with_the_next_reading(world, name, fault):
    _, whole = world(name)
    facts, _ = read(name, whole)
    server, provider = world(name, fault, phase=0)
    (kind,) = provider.kinds()
    before, _ = read(name, provider)
    server.world.phase = 1
    after, refused = read(name, provider)
    assert len(struck(name, server, kind, fault)) > 0
    assert before != facts
    assert (after, refused) == (facts, 0)


@EACH
def test_another_zone(world, name):
    _, whole = world(name)
    facts, _ = read(name, whole)
    _, provider = world(name, "zone")
    if ZONE.get(name) == "error":
        with pytest.raises(SourceError, match=r"zone are not what they were; .* has to learn"):
            read(name, provider)
        return
    found, refused = read(name, provider)
    assert (found, refused) == (({}, len(facts)) if ZONE.get(name) == "refused" else (facts, 0))


@EACH
@pytest.mark.parametrize("fault", WIRE)
def test_what_lasts_is_an_error_with_a_remedy_and_without_secrets(world, name, fault, caplog):
    caplog.set_level(logging.DEBUG)
    _, provider = world(name, f"{fault}!", attempts=2, timeout=0.2)
    with pytest.raises(SourceUnavailable, match=rf"^{name} .*failed 2 times, at last: .*; try again later") as info:
        read(name, provider)
    assert info.value.retryable
    assert not [secret for secret in SECRETS if secret in f"{told(info)} {caplog.text}"]


@EACH
@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_is_final_names_its_remedy_and_shows_no_secret(world, monkeypatch, name, status, caplog):
    """The server says back everything that it was told, as some do."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(servers, "answer", lambda request, world: (
        status, f"{request.headers} {request.query} {request.body!r}".encode(), "text/plain"))
    server, provider = world(name)
    with pytest.raises(SourceError, match=f"{name}|binance") as info:
        read(name, provider)
    assert "check" in str(info.value) or "again" in str(info.value)
    assert len(server.requests) == 1 or name == "exchange"
    assert not [secret for secret in SECRETS if secret in f"{told(info)} {caplog.text}"]


def test_all_faults_are_played():
    played = {*WIRE, "duplicate", "reordered", "nan", "huge", "hostile", "late", "revised", "zone"}
    assert played == {*WIRE, *FACTS}
