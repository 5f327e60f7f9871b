"""Pages that were mutated at random: rows, refusals or a clear error, and never anything else; rows that were not
touched come through unchanged."""

from __future__ import annotations

import json
import os
import random
from urllib.parse import parse_qsl, urlsplit

import pytest

from infra.replay.speak import TOKEN, Request, answer
from infra.replay.world import World
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.window import Window
from pipelines.errors import SourceError
from pipelines.ingest import http, providers
from pipelines.ingest.checks import check
from pipelines.ingest.payload import payload
from tests.fixtures.replay import START, truth

#: Per provider and way of mutation; `MUTATIONS=5000 pytest tests/unit/ingest/test_mutations.py` is a long run.
COUNT = int(os.environ.get("MUTATIONS", "20"))
WINDOW = Window(START, START.replace(day=3))
NAMES = ("exchange", "fear_greed", "cboe", "rss", "newsapi", "reddit", "x", "stocktwits", "equities")
JUNK = [None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", " ", "\x00", "\ud800", "x" * 200_000, "NaN",
        "1e999", "٣", [], {}, [[]], {"": None}, "2024-01-01", "2024-02-30T00:00:00Z", 1704067200, 1704067200000,
        "1704067200", [1, 2, 3], {"name": 5}, "\u202e<script>", -62135596800, 253402300800000]


class Server:
    """An address; nothing is sent there."""

    url = "http://127.0.0.1:9"


def _bytes(rng, body):
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(body) + 1)
        match rng.randrange(5):
            case 0:
                body = body[:place] + bytes([rng.randrange(256)]) + body[place + 1:]
            case 1:
                body = body[:place] + body[place + rng.randint(1, 40):]
            case 2:
                body = body[:place] + rng.randbytes(rng.randint(1, 6)) + body[place:]
            case 3:
                body = body[:place] + rng.choice([b"\x00", b"\xff", b"&#0;", b"<", b'"', b"\\ud800", b"]]>", b",,"]) \
                    + body[place:]
            case 4:
                body = body[:place] + body[rng.randrange(len(body) + 1):][:60] + body[place:]
    return body


def _tree(rng, body):
    try:
        page = json.loads(body)
    except ValueError:
        return _bytes(rng, body)
    places = []

    def visit(node):
        for key in (node if isinstance(node, dict) else range(len(node))):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(page)
    for node, key in rng.sample(places, min(len(places), rng.randint(1, 3))):
        if isinstance(node, list) or key in node:
            node[key] = rng.choice(JUNK)
    return json.dumps(page).encode()


@pytest.mark.parametrize("change", [_bytes, _tree])
@pytest.mark.parametrize("name", NAMES)
def test_rows_refusals_or_a_clear_error(pointed, monkeypatch, name, change):
    rng = random.Random(f"{name} {change.__name__}")
    frames = {kind: frame[frame["event_time"] < WINDOW.end] for kind in (Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS)
              for frame in [truth(kind)]}
    if name == "equities":
        frames[Kind.BARS] = frames[Kind.BARS].iloc[::24].assign(symbol="AAPL", interval="1d")
    world = World(frames)
    left = [0]

    def once(self, path, params=None, *, method="GET", headers=None, **_):
        parts = urlsplit(path)
        query = {**dict(parse_qsl(parts.query)), **{key: str(value) for key, value in (params or {}).items()}}
        request = Request(method, parts.path, query, {"X-Api-Key": "k", "Authorization":
                          "Basic x" if method == "POST" else f"Bearer {TOKEN}"}, b"", Server.url)
        _, body, type_ = answer(request, world)
        if left[0] > 0 and method == "GET" and "exchangeInfo" not in path:
            left[0] -= 1
            body = change(rng, body)
        return http.Answer(200, {"content-type": type_}, body)

    monkeypatch.setattr(http.Client, "_once", once)
    settings = pointed(Server(), http={"attempts": 1, "rate": 1000, "burst": 1000, "overlap_hours": 0})
    source = providers.create(name, settings)
    (kind,) = source.kinds()
    values = [name for name in SCHEMAS[kind].columns if name != "components"]
    whole = {tuple(row) for row in _good(source, kind, name)[0][values].astype(str).itertuples(index=False)}
    ends = {"rows": 0, "error": 0}
    for _ in range(COUNT):
        left[0] = 1
        said = None
        try:
            good, bad, batch = _good(source, kind, name)
        except SourceError as error:
            said = str(error)
        if said is not None:
            ends["error"] += 1
            assert name in said or "binance" in said
            assert said.isprintable()
            assert len(said) < 600
            continue
        ends["rows"] += 1
        json.dumps([payload(one.payload) for one in (*bad, *batch.refused)], allow_nan=False)
        key = list(SCHEMAS[kind].key)
        assert not good.duplicated([*key, "available_at"]).any()
        assert len(good) + len(bad) <= len(batch.frames[kind])
    assert ends["rows"] > 0 or change is _bytes  # of a small page few changes of bytes leave JSON
    left[0] = 0
    again = {tuple(row) for row in _good(source, kind, name)[0][values].astype(str).itertuples(index=False)}
    assert again == whole  # nothing of a broken page was kept


def _good(source, kind, name):
    batch = source.fetch(WINDOW, [kind])
    good, bad = check(kind, batch.frames[kind], name)
    return good, bad, batch
