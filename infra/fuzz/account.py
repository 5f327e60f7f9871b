"""What a payload holds, counted without any code of the providers: their fields by hand, XML by expat, lines by line
ends."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

_COMMENT = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>", re.DOTALL)
_ITEM = re.compile(rb"<(?:item|entry)(?=[\s>/])", re.IGNORECASE)
_WHOLE_ITEM = re.compile(rb"<item>.*?</item>", re.DOTALL)
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Page:
    """``count``: records that the payload holds, at ``most`` that many where it cannot be told for certain;
    ``records``: each one's text as far as it can be told apart, with the name it would have in our rows; ``frame``:
    what stands around them, on which their reading depends."""

    count: int
    records: tuple[tuple[str, str], ...]
    frame: str
    most: int = 0


def page(name: str, path: str, body: bytes) -> Page | None:
    """The account of a payload; None: nothing can be told from it, so the provider has to say that it cannot either."""
    return READERS[name](path, body)


def is_page(path: str) -> bool:
    """Whether answers at this path hold records at all."""
    return "exchangeInfo" not in path and "access_token" not in path


def _json(find: Callable[[Any], Any], name: Callable[[Any], str]) -> Callable[[str, bytes], Page | None]:
    def read(path: str, body: bytes) -> Page | None:
        try:
            found = find(json.loads(body.decode("utf-8-sig", "surrogateescape")))
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if not isinstance(found, list):
            return None
        named = []
        for record in found:
            try:
                named.append((json.dumps(record, sort_keys=True), name(record)))
            except (ValueError, LookupError, TypeError, AttributeError, OverflowError, OSError):
                continue
        return Page(len(found), tuple(named), "")

    return read


def _posts(answer: Any) -> Any:
    if "data" not in answer and answer["meta"]["result_count"] == 0:
        return []
    return answer["data"]


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _csv(path: str, body: bytes) -> Page | None:
    text = body.removeprefix(b"\xef\xbb\xbf")
    if text.strip().lower().startswith(b"no data"):
        return Page(0, (), "")
    lines = _LINE_END.split(text)
    heading = next((place for place, line in enumerate(lines)
                    if re.match(rb'\s*"?date"?\s*(,|$)', line, re.IGNORECASE)), None)
    if heading is None:
        return None
    # A row that stands above the heading is a row; small print does not begin with a number.
    rows = [line for place, line in enumerate(lines) if place != heading and _held(line)
            and (place > heading or line.decode("utf-8", "replace").lstrip(' "')[:1].isdigit())]
    indicator = "vix" if "VIX" in path else "put_call" if "totalpc" in path else ""
    named = []
    for line in rows:
        try:
            text_ = line.decode("ascii")
            cell = text_.split(",")[0]
            day = datetime.strptime(cell, "%m/%d/%Y") if indicator else datetime.strptime(cell, "%Y-%m-%d")
        except ValueError:
            continue
        named.append((text_, f"{indicator}{day:%Y-%m-%d}"))
    return Page(len(rows), tuple(named), lines[heading].decode("latin-1"))


def _held(line: bytes) -> bool:
    """Whether a line holds anything but separators, quotes and white space."""
    return bool(line.decode("utf-8", "replace").replace(",", " ").replace('"', " ").strip())


def _xml(path: str, body: bytes) -> Page | None:
    parser = expat.ParserCreate()
    # What a comment holds is no entry; but where it ends nobody can say in XML that is broken, so there it may be read
    # as one, and so may what stands behind an entry's end.
    count = len(_ITEM.findall(_COMMENT.sub(b"", body)))
    most = len(_ITEM.findall(body))
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        most += len(re.findall(rb"</(?:item|entry)", body, re.IGNORECASE))
    named = []
    for item in _WHOLE_ITEM.findall(body):
        guid = re.search(rb"<guid[^>]*>([^<]*)</guid>", item)
        if guid:
            named.append((item.decode("latin-1"), guid[1].decode("utf-8", "replace")))
    first = body.find(b"<item>")
    return Page(count, tuple(named), body[:max(first, 0)].decode("latin-1"), most)


READERS: dict[str, Callable[[str, bytes], Page | None]] = {
    "exchange": _json(lambda answer: answer, lambda bar: _at(bar[0] / 1000)),
    "fear_greed": _json(lambda answer: answer["data"], lambda one: _at(int(one["timestamp"]))),
    "cboe": _csv,
    "rss": _xml,
    "newsapi": _json(lambda answer: answer["articles"], lambda one: hashlib.sha256(one["url"].encode()).hexdigest()),
    "reddit": _json(lambda answer: answer["data"]["children"], lambda one: str(one["data"]["id"])),
    "x": _json(_posts, lambda one: str(one["id"])),
    "stocktwits": _json(lambda answer: answer["messages"], lambda one: str(one["id"])),
    "equities": _csv,
}
