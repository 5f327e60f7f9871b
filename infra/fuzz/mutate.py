"""What is done to a payload: to any bytes here, to JSON, CSV and XML in files of their own."""

from __future__ import annotations

import codecs
import random
import re

from infra.fuzz.mutate_csv import CSV
from infra.fuzz.mutate_json import JSON
from infra.fuzz.mutate_xml import XML
from infra.fuzz.rows import Change


def mutated(rng: random.Random, body: bytes, form: str) -> bytes:
    """The payload after one to three changes of the kinds that fit its form (``json``, ``csv`` or ``xml``)."""
    changes = FORMS[form]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        body = rng.choice(rng.choice((BYTES, changes, changes)))(rng, body)
    return body


def _flip(rng: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.randint(1, 4) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut_out(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body) + 1)
    return body[:place] + body[place + rng.randint(1, 60):]


def _insert(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body) + 1)
    return body[:place] + rng.randbytes(rng.randint(1, 6)) + body[place:]


def _token(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body) + 1)
    token = rng.choice((b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"&#0;", b"&#xD800;", b"<", b"&", b'"',
                        b"\\ud800", b"]]>", b"<!--", b",,", b"\r", b"\n", b"\x0b", b"\x1c", b"\xe2\x80\xa8",
                        b"[", b"}", b"\\"))
    return body[:place] + token + body[place:]


def _repeat(rng: random.Random, body: bytes) -> bytes:
    place, begin = rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)
    return body[:place] + body[begin:begin + rng.randint(1, 400)] + body[place:]


def _cut_short(rng: random.Random, body: bytes) -> bytes:
    return body[:rng.randrange(len(body) + 1)]


def _mark(rng: random.Random, body: bytes) -> bytes:
    return rng.choice((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF8 * 2)) + body


def _recode(rng: random.Random, body: bytes) -> bytes:
    encoding = rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7"))
    return body.decode("utf-8", "replace").encode(encoding, "replace")


def _noise(rng: random.Random, body: bytes) -> bytes:
    return rng.choice((b"", b"\x00" * 50, b"<html><body>maintenance</body></html>", b"null", b"[]", b"{}", b'"', b"0",
                       b"[" * 50_000, b'{"a":' * 20_000, rng.randbytes(200)))


def _spread(rng: random.Random, body: bytes) -> bytes:
    """Invalid UTF-8 in the middle of words."""
    for _ in range(rng.randint(1, 5)):
        found = [match.start() for match in re.finditer(rb"[a-z]{4}", body)]
        if found:
            place = rng.choice(found) + 2
            body = body[:place] + rng.choice((b"\xe9", b"\xff\xfe", b"\xc0\xaf", b"\xf5")) + body[place:]
    return body


BYTES: tuple[Change, ...] = (_flip, _cut_out, _insert, _token, _repeat, _cut_short, _mark, _recode, _noise, _spread)

FORMS: dict[str, tuple[Change, ...]] = {"json": JSON, "csv": CSV, "xml": XML}
