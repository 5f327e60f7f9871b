"""Sentiment per symbol and time window on a grid of ten minutes, exactly.

VADER rounds compound scores to four decimals, so sums are taken over whole ten-thousandths, and weights are whole
numbers, too: integer addition has no order, and a tick computed alone equals the same tick computed within a year, bit
for bit.

A document's weight is credibility x engagement x time decay. Credibility is that of its source at the beginning of
the UTC day on which the document became available, so that its weight depends on what was known when it came and
needs no second look later. Decay halves four times within each window, in at most ``STEPS`` equal steps: a stair of
whole hundredths costs two lookups in a running sum where a smooth curve would cost one multiplication per tick of age.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import TICK_US, TICKS, Ints, full_tick_after, microseconds, times
from pipelines.sentiment.mentions import THRESHOLD
from pipelines.sentiment.universe import Universe

#: Name in the table → hours.
WINDOWS: dict[str, int] = {"1h": 1, "4h": 4, "1d": 24, "1w": 168}
WINDOW_TICKS = {name: hours * TICKS for name, hours in WINDOWS.items()}
LONGEST_HOURS = max(WINDOWS.values())
MARKET = "*"
COLUMNS = ("symbol", "window", "at", "available_at", "documents", "duplicates", "mean", "dispersion", "bullish",
           "bearish", "neutral", "weighted", "confidence", "coverage")
#: Decimals of the measures that are estimates: more would tell nothing, and cost time to write and read.
DECIMALS = 6
#: Half-lives in a window; most steps of the decay; its unit.
HALVINGS, STEPS, _DECAY = 4, 24, 100
#: Effective documents at which confidence reaches one half of what agreement and coverage allow: the variance of scores
#: within windows over that between them. On Reddit posts of 2021-22 it is 65 to 125 for all posts and those about BTC,
#: 14 to 33 for SOL (analysis of variance over windows of 1 h, 4 h and 1 d; docs/sentiment-aggregates.md).
HALF_CONFIDENT = 50.0

_SCALE = 10_000
_LIMIT = round(THRESHOLD * _SCALE)
_LEAD = LONGEST_HOURS * TICKS - 1
#: Rows of the sums: counted documents; and what is weighted, its squares last.
_COUNT, _TOTAL, _SQUARES, _BULLISH, _BEARISH, _FOLDED, _WEIGHT, _WEIGHED, _WEIGHT2 = range(9)

Floats = np.ndarray[Any, np.dtype[np.float64]]


def decay(window_ticks: int) -> tuple[Ints, int]:
    """Weights of the steps of a window in hundredths, from the newest to the oldest, and the ticks of a step."""
    steps = min(STEPS, window_ticks)
    middle = (np.arange(steps) + 0.5) / steps
    return np.rint(_DECAY * 2.0 ** (-HALVINGS * middle)).astype(np.int64), window_ticks // steps


def aggregate(scores: pd.DataFrame, mentions: pd.DataFrame, universe: Universe, first: int, last: int,
              coverage: Floats | None = None) -> pd.DataFrame:
    """One row per existing symbol (and ``*``), time window and tick ``at`` (a full ten minutes).

    A row at ``at`` counts the documents with ``available_at`` in ``(at - window, at]``, copies of earlier ones once.

    Args:
        scores: columns ``available_at`` (UTC), ``compound``; one row per document (its first revision), reaching
            back ``LONGEST_HOURS`` before the first tick. Optional: ``weight`` (a whole number), else all weigh the
            same; ``copy`` (bool), else none is one.
        mentions: the same columns and ``symbol``; one row per document and symbol.
        universe: which symbols exist at the full hours; between two full hours, those of the earlier one do.
        first, last: ticks since 1970 UTC, ``last`` not included.
        coverage: (windows, ticks) share of the window in which documents were collected, else 1.

    Returns:
        ``COLUMNS``, ordered by (at, symbol, window). ``documents`` were counted, ``duplicates`` folded. ``mean`` and
        ``dispersion`` (population standard deviation) are unweighted, ``weighted`` is the weighted mean, all in units
        of the compound score and NaN when there is no document. Where ``coverage`` is 0 nothing is known:
        ``documents`` is 0 because none was seen, not because none was written. (It is not null: a count that may be
        null burdens every reader with a case that ``coverage`` tells, too.)
    """
    symbols, width = universe.symbols, max(last - first, 0)
    codes = pd.Index(symbols, dtype=object).get_indexer(mentions["symbol"])
    wanted = codes >= 0
    sums = np.concatenate([
        _buckets(np.zeros(len(scores), dtype=np.int64), scores, 1, first, width),
        _buckets(codes[wanted].astype(np.int64), mentions[wanted], len(symbols), first, width)], axis=1)
    running = np.concatenate([np.zeros((*sums.shape[:2], 1), dtype=np.int64), np.cumsum(sums, axis=2)], axis=2)
    hour = (first + np.arange(width)) // TICKS - universe.first
    names = np.array([MARKET, *symbols], dtype=object)
    rank = np.argsort(names.astype(str), kind="stable")  # by code points, as the table's keys are
    exists = np.concatenate([np.ones((1, width), dtype=bool), universe.alive[:, hour]])[rank].T
    covered = np.ones((len(WINDOWS), width)) if coverage is None else coverage
    parts = {name: _statistics(_trailing(running[:, rank], ticks, width), covered[number])
             for number, (name, ticks) in enumerate(WINDOW_TICKS.items())}
    order = sorted(parts)
    # Tables of shape (ticks, symbols, windows), in the order of the rows.
    frame = {column: np.stack([parts[name][column].T for name in order], axis=2)[exists].ravel()
             for column in COLUMNS[4:]}
    rows, place = np.nonzero(exists)
    at = times(np.repeat((first + rows) * TICK_US, len(order)))
    return pd.DataFrame({
        "symbol": np.repeat(names[rank][place], len(order)),
        "window": np.tile(np.array(order, dtype=object), len(rows)), "at": at, "available_at": at, **frame})


def _buckets(codes: Ints, frame: pd.DataFrame, symbols: int, first: int, width: int) -> Ints:
    """Sums per tick, shape (9, symbols, ticks), with ``_LEAD`` ticks of lead before ``first``."""
    tick = full_tick_after(microseconds(frame["available_at"])) - (first - _LEAD)
    inside = (tick >= 0) & (tick < width + _LEAD)
    value = np.rint(frame["compound"].to_numpy(dtype=np.float64) * _SCALE).astype(np.int64)[inside]
    counted, weight = np.ones_like(value), np.ones_like(value)
    if "copy" in frame:
        counted = 1 - frame["copy"].to_numpy(dtype=np.int64)[inside]
    if "weight" in frame:
        weight = frame["weight"].to_numpy(dtype=np.int64)[inside]
    weight = weight * counted
    cell = codes[inside], tick[inside]
    sums = np.zeros((9, symbols, width + _LEAD), dtype=np.int64)
    for target, amount in zip(sums, (
            counted, counted * value, counted * value**2, counted * (value >= _LIMIT), counted * (value <= -_LIMIT),
            1 - counted, weight, weight * value, weight**2), strict=True):
        np.add.at(target, cell, amount)
    return sums


def _trailing(running: Ints, ticks: int, width: int) -> Ints:
    """Sums over the last ``ticks``, shape (9, symbols, width); the weighted ones decay with age. Whole numbers: a
    running sum is exact wherever it began."""
    def at(back: int, rows: slice) -> Ints:
        return np.asarray(running[rows, :, _LEAD + 1 - back:_LEAD + 1 - back + width])

    plain = at(0, slice(0, _WEIGHT)) - at(ticks, slice(0, _WEIGHT))
    weights, step = decay(ticks)
    faded = np.zeros((3, *plain.shape[1:]), dtype=np.int64)
    newer = at(0, slice(_WEIGHT, None))
    for number, weight in enumerate(weights.tolist()):
        older = at((number + 1) * step, slice(_WEIGHT, None))
        faded += (newer - older) * np.array([weight, weight, weight**2])[:, None, None]
        newer = older
    return np.concatenate([plain, faded])


def _statistics(sums: Ints, coverage: Floats) -> dict[str, Any]:
    """The measures of one window, each of shape (symbols, ticks)."""
    count, total, squares, bullish, bearish, folded, weight, weighed, weight2 = sums
    number = np.maximum(count, 1)
    # Squares around the whole part of the mean stay far below 2^63; the rest (0 <= rest < count) is exact, too.
    centre = total // number
    rest = total - centre * number
    around = squares - 2 * centre * total + count * centre**2
    variance = np.maximum((around - rest * rest / number) / number, 0.0)
    dispersion = np.sqrt(variance) / _SCALE
    empty = count == 0
    covered = np.broadcast_to(coverage, count.shape)
    return {
        "documents": count, "duplicates": folded, "mean": np.where(empty, np.nan, total / (number * _SCALE)),
        "dispersion": np.where(empty, np.nan, dispersion), "bullish": bullish, "bearish": bearish,
        "neutral": count - bullish - bearish,
        "weighted": np.where(empty, np.nan, np.round(weighed / (np.maximum(weight, 1) * _SCALE), DECIMALS)),
        "confidence": np.round(confidence(weight, weight2, dispersion, covered), DECIMALS),
        "coverage": np.round(covered, DECIMALS)}


def confidence(weight: Ints, weight2: Ints, dispersion: Floats, coverage: Floats) -> Floats:
    """How much the weighted mean can be relied on, in [0, 1]: n / (n + k) x (1 - dispersion) x coverage.

    n is the effective number of documents, (sum of weights)^2 / sum of their squares (Kish, "Survey Sampling", 1965):
    a hundred posts of a week ago or of doubtful sources are not a hundred fresh ones. n / (n + k) is Bühlmann's
    credibility factor (1967), with k = ``HALF_CONFIDENT``. Agreement is 1 - dispersion: scores lie in [-1, 1], so 1
    is the largest dispersion there is, reached when half say 1 and half say -1. Without documents it is 0.
    """
    effective = weight.astype(np.float64) ** 2 / np.maximum(weight2, 1)
    return np.asarray(effective / (effective + HALF_CONFIDENT) * (1.0 - np.minimum(dispersion, 1.0)) * coverage)
