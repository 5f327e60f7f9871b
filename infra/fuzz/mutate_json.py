"""What is done to JSON: fields, records, times, numbers."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from infra.fuzz import rows
from infra.fuzz.rows import Change

JUNK: tuple[Any, ...] = (
    None, True, False, -1, 0, 3, 10**30, 10**400, 1e308, -0.0, 5e-324, float("nan"), float("inf"), "", " ", "\x00",
    "\ud800", "x" * 120_000, "NaN", "-Infinity", "1e999", "1,5", "٣", [], {}, [[]], {"": None}, "2024-01-01",
    "2024-02-30T00:00:00Z", "2024-01-01T25:00:00+99:99", 1704067200, 1704067200000, 1704067200.5, "1704067200",
    [1, 2, 3], {"name": 5},
    "\u202e<script>alert(1)</script>", "'; DROP TABLE bars; --", -62135596800, 253402300800000, "ﷺ" * 50, "\ufeff",
    "\u2028", "a\x0bb\x1cc\x85d")


def _page(change: Callable[[random.Random, Any, list[tuple[Any, Any]]], Any]) -> Change:
    """A change of the parsed page, given all its places (container, key); a payload that is no JSON is left alone."""
    def apply(rng: random.Random, body: bytes) -> bytes:
        try:
            page = json.loads(body)
        except (ValueError, RecursionError):
            return body
        places: list[tuple[Any, Any]] = []
        waiting = [page]
        while waiting:
            node = waiting.pop()
            for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
                places.append((node, key))
                waiting.append(node[key])
        try:
            return json.dumps(change(rng, page, places) if places else page).encode()
        except (RecursionError, ValueError):
            return body

    return apply


def _junk(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    for node, key in rng.sample(places, min(len(places), rng.randint(1, 3))):
        if isinstance(node, list) or key in node:
            node[key] = rng.choice(JUNK)
    return page


def _drop(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    node, key = rng.choice(places)
    del node[key]
    return page


def _rename(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    node, key = rng.choice(places)
    if isinstance(node, dict):
        node[rng.choice((f"{key}_", f"{key}".upper(), "", "id", "data"))] = node.pop(key)
    return page


def _rename_all(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    """A field of another name in every record: the page has changed its shape."""
    names = [key for node, key in places if isinstance(node, dict)]
    name = rng.choice(names) if names else None
    for node, key in places:
        if isinstance(node, dict) and key == name and key in node:
            node[f"new_{key}"] = node.pop(key)
    return page


def _retype(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    node, key = rng.choice(places)
    value = node[key]
    if isinstance(value, str):
        number = int(value) if value.isdecimal() else 7
        node[key] = rng.choice(([value], {"value": value}, value[::-1], number))
    elif isinstance(value, int | float):
        node[key] = rng.choice((str(value), [value], -value, value * 1000, value / 1000, {"value": value}))
    elif isinstance(value, list):
        node[key] = rng.choice(({str(place): item for place, item in enumerate(value)}, value[:1], json.dumps(value)))
    elif isinstance(value, dict):
        node[key] = rng.choice((list(value.items()), list(value.values()), json.dumps(value)))
    return page


def _nest(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    node, key = rng.choice(places)
    inner = node[key]
    for _ in range(rng.choice((1, 1, 3, 60))):
        inner = rng.choice(([inner], {"data": inner}))
    node[key] = inner
    return page


def _long(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
    texts = [(node, key) for node, key in places if isinstance(node[key], str)]
    if texts:
        node, key = rng.choice(texts)
        node[key] = (node[key] or "x") * (120_000 // max(1, len(node[key])) + 1)
    return page


def _records(page: Any, places: list[tuple[Any, Any]]) -> list[Any] | None:
    """The longest list: the rows."""
    lists = [node[key] for node, key in places if isinstance(node[key], list)] + (
        [page] if isinstance(page, list) else [])
    return max(lists, key=len, default=None)


def _rows(change: Callable[[random.Random, list[Any]], None]) -> Change:
    def apply(rng: random.Random, page: Any, places: list[tuple[Any, Any]]) -> Any:
        found = _records(page, places)
        if found:
            change(rng, found)
        return page

    return _page(apply)


def _contradict(rng: random.Random, records: list[Any]) -> None:
    """The same row again with something else in it."""
    copy = json.loads(json.dumps(rng.choice(records)))
    target = copy["data"] if isinstance(copy, dict) and isinstance(copy.get("data"), dict) else copy
    if isinstance(target, dict | list) and target:
        target[rng.choice(list(target) if isinstance(target, dict) else range(len(target)))] = rng.choice(JUNK)
    records.append(copy)


_STAMP = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z"')
_EPOCH = re.compile(rb"\b(17\d{8})(\d{3})?(\.0)?\b")


def _some(rng: random.Random, body: bytes, pattern: re.Pattern[bytes],
          change: Callable[[re.Match[bytes]], bytes]) -> bytes:
    every = rng.random() < 0.3
    return pattern.sub(lambda match: change(match) if every or rng.random() < 0.2 else match.group(), body)


def _zones(rng: random.Random, body: bytes) -> bytes:
    """Instants said in another zone, or in none."""
    zone = rng.choice((b"", b"+03:00", b" EST", b"+0000", b"-99:00", b".123456Z"))
    return _some(rng, body, _STAMP, lambda match: b'"' + match[1] + zone + b'"')


def _units(rng: random.Random, body: bytes) -> bytes:
    """Seconds where milliseconds were, and the other way round; or hours beside."""
    shift = rng.choice((0, 0, 10_800, -18_000))

    def change(match: re.Match[bytes]) -> bytes:
        if shift:
            return str(int(match[1]) + shift).encode() + (match[2] or b"")
        return match[1] if match[2] else match[1] + b"000"

    return _some(rng, body, _EPOCH, change)


def _twice(rng: random.Random, body: bytes) -> bytes:
    """A field that stands twice in an object."""
    names = re.findall(rb'"(\w+)": ?', body)
    opens = [match.end() for match in re.finditer(rb"\{", body)]
    if not names or not opens:
        return body
    place = rng.choice(opens)
    value = json.dumps(rng.choice(JUNK)).encode()
    return body[:place] + b'"' + rng.choice(names) + b'": ' + value + b", " + body[place:]


def _bare(rng: random.Random, body: bytes) -> bytes:
    """Numbers that JSON does not have."""
    spots = list(re.finditer(rb"(?<=[:,\[] )-?\d+(\.\d+)?|\"-?\d+(\.\d+)?\"", body))
    if not spots:
        return body
    spot = rng.choice(spots)
    token = rng.choice((b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"9" * 5000, b"0x10", b"01",
                        b"+1", b".5"))
    return body[:spot.start()] + token + body[spot.end():]


JSON: tuple[Change, ...] = (
    _page(_junk), _page(_junk), _page(_drop), _page(_rename), _page(_rename_all), _page(_retype), _page(_nest),
    _page(_long), _rows(rows.double_row), _rows(rows.shuffle_rows), _rows(rows.drop_rows), _rows(_contradict), _zones,
    _units, _twice, _bare)
