"""Near-duplicate texts: reposts, retweets, syndicated stories, copied spam. The first one counts, copies fold into it.

MinHash over shingles of words with banding (locality-sensitive hashing) proposes for each document the nearest
earlier ones that may be alike; the exact Jaccard similarity of their shingles decides. All of it is numpy over one flat
array of shingles. Sources: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman &
Ullman, "Mining of Massive Datasets", ch. 3; the hash family (multiply-shift) from Dietzfelbinger et al., "A reliable
randomized algorithm for the closest-pair problem" (1997).

Short texts are never folded. Two people who write "BTC to the moon" hold two opinions; twenty equal words in the same
order are one text. A text that says itself that it is a copy ("RT @name: ...") needs fewer words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from pipelines.sentiment.hours import HOUR_US, Ints

#: A document is compared with those that became available at most this long before it.
HORIZON_HOURS = 24
#: Jaccard similarity of the two sets of shingles from which on a text is a copy.
THRESHOLD = 0.8
#: Words of a shingle; fewest words of a text that can be a copy, and of one that says it is.
SHINGLE, FEWEST_WORDS, FEWEST_DECLARED = 3, 16, 6
#: 16 bands of 4 hashes: a pair of similarity s meets in a band with probability 1 - (1 - s^4)^16: 0.9998 at 0.8, 0.63
#: at 0.5. (A pair that meets is then measured exactly, so the second figure costs time, not precision.)
BANDS, ROWS = 16, 4
#: Words after these are not read: beginnings as long as this are the same text. Bounds the work on hostile texts.
MOST_WORDS = 400
MOST_CHARACTERS = 50_000

_DECLARED = re.compile(r"\s*RT\s+@\w+:?")
_NOISE = re.compile(r"https?://\S+|\bRT\s+@\w+:?")
_WORD = re.compile(r"\w+")
_SEED = 20_240_101

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


def copies(texts: Sequence[str], available_at: Ints, order: Ints) -> Ints:
    """Which texts are copies of an earlier one, and of which.

    A text is a copy when, in one of the bands, the last earlier text in its bucket is at most ``HORIZON_HOURS``
    older and the Jaccard similarity of both is at least ``THRESHOLD``. It is looked up among all earlier texts, copies
    included, so a text that is reposted every day is folded every time. Whether a text is a copy depends on the texts
    of the horizon before it and on nothing else: any stretch that reaches back so far gives the same answer.

    Args:
        texts: the documents' texts.
        available_at: (texts,) microseconds since 1970.
        order: (texts,) the texts by time, the earliest first, ties broken by the documents' keys.

    Returns:
        (texts,) the position of (the latest of) the earlier texts that it is a copy of, -1 for none.
    """
    result = np.full(len(texts), -1, dtype=np.int64)
    shingles, starts, long = _shingles([texts[at] for at in order.tolist()])
    if len(long) < 2:
        return result
    earlier, later = _candidates(_signatures(shingles, starts), available_at[order][long])
    alike = _jaccard(shingles, starts, earlier, later) >= THRESHOLD
    np.maximum.at(result, long[later[alike]], long[earlier[alike]])  # in order of time: the greatest is the latest
    found = np.flatnonzero(result >= 0)
    places = np.full(len(texts), -1, dtype=np.int64)
    places[order[found]] = order[result[found]]
    return places


class _Words(dict[str, int]):
    """Word → 64 bits of BLAKE2, the same in every process; each word is hashed once."""

    def __missing__(self, word: str) -> int:
        self[word] = code = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
        return code


def _shingles(texts: Sequence[str]) -> tuple[Hashes, Ints, Ints]:
    """The set of shingles of each text that is long enough, one set after the other and each in ascending order; where
    each set begins (and the end of all); which texts these are."""
    words = _Words()
    codes: list[int] = []
    counts: list[int] = []
    long: list[int] = []
    for at, text in enumerate(texts):
        fewest = FEWEST_DECLARED if _DECLARED.match(text) else FEWEST_WORDS
        # A word and the space after it take two characters at least.
        if len(text) < 2 * fewest - 1:
            continue
        found = _WORD.findall(_NOISE.sub(" ", text[:MOST_CHARACTERS]).lower())
        if len(found) >= fewest:
            found = found[:MOST_WORDS]
            codes.extend([words[word] for word in found])
            counts.append(len(found))
            long.append(at)
    sizes = np.asarray(counts, dtype=np.int64)
    word = np.asarray(codes, dtype=np.uint64)
    if not len(long):
        return word, np.zeros(1, dtype=np.int64), np.asarray(long, dtype=np.int64)
    mixed = np.asarray(word[:-2] * np.uint64(0x9E3779B97F4A7C15) + _turned(word[1:-1], 21) * np.uint64(
        0xC2B2AE3D27D4EB4F) + _turned(word[2:], 42) * np.uint64(0x165667B19E3779F9))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    inside = owner[:-2] == owner[2:]
    owner, mixed = owner[:-2][inside], mixed[inside] ^ (mixed[inside] >> np.uint64(29))
    rank = np.lexsort((mixed, owner))
    owner, mixed = owner[rank], mixed[rank]
    first = np.concatenate([[True], (owner[1:] != owner[:-1]) | (mixed[1:] != mixed[:-1])])
    owner, mixed = owner[first], mixed[first]
    starts = np.concatenate([np.searchsorted(owner, np.arange(len(sizes))), [len(owner)]])
    return mixed, starts.astype(np.int64), np.asarray(long, dtype=np.int64)


def _turned(values: Hashes, by: int) -> Hashes:
    return np.asarray(values << np.uint64(by) | values >> np.uint64(64 - by))


def _signatures(shingles: Hashes, starts: Ints) -> Hashes:
    """The smallest value of each of ``BANDS`` * ``ROWS`` hash functions per set, folded to one number per band:
    shape (bands, sets)."""
    rng = np.random.default_rng(_SEED)
    factors = rng.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shifts = rng.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
    bands = np.zeros((BANDS, len(starts) - 1), dtype=np.uint64)
    for number, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
        least = np.minimum.reduceat(shingles * factor + shift, starts[:-1])
        band = bands[number // ROWS]
        band[:] = _turned(band, 17) * np.uint64(0x9E3779B97F4A7C15) + least
    return bands


def _candidates(bands: Hashes, available_at: Ints) -> tuple[Ints, Ints]:
    """Pairs (earlier, later) of sets that are neighbours in a bucket and not too far apart in time, each once."""
    size = bands.shape[1]
    pairs = []
    for band in bands:
        rank = np.argsort(band, kind="stable")  # sets are in order of time already
        before, after = rank[:-1], rank[1:]
        near = (band[before] == band[after]) & (available_at[after] - available_at[before] <= HORIZON_HOURS * HOUR_US)
        pairs.append(before[near] * size + after[near])
    both = np.unique(np.concatenate(pairs))
    return both // size, both % size


def _jaccard(shingles: Hashes, starts: Ints, one: Ints, other: Ints) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Exact Jaccard similarity of pairs of sets: shape (pairs,)."""
    if not len(one):
        return np.empty(0)
    sizes = np.diff(starts)
    number = np.repeat(np.arange(len(one)), sizes[one])
    place = np.arange(len(number)) - np.repeat(np.cumsum(sizes[one]) - sizes[one], sizes[one]) + np.repeat(
        starts[one], sizes[one])
    # All sets in one ascending array: the set's number above, 40 bits of the shingle below.
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    keys = owner << np.uint64(40) | shingles >> np.uint64(24)
    wanted = other[number].astype(np.uint64) << np.uint64(40) | shingles[place] >> np.uint64(24)
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    shared = np.bincount(number, keys[found] == wanted, minlength=len(one))
    return np.asarray(shared / (sizes[one] + sizes[other] - shared))
