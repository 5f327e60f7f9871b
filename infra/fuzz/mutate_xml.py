"""What is done to XML: tags, entities, declarations, items."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from infra.fuzz import rows
from infra.fuzz.rows import Change


def _spot(rng: random.Random, body: bytes, pattern: bytes) -> tuple[int, int] | None:
    found = [match.span() for match in re.finditer(pattern, body, re.DOTALL)]
    return rng.choice(found) if found else None


def _swap(pattern: bytes, *others: bytes) -> Change:
    """One place that matches becomes something else; ``%s`` stands for what was there."""
    def apply(rng: random.Random, body: bytes) -> bytes:
        spot = _spot(rng, body, pattern)
        if spot is None:
            return body
        return body[:spot[0]] + rng.choice(others).replace(b"%s", body[spot[0]:spot[1]]) + body[spot[1]:]

    return apply


def _bomb(rng: random.Random, body: bytes) -> bytes:
    levels = b"".join(b'<!ENTITY %c "%s">' % (98 + place, b"&%c;" % (97 + place) * 20) for place in range(8))
    kind = rng.choice((b'<!ENTITY a "' + b"x" * 500 + b'">' + levels, b'<!ENTITY i SYSTEM "file:///etc/passwd">',
                       b'<!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;'))
    head, mark, rest = body.partition(b"?>")
    if not mark:
        return body
    return head + mark + b"<!DOCTYPE l [" + kind + b"]>" + rest.replace(b"<title>", b"<title>&i;", rng.randint(1, 3))


def _items(change: Callable[[random.Random, list[bytes]], None]) -> Change:
    def apply(rng: random.Random, body: bytes) -> bytes:
        found = re.findall(rb"<item>.*?</item>", body, re.DOTALL)
        if not found:
            return body
        start, end = body.index(found[0]), body.rindex(found[-1]) + len(found[-1])
        change(rng, found)
        return body[:start] + b"".join(found) + body[end:]

    return apply


XML: tuple[Change, ...] = (
    _swap(rb"</\w+>", b"", b"%s%s", b"</b>", b"</item>"),
    _swap(rb"<(title|description|pubDate|guid)[^>]*>", b"", b"%s%s", b"<x>", b"<![CDATA[", b"<!--"),
    _swap(rb"<item>", b"", b"<item><item>", b"<ITEM>", b"<item x=1>", b"<item\n>", b"<entry>",
          b"<!-- <item> --><item>"),
    _swap(rb"(?<=<pubDate>)[^<]*", b"", b"yesterday", b"2024-01-02T10:00:00", b"Tue, 02 Jan 2024 10:00:00",
          b"Tue, 32 Jan 2024 10:00:00 GMT", b"%s EST", b"1704067200", b"02 Jan 24 10:00 +0300"),
    _swap(rb"(?<=<title>)[^<]*", b"", b"&nosuch;", b"&#0;", b"&#xFFFF;", b"&lt;b&gt;%s", b"<b>%s", b"%s & %s",
          b"%s < %s", b"<![CDATA[%s]]>", b"\x08%s", b"x" * 120_000, b"<![CDATA[<item>]]>%s"),
    _swap(rb'encoding="UTF-8"', b'encoding="UTF-16"', b'encoding="latin-1"', b'encoding="x-none"',
          b'encoding="ascii"', b""),
    _swap(rb"<\?xml[^>]*>", b"", b"%s%s", b" %s"),
    _swap(rb"<rss[^>]*>", b"<rss>", b'<rss version="9">', b"<feed>", b"<html>"),
    _swap(rb"(?<=<guid isPermaLink=\"false\">)[^<]*", b"", b"same", b"%s%s", b"\xff"), _bomb,
    _items(rows.double_row), _items(rows.shuffle_rows), _items(rows.drop_rows),
    _swap(rb"<item>.*?</item>", b"<item></item>", b"%s%s", b"<channel>%s</channel>", b"<item>%s</item>"))
