"""Pages that were mutated at random: rows, refusals or a clear error, and never anything else; nothing lost, nothing
doubled. `python -m infra.studies.ingest_fuzz` is the long run of the same."""

from __future__ import annotations

import json
import os

import httpx
import pytest
from typer.testing import CliRunner

from infra.fuzz import account, mutate, play, stored
from infra.fuzz.wire import connected
from infra.studies import ingest_fuzz
from pipelines.contracts.ports import Batch
from pipelines.errors import TidemarkError
from pipelines.ingest.http import Client

COUNT = int(os.environ.get("MUTATIONS", "60"))
EACH = pytest.mark.parametrize("name", play.NAMES)


@EACH
def test_rows_refusals_or_a_clear_error(tmp_path, name):
    tally = play.fuzz(name, COUNT, 7, tmp_path)
    assert tally.faults == []
    assert tally.payloads >= COUNT
    assert tally.read > COUNT / 5
    assert tally.errors > 0
    assert tally.refused > 0


@EACH
def test_a_clean_run_afterwards_sets_the_warehouse_right(tmp_path, warehouse, name):
    tally = stored.fuzz(name, 4, 7, tmp_path, warehouse)
    assert tally.faults == []
    assert tally.fetches > 1


def over_the_socket(player):
    """The same wire, but the request leaves the process and comes back."""
    from infra.replay import Replay, server

    wire = player.wire
    real = server.answer

    def answer(request, world):
        from urllib.parse import urlencode

        asked = httpx.Request(request.method, f"http://replay{request.path}?{urlencode(request.query)}",
                              headers=request.headers, content=request.body)
        response = wire.handle_request(asked)
        return response.status_code, response.content, response.headers["content-type"]

    return Replay(wire.world), real, answer


@EACH
def test_over_a_real_socket_it_is_the_same(tmp_path, monkeypatch, name):
    """The in-process wire hides nothing: the same cases end in the same rows and errors through the kernel."""
    from infra.replay import server as servers
    from pipelines.ingest import providers

    player = play.Player(name, tmp_path / "one", 7)
    replay, _, answer = over_the_socket(player)
    monkeypatch.setattr(servers, "answer", answer)
    with replay:
        far = providers.create(name, play.settings(tmp_path / "two", replay.url))
        player.wire.change = None
        far.fetch(player.window, [player.kind])  # the other one has its markets already, too
        for number in range(1, 13):
            ends = []
            for provider in (player.provider, far):
                window = player.spoil(number)
                try:
                    if provider is far:
                        batch = far.fetch(window, [player.kind])
                    else:
                        with connected(player.wire):
                            batch = provider.fetch(window, [player.kind])
                    ends.append((play.rows_of(player.kind, batch.frames[player.kind]), len(batch.refused)))
                except TidemarkError as error:
                    ends.append(type(error))
            assert ends[0] == ends[1], number


def spoiled(monkeypatch, name, how):
    """A provider with a fault that the account has to find."""
    from pipelines.ingest import network

    real = network.NetworkProvider.fetch

    def fetch(self, window, kinds, symbols=None):
        batch = real(self, window, kinds, symbols)
        (kind,) = batch.frames
        return Batch({kind: how(batch.frames[kind])}, batch.refused)

    monkeypatch.setattr(network.NetworkProvider, "fetch", fetch)


@pytest.mark.parametrize(("name", "how", "found"), [
    ("x", lambda frame: frame.iloc[:-1] if len(frame) == 7 else frame, "the payload holds"),
    ("fear_greed", lambda frame: frame.iloc[[*range(len(frame)), 0]] if len(frame) == 11 else frame, "doubled"),
    ("cboe", lambda frame: frame.assign(value=1.0) if len(frame) == 19 else frame, "untouched, but lost or changed"),
    ("newsapi", lambda frame: frame.iloc[:0] / 0 if len(frame) == 7 else frame, "crashed"),
])
def test_the_account_finds_what_is_wrong(monkeypatch, tmp_path, name, how, found):
    spoiled(monkeypatch, name, how)
    tally = play.fuzz(name, 150, 7, tmp_path)
    assert any(found in fault for fault in tally.faults), tally.faults


def test_it_finds_a_provider_that_never_ends(monkeypatch, tmp_path):
    player = play.Player("x", tmp_path, 7)
    monkeypatch.setattr(play, "PATIENCE", 0.2)
    monkeypatch.setattr(Client, "json", lambda self, *_, **__: [None for _ in iter(int, 1)])
    tally = play.Tally("x")
    player.play(1, tally)
    assert tally.faults == ["case 1: took longer than 0.2 s"]


def test_the_same_number_is_the_same_case(tmp_path):
    tallies = [play.fuzz("x", 30, 7, tmp_path / str(place)) for place in range(2)]
    assert tallies[0].rows == tallies[1].rows
    assert play.fuzz("x", 30, 8, tmp_path / "other").rows != tallies[0].rows


@pytest.mark.parametrize("form", list(mutate.FORMS))
def test_every_way_of_mutation_changes_something(form):
    import random

    bodies = {"json": json.dumps({"data": [{"id": f"{place}", "created_at": "2024-01-01T00:00:00Z", "n": 1704067200}
                                           for place in range(5)]}).encode(),
              "csv": b"small print\r\nDATE,OPEN,CLOSE\r\n"
                     + b"01/02/2024,1.5,2.5\r\n01/03/2024,1.5,2.5\r\n01/04/2024,1.0,2\r\n" * 2,
              "xml": b'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
                     + b"".join(b'<item><title>one %d</title><guid isPermaLink="false">%d</guid><pubDate>Tue, 02 Jan '
                                b"2024 10:00:00 GMT</pubDate></item>" % (place, place) for place in range(3))
                     + b"</channel></rss>"}
    for place, change in enumerate((*mutate.BYTES, *mutate.FORMS[form])):
        changed = [change(random.Random(seed), bodies[form]) != bodies[form] for seed in range(40)]
        assert any(changed), (place, change)


def test_the_account_reads_what_it_says():
    page = account.page("x", "/", b'{"data": [{"id": "a"}, 5], "meta": {}}')
    assert (page.count, [name for _, name in page.records]) == (2, ["a"])
    assert account.page("x", "/", b'{"datum": []}') is None
    assert account.page("rss", "/", b"<rss><channel><item><title>a</item><item/></rss>").count == 2
    assert account.page("rss", "/", b"<rss><!-- <item> --><item/></rss>").count == 1
    assert account.page("equities", "/", b"small print\nDate,Open\r\n2024-01-01,1\r\n,\r\n2024-01-02").count == 2


def test_the_command_plays_a_case_again():
    done = CliRunner().invoke(ingest_fuzz_app(), ["--provider", "x", "--case", "3", "--json"])
    assert done.exit_code == 0, done.output
    (tally,) = json.loads(done.stdout)["read"]
    assert (tally["provider"], tally["fetches"]) == ("x", 1)


def ingest_fuzz_app():
    import typer

    app = typer.Typer()
    app.command()(ingest_fuzz.main)
    return app
