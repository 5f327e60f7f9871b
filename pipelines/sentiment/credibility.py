"""How far a source is believed: what is configured, moved by how often it was right, as far as that was known.

An *observation* is one source, symbol and UTC day: the share of the source's bullish and bearish mentions of the
symbol on that day whose sign the next 24 hours' return had. All mentions of a day share nearly one return, so they
count as one observation, not as many. Hits are shrunk towards one half by a Beta(a, a) prior (Beta-binomial):

    p = (a + hits) / (2 a + n),    weight = prior * p / 0.5,    clipped to [0.25, 2]

over the observations of the last ``HISTORY_DAYS`` that had matured at the beginning of the UTC day. The mentions of a
day have all matured two midnights later. The lexicon never looks at prices; this does, and only at past ones.

All weights are whole hundredths, computed from whole numbers: they are the same whatever stretch they are computed in.
Source of the shrinkage: Gelman et al., "Bayesian Data Analysis", 3rd ed., section 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.sentiment.hours import HOUR_US, Ints, microseconds
from pipelines.sentiment.mentions import BEARISH, BULLISH

#: Weights of sources before anything is learned, by name (of the source or the beginning of it before a dash) or by
#: kind of document. An editor stands between a rumour and the news; nobody does before a post.
PRIORS: Mapping[str, float] = {"news": 1.0, "post": 0.6, "reddit": 0.6, "stocktwits": 0.5, "x": 0.5}
#: What a source of none of these names and kinds weighs.
OTHER = 0.6
#: Days of observations behind a weight; observations of the prior on each side (a).
HISTORY_DAYS, PRIOR_SIDE = 90, 50
#: From the beginning of a day to the beginning of the last day that has matured by then.
MATURE_DAYS = 2
#: Bounds and unit of weights, unit of hits.
LOWEST, HIGHEST, SCALE = 25, 200, 100
DAY_US = 24 * HOUR_US
SHARE = 1000
COLUMNS = ("source", "kind", "day", "weight", "n", "hits")
#: From the beginning of a document to that of the oldest mention that can count for its weight, at most.
REACH = timedelta(days=HISTORY_DAYS + MATURE_DAYS + 1)


def observations(mentions: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """What came of the mentions.

    The return runs from the last close known when the mention became available to the last one known 24 hours later.

    Args:
        mentions: ``source``, ``symbol``, ``available_at`` (UTC), ``label``; neutral ones are left out.
        bars: ``symbol``, ``event_time``, ``available_at`` (UTC), ``close``; first revisions.

    Returns:
        One row per ``source`` and ``day`` (days since 1970 UTC): ``n`` observations and their ``hits`` in thousandths.
    """
    told = mentions[mentions["label"].isin([BULLISH, BEARISH])]
    at = microseconds(told["available_at"])
    sign = np.where((told["label"] == BULLISH).to_numpy(), 1, -1)
    moved = np.zeros(len(told), dtype=np.int64)
    symbols = told["symbol"].to_numpy()
    for symbol, own in bars[bars["symbol"].isin(symbols)].groupby("symbol"):
        rows = symbols == symbol
        moved[rows] = _signs(own, at[rows])
    known = moved != 0
    cells = pd.DataFrame({"source": told["source"].to_numpy()[known], "symbol": symbols[known],
                          "day": at[known] // DAY_US, "told": 1, "hit": (moved == sign)[known].astype(np.int64)})
    daily = cells.groupby(["source", "symbol", "day"], as_index=False)[["told", "hit"]].sum()
    daily["hits"] = (2 * SHARE * daily["hit"] + daily["told"]) // (2 * daily["told"])  # rounded half up
    return daily.assign(n=1).groupby(["source", "day"], as_index=False)[["n", "hits"]].sum()


def _signs(bars: pd.DataFrame, at: Ints) -> Ints:
    """Sign of the 24-hour return from each time, 0 where there is none."""
    order = np.lexsort((microseconds(bars["event_time"]), microseconds(bars["available_at"])))
    known, event = (microseconds(bars[name])[order] for name in ("available_at", "event_time"))
    newest = event >= np.maximum.accumulate(event)  # a late old bar does not become the last close
    known, close = known[newest], bars["close"].to_numpy(dtype=np.float64)[order][newest]
    before, after = (np.searchsorted(known, moment, side="right") - 1 for moment in (at, at + DAY_US))
    there = (before >= 0) & (after > before)
    return np.where(there, np.sign(close[after] - close[np.maximum(before, 0)]), 0).astype(np.int64)


def table(seen: pd.DataFrame, sources: Iterable[tuple[str, str]], first: int, last: int,
          priors: Mapping[str, float] = PRIORS) -> pd.DataFrame:
    """Weights at the beginnings of the days ``first`` to ``last`` (not included).

    Args:
        seen: as from ``observations``, back to ``HISTORY_DAYS + MATURE_DAYS`` days before ``first``.
        sources: source and kind of its documents; one that writes both news and posts is learned about once and
            configured twice.

    Returns:
        ``source``, ``kind``, ``day``, ``weight`` (hundredths), ``n``, ``hits`` (thousandths), ordered by the first
        three.
    """
    span = HISTORY_DAYS + MATURE_DAYS
    width = last - first
    parts = []
    for source, kind in sorted(sources):
        own = seen[seen["source"] == source]
        place = own["day"].to_numpy() - (first - span)
        inside = (place >= 0) & (place < width + span)
        sums = np.zeros((2, width + span + 1), dtype=np.int64)
        for row, name in zip(sums, ("n", "hits"), strict=True):
            np.add.at(row, place[inside] + 1, own[name].to_numpy()[inside])
        total = np.cumsum(sums, axis=1)
        # Position d + span is the day itself; the last matured one is MATURE_DAYS before it.
        day = np.arange(width)
        n, hits = total[:, day + HISTORY_DAYS + 1] - total[:, day + 1]
        over = SHARE * (2 * PRIOR_SIDE + n)
        prior = round(SCALE * prior_of(source, kind, priors))
        weight = (4 * prior * (SHARE * PRIOR_SIDE + hits) + over) // (2 * over)  # rounded half up
        parts.append(pd.DataFrame({"source": source, "kind": kind, "day": first + day,
                                   "weight": np.clip(weight, LOWEST, HIGHEST), "n": n, "hits": hits}))
    if parts:
        return pd.concat(parts, ignore_index=True)
    return pd.DataFrame({name: pd.Series([], dtype=object if name in ("source", "kind") else np.int64)
                         for name in COLUMNS})


def prior_of(source: str, kind: str, priors: Mapping[str, float] = PRIORS) -> float:
    """The configured weight of a source: by its name, else by the part before the first dash, else by its kind."""
    return next((priors[name] for name in (source, source.partition("-")[0], kind) if name in priors), OTHER)
