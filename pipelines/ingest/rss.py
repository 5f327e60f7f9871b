"""News by RSS and Atom: the one door to feedparser."""

from __future__ import annotations

import calendar
import codecs
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pipelines.config import Settings
from pipelines.config_sources import Http, Rss, listed
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, SourceError
from pipelines.ingest import typed
from pipelines.ingest.gather import Gather, changed, since_epoch
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider

_ZONED = re.compile(r"(Z|UTC?|GMT|[ECMP][SD]T|[+-]\d\d:?\d\d)\s*\Z")
_TAGS = re.compile(r"<[^>]{0,5000}>")
_END = r"</(rss|feed|rdf:RDF)>(\s|<!--[^>]*-->)*"


class RssProvider(NetworkProvider):
    """Entries of the configured feeds; ``source`` is the feed's host, ``doc_id`` the entry's own id, else its link.

    An entry is available from its publication; one that says it was updated later, from then: the words we see are
    those of the update. A feed holds its latest entries only and cannot be paged, so it has to be read often.
    """

    name = "rss"
    kind = Kind.DOCUMENTS

    def __init__(self, settings: Rss, http: Http) -> None:
        self._feeds = listed(settings.feeds)
        self._options = http
        if not self._feeds or not all(feed.startswith(("http://", "https://")) for feed in self._feeds):
            raise ConfigError("the rss source needs TIDEMARK_RSS__FEEDS, addresses that begin with https://")

    @classmethod
    def from_settings(cls, settings: Settings) -> RssProvider:
        return cls(settings.rss, settings.http)

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Entries that appeared in ``window``, as far as the feeds still hold them."""
        for feed in self._feeds:
            host = (urlsplit(feed).hostname or "").removeprefix("www.")
            with Client(f"{self.name} {host}", feed, self._options, follow=True) as client:
                answer = client.text(feed, ending=_END)
            gather.read(_entries(host, answer.body), partial(_row, host))


def _entries(host: str, body: bytes) -> list[Any]:
    """Plain dictionaries, so that a refused entry can be kept as JSON; a piece that is no entry as the text it is."""
    text = decoded(body)
    entries, version, whole = _parsed(host, text)
    if not version:
        raise changed(f"rss {host}", "rss or feed", "is not its root: it is no RSS or Atom")
    if not whole or len(entries) != len(_OPENING.findall(_ASIDE.sub("", text))):
        entries = _piecewise(host, text)
    told = [entry for entry in entries if isinstance(entry, Mapping)]
    if told and not any(entry.get("published") or entry.get("updated") for entry in told):
        raise changed(f"rss {host}", "pubDate", f"is missing in all {len(told)} entries")
    if told and not any(entry.get("title") or entry.get("summary") or entry.get("content") for entry in told):
        raise changed(f"rss {host}", "title", f"is missing in all {len(told)} entries")
    return entries


def _parsed(host: str, text: str) -> tuple[list[Any], str, bool]:
    """Entries, the version ("" if it is no feed), and whether it is well-formed."""
    import feedparser

    try:
        parsed = feedparser.parse(text.encode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(f"rss {host} cannot be read ({type(error).__name__}); is it a feed?") from error
    entries = [{name: value for name, value in entry.items() if name in _READ} for entry in parsed.entries]
    return entries, parsed.get("version") or "", not parsed.bozo


def _piecewise(host: str, text: str) -> list[Any]:
    """Each entry of a feed that is not well-formed by itself: read as a whole, one broken tag swallows its neighbours,
    and one byte of another encoding garbles them all."""
    places = [found.start() for found in _OPENING.finditer(text)]
    root = _ROOT.search(text[:places[0]] if places else "")
    if root is None:
        raise changed(f"rss {host}", "rss or feed", "does not stand before the first entry: it is no RSS or Atom")
    found: list[Any] = []
    for start, end in zip(places, [*places[1:], len(text)], strict=True):
        piece = _TAIL.split(text[start:end])[0]
        # Behind its end stands what has lost its own opening; it must not change the entry before it.
        close = _CLOSING.search(piece)
        piece, rest = (piece[:close.end()], piece[close.end():]) if close else (piece, "")
        entries, _, _ = _parsed(host, f"{root.group()}<channel>{piece}</channel></{root[1]}>" if root[1] != "feed" else
                                f"{root.group()}{piece}</feed>")
        found.append(entries[0] if len(entries) == 1 else piece)
        if _FIELD.search(rest):
            found.append(rest)
    return found


def decoded(body: bytes) -> str:
    """The text by its byte order mark, else by its declaration, else as UTF-8, without the declaration. Bytes that
    are none there are marked, so that the checks refuse the one text that holds them."""
    encoding = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    if encoding is None:
        declared = _DECLARED.match(body)
        encoding = declared[1].decode("ascii") if declared else "utf-8"
    try:
        text = body.decode(encoding, typed.SHOW)
    except (LookupError, UnicodeError):
        text = body.decode("utf-8", typed.SHOW)
    return _DECLARATION.sub("", text.lstrip("\ufeff"), count=1)


_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,300}\?>")
_OPENING = re.compile(r"<(?:\w+:)?(?:item|entry)(?=[\s>/])", re.IGNORECASE)
_CLOSING = re.compile(r"</(?:\w+:)?(?:item|entry)\s*>", re.IGNORECASE)
_FIELD = re.compile(r"<(title|description|guid|pubDate|id|summary|content|published|updated)\b", re.IGNORECASE)
_ROOT = re.compile(r"<(rss|feed|rdf:RDF)\b[^>]{0,5000}>", re.IGNORECASE)
_TAIL = re.compile(r"</(?:channel|rss|feed|rdf:RDF)\s*>", re.IGNORECASE)
_ASIDE = re.compile(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>", re.DOTALL)
_READ = frozenset({"id", "link", "title", "summary", "content", "published", "published_parsed", "updated",
                   "updated_parsed"})


def _row(host: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    published = _time(entry, "published") or _time(entry, "updated")
    if published is None:
        raise ValueError("pubDate is missing")
    known = max(published, _time(entry, "updated") or published)
    title = plain(entry.get("title"))
    content = entry.get("content")
    text = plain(content[0].get("value") if content else entry.get("summary")) or title
    identity = entry.get("id") or entry.get("link") or hashlib.sha256(
        f"{title}\n{text}".encode(errors="replace")).hexdigest()
    return {"source": host, "doc_id": identity, "event_time": published, "available_at": known, "kind": "news",
            "title": title, "text": text, "url": entry.get("link")}


def _time(entry: Mapping[str, Any], name: str) -> datetime | None:
    raw, parsed = entry.get(name), entry.get(f"{name}_parsed")
    if not raw:
        return None
    if parsed is None:
        raise ValueError(f"{name} {raw[:60]!r} is not a time")
    if _ZONED.search(raw) is None:
        raise ValueError(f"{name} {raw[:60]!r} has no zone")
    return since_epoch(calendar.timegm(parsed))


def plain(markup: Any) -> str | None:
    """The words without their markup; None when there are none."""
    if not isinstance(markup, str):
        return None
    words = html.unescape(_TAGS.sub(" ", markup))
    return " ".join(words.split()) or None
