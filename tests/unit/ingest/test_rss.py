"""News feeds: clean they equal the facts; with faults nothing is lost, doubled or guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.replay import world as worlds
from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError, SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from pipelines.ingest.http import Answer
from pipelines.ingest.rss import plain
from tests.fixtures.replay import ALL, truth
from tests.unit.ingest.test_indicators import spoil


def fetch(settings, window=ALL):
    return providers.create("rss", settings).fetch(window, [Kind.DOCUMENTS])


def documents(batch):
    good, bad = check(Kind.DOCUMENTS, batch.frames[Kind.DOCUMENTS], "rss")
    return dict(zip(good["doc_id"], zip(good["event_time"], good["title"], good["text"], strict=True),
                    strict=True)), bad


def expected():
    rows = truth(Kind.DOCUMENTS)
    rows = rows[rows["kind"] == "news"]
    return {row.doc_id: (row.event_time, plain(row.title), plain(row.text)) for row in rows.itertuples()}


def test_clean_it_is_the_facts_row_for_row(replay, pointed):
    batch = fetch(pointed(replay()))
    found, bad = documents(batch)
    assert found == expected()
    assert len(batch.frames[Kind.DOCUMENTS]) == len(found) > 100
    assert not bad
    assert not batch.refused
    frame = batch.frames[Kind.DOCUMENTS]
    assert (frame["available_at"] == frame["event_time"]).all()
    assert set(frame["kind"]) == {"news"}
    assert frame["engagement"].isna().all()


@pytest.mark.parametrize("faults", ["429,500,cut,truncate", "stall", "zone", "duplicate,reordered,cut"])
def test_passing_faults_leave_no_trace(replay, pointed, faults):
    found, bad = documents(fetch(pointed(replay(faults))))
    assert found == expected()
    assert not bad


def test_hostile_and_huge_texts_are_kept_whole_or_refused_and_touch_no_other(replay, pointed):
    server = replay("hostile,huge,nan")
    batch = fetch(pointed(server))
    found, bad = documents(batch)
    struck = {fault: {row.doc_id for row in server.world.struck(Kind.DOCUMENTS, fault).itertuples()
                      if row.kind == "news"} for fault in ("hostile", "huge", "nan")}
    assert all(struck.values())
    refused = {one.payload["doc_id"] for one in bad}
    assert struck["huge"] <= refused
    untouched = {name: value for name, value in expected().items() if name not in set().union(*struck.values())}
    assert {name: found.get(name) for name in untouched} == untouched
    assert set(found) | refused == set(expected())
    assert all(found[name][2] == found[name][1] for name in struck["nan"])  # a headline is a text of its own


def test_days_put_together_are_the_whole(replay, pointed):
    settings = pointed(replay())
    together = {}
    for day in ALL.days():
        found, _ = documents(fetch(settings, day))
        assert not set(found) & set(together)
        together |= found
    assert together == expected()


@pytest.mark.parametrize("fault", ["429!", "500!", "cut!", "truncate!"])
def test_lasting_faults_are_a_clear_error_that_may_pass(replay, pointed, fault):
    with pytest.raises(SourceUnavailable, match=r"rss 127.0.0.1 \(127.0.0.1/feed.xml\) failed 2 times"):
        fetch(pointed(replay(fault), http={"attempts": 2, "backoff": 0, "timeout": 0.3, "rate": 100}))


@pytest.mark.parametrize(("old", "new", "match"), [
    (b"pubDate", b"when", "rss 127.0.0.1 has changed its shape: pubDate is missing in all"),
    (b'<rss version="2.0">', b"<html>", "rss 127.0.0.1 has changed its shape: rss or feed is not its root"),
])
def test_another_shape_names_provider_and_field(replay, pointed, monkeypatch, old, new, match):
    spoil(monkeypatch, lambda body: body.replace(old, new))
    with pytest.raises(SourceError, match=match):
        fetch(pointed(replay()))


ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>
<entry><id>a</id><title>Edited</title><published>2024-01-02T10:00:00+02:00</published>
<updated>2024-01-03T10:00:00Z</updated>
<content type="html">&lt;p&gt;Now &lt;b&gt;this&lt;/b&gt; &amp;amp; that&lt;/p&gt;</content>
</entry>
<entry><id>b</id><title>No zone</title><published>2024-01-02T10:00:00</published></entry>
<entry><id>c</id><title>Nonsense</title><published>yesterday</published></entry>
<entry><id>d</id><title>No time</title></entry>
</feed>
"""


def test_atom_updates_zones_and_unreadable_times(replay, pointed, monkeypatch):
    spoil(monkeypatch, lambda body: ATOM)
    batch = fetch(pointed(replay()))
    row = batch.frames[Kind.DOCUMENTS].iloc[0].to_dict()
    assert len(batch.frames[Kind.DOCUMENTS]) == 1
    assert (row["doc_id"], row["event_time"], row["available_at"], row["text"]) == (
        "a", datetime(2024, 1, 2, 8, tzinfo=UTC), datetime(2024, 1, 3, 10, tzinfo=UTC), "Now this & that")
    assert {one.payload["id"]: one.reason.split(":", 1)[-1].strip() for one in batch.refused} == {
        "b": "published '2024-01-02T10:00:00' has no zone", "c": "published 'yesterday' is not a time",
        "d": "pubDate is missing"}


def test_entities_do_not_multiply(replay, pointed, monkeypatch):
    bomb = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "' + b"x" * 1000 + b'">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 20) for i in range(8)) + b"]>"
    spoil(monkeypatch, lambda body: bomb + body.split(b"?>", 1)[1].replace(b"<title>", b"<title>&i;", 1))
    batch = fetch(pointed(replay()))
    assert max(map(len, batch.frames[Kind.DOCUMENTS]["text"])) < 10_000


def test_without_feeds_there_is_no_source():
    with pytest.raises(ConfigError, match="TIDEMARK_RSS__FEEDS"):
        providers.create("rss", Settings())


def test_bytes_that_are_no_utf8_are_marked_for_the_checks():
    assert Answer(200, {}, b"caf\xe9").text == "caf\ufffe\\xe9"


def test_the_hostile_text_is_hostile():
    assert "\x00" in worlds.HOSTILE
    assert len(worlds.HUGE) > 100_000


def feed(*items, head=b'<?xml version="1.0" encoding="UTF-8"?>'):
    entry = "<item><title>caf\u00e9 {0}</title><guid>{0}</guid><pubDate>Tue, 02 Jan 2024 10:00:00 GMT</pubDate></item>"
    body = "".join(entry.format(item) for item in items or "abcd")
    return head + b'<rss version="2.0"><channel><title>t</title>' + body.encode() + b"</channel></rss>"


@pytest.mark.parametrize(("old", "new", "kept", "refused"), [
    (b"</title><guid>b<", b"</t><guid>b<", "acd", 1),              # a title that does not end
    (b"caf\xc3\xa9 b", b"caf\xe9 b", "acd", 1),                    # a byte of another encoding: only its own text
    (b"</item>", b"", "abcd", 0),
    (b"GMT</pubDate></item><item>", b"GMT</pubDate></item><it\x01>", "acd", 1),  # the second one lost its opening
    (b"<guid>b<", b"<guid><![CDATA[b<", "acd", 1),
    (b"<title>caf\xc3\xa9 b", b"<title>&nosuch; &amp; caf\xc3\xa9 b", "abcd", 0),
])
def test_what_is_broken_takes_no_other_with_it(replay, pointed, monkeypatch, old, new, kept, refused):
    spoil(monkeypatch, lambda body: feed().replace(old, new, 1))
    batch = fetch(pointed(replay()))
    found, bad = documents(batch)
    assert ("".join(sorted(found)), len(batch.refused) + len(bad)) == (kept, refused)
    for name in set("acd") & set(found):
        assert found[name][1] == f"caf\u00e9 {name}"


@pytest.mark.parametrize(("encoding", "head"), [
    ("latin-1", b'<?xml version="1.0" encoding="latin-1"?>'), ("utf-16", b""), ("utf-8", b"\xef\xbb\xbf"),
    ("utf-8", b'<?xml version="1.0" encoding="no-such-code"?>'), ("utf-8", b"")])
def test_encodings(replay, pointed, monkeypatch, encoding, head):
    text = feed(head=b"").decode().encode(encoding)
    spoil(monkeypatch, lambda body: head + text)
    if encoding == "utf-16":  # whose end is no text that a torn answer could be told by
        with pytest.raises(SourceUnavailable, match="its text is cut off"):
            fetch(pointed(replay(), http={"attempts": 1, "rate": 1000, "timeout": 10}))
        return
    found, bad = documents(fetch(pointed(replay())))
    assert {name: title for name, (_, title, _) in found.items()} == {name: f"caf\u00e9 {name}" for name in "abcd"}
    assert bad == []
