"""Sentiment per symbol and time window on the hourly grid, exactly.

VADER rounds compound scores to four decimals, so sums are taken over whole ten-thousandths: integer addition has no
order, and an hour computed alone equals the same hour computed within a year, bit for bit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import HOUR_US, Ints, full_hour_after, microseconds, times
from pipelines.sentiment.mentions import THRESHOLD
from pipelines.sentiment.universe import Universe

#: Name in the table → hours.
WINDOWS: dict[str, int] = {"1h": 1, "4h": 4, "1d": 24, "1w": 168}
LONGEST_HOURS = max(WINDOWS.values())
MARKET = "*"
COLUMNS = ("symbol", "window", "at", "available_at", "documents", "mean", "dispersion", "bullish", "bearish",
           "neutral")

_SCALE = 10_000
_LIMIT = round(THRESHOLD * _SCALE)


def aggregate(scores: pd.DataFrame, mentions: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """One row per existing symbol (and ``*``), time window and full hour ``at`` of the universe.

    A row at ``at`` counts the documents with ``available_at`` in ``(at - window, at]``.

    Args:
        scores: columns ``available_at`` (UTC), ``compound``; one row per document (its first revision), reaching
            back ``LONGEST_HOURS`` before the first hour.
        mentions: columns ``symbol``, ``available_at``, ``compound``; one row per document and symbol.
        universe: which symbols have rows at which hours; ``*`` has one at each.

    Returns:
        ``COLUMNS``, ordered by (at, symbol, window). ``mean`` and ``dispersion`` (population standard deviation) are
        in units of the compound score, NaN when there is no document.
    """
    symbols, first, width = universe.symbols, universe.first, universe.alive.shape[1]
    codes = pd.Index(symbols, dtype=object).get_indexer(mentions["symbol"])
    wanted = codes >= 0
    counts = np.concatenate([
        _buckets(np.zeros(len(scores), dtype=np.int64), scores, 1, first, width),
        _buckets(codes[wanted].astype(np.int64), mentions[wanted], len(symbols), first, width)], axis=1)
    exists = np.concatenate([np.ones((1, width), dtype=bool), universe.alive])
    names = np.repeat(np.array([MARKET, *symbols], dtype=object)[:, None], width, axis=1)[exists]
    hours = np.broadcast_to((first + np.arange(width)) * HOUR_US, exists.shape)[exists]
    at = times(hours)
    parts = []
    for name, hours_back in WINDOWS.items():
        part = _statistics(_trailing(counts, hours_back)[:, exists])
        parts.append(part.assign(symbol=names, window=name, at=at, available_at=at))
    return pd.concat(parts, ignore_index=True).sort_values(["at", "symbol", "window"], ignore_index=True)[list(COLUMNS)]


def _buckets(codes: Ints, frame: pd.DataFrame, symbols: int, first: int, width: int) -> Ints:
    """Sums per hour of (documents, compound, compound squared, bullish, bearish), shape (5, symbols, hours) with
    ``LONGEST_HOURS`` - 1 hours of lead before ``first``."""
    lead = LONGEST_HOURS - 1
    hour = full_hour_after(microseconds(frame["available_at"])) - (first - lead)
    inside = (hour >= 0) & (hour < width + lead)
    value = np.rint(frame["compound"].to_numpy(dtype=np.float64) * _SCALE).astype(np.int64)[inside]
    cell = codes[inside], hour[inside]
    sums = np.zeros((5, symbols, width + lead), dtype=np.int64)
    for target, amount in zip(sums, (1, value, value**2, value >= _LIMIT, value <= -_LIMIT), strict=True):
        np.add.at(target, cell, np.asarray(amount, dtype=np.int64))
    return sums


def _trailing(sums: Ints, width: int) -> Ints:
    """Sums over the last ``width`` hours. Whole numbers: the cumulative sum is exact wherever it began."""
    total = np.concatenate([np.zeros((*sums.shape[:2], 1), dtype=np.int64), np.cumsum(sums, axis=2)], axis=2)
    return np.asarray(total[..., LONGEST_HOURS:] - total[..., LONGEST_HOURS - width:total.shape[2] - width])


def _statistics(sums: Ints) -> pd.DataFrame:
    count, total, squares, bullish, bearish = sums
    number = np.maximum(count, 1)
    # Squares around the whole part of the mean stay far below 2^63; the rest (0 <= rest < count) is exact, too.
    centre = total // number
    rest = total - centre * number
    around = squares - 2 * centre * total + count * centre**2
    variance = np.maximum((around - rest * rest / number) / number, 0.0)
    empty = count == 0
    return pd.DataFrame({
        "documents": count, "mean": np.where(empty, np.nan, total / (number * _SCALE)),
        "dispersion": np.where(empty, np.nan, np.sqrt(variance) / _SCALE),
        "bullish": bullish, "bearish": bearish, "neutral": count - bullish - bearish})
