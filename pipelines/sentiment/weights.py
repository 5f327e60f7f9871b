"""What each document counts for: nothing if it is a copy, else the credibility of its source times its engagement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.window import Window
from pipelines.sentiment import credibility, duplicates
from pipelines.sentiment.aggregate import LONGEST_HOURS
from pipelines.sentiment.credibility import DAY_US
from pipelines.sentiment.hours import Ints, instant, microseconds, times

#: Unit of engagement weights; 1 + log10(1 + count) is cut here (at 999 reactions).
ENGAGEMENT_SCALE, MOST_ENGAGED = 10, 4.0
#: A source's credibility is stored for the days before which it wrote something this lately.
RECENT_DAYS = 7


def learn(mentions: pd.DataFrame, bars: pd.DataFrame, documents: pd.DataFrame, window: Window,
          priors: Mapping[str, float]) -> pd.DataFrame:
    """Credibility of the sources of ``documents``, for all days on which a document of the windows that end in
    ``window`` can have become available.

    Args:
        mentions: stored ones, back to ``credibility.REACH`` before the longest window.
        bars: first revisions, as far back.
        documents: ``source``, ``kind``.

    Returns:
        As ``credibility.table``.
    """
    first = instant(window.start - timedelta(hours=LONGEST_HOURS)) // DAY_US
    last = -(-instant(window.end) // DAY_US)
    pairs = documents[["source", "kind"]].drop_duplicates().itertuples(index=False, name=None)
    return credibility.table(credibility.observations(mentions, bars), pairs, first, last, priors)


def stored(trusted: pd.DataFrame, documents: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Rows of ``source_credibility``: the UTC days that begin in ``window`` and the sources that wrote something in
    the week before them. Each day begins in one partition only, so the rows are the same however a stretch is cut."""
    at = times(trusted["day"].to_numpy(dtype=np.int64) * DAY_US)
    rows = trusted.assign(at=at, available_at=at)
    rows = rows[(rows["at"] >= pd.Timestamp(window.start)) & (rows["at"] < pd.Timestamp(window.end))]
    seen = documents[["source", "kind"]].assign(day=microseconds(documents["available_at"]) // DAY_US)
    seen = seen.drop_duplicates()
    recent = pd.concat([seen.assign(day=seen["day"] + after) for after in range(1, RECENT_DAYS + 1)])
    recent = recent.drop_duplicates()
    rows = rows.merge(recent, on=["source", "kind", "day"])
    return rows.assign(weight=rows["weight"] / credibility.SCALE, hits=rows["hits"] / credibility.SHARE).drop(
        columns="day")


def weigh(documents: pd.DataFrame, texts: Sequence[str], trusted: pd.DataFrame) -> pd.DataFrame:
    """Weight and copy of each document, in its own row.

    Args:
        documents: ``source``, ``kind``, ``available_at`` (UTC), ``engagement``, ordered by key; back to
            ``duplicates.HORIZON_HOURS`` before the first one that counts.
        texts: what is scored of each.
        trusted: as from ``learn``; documents of earlier days, which no window reaches, weigh 0.

    Returns:
        ``weight``: credibility in hundredths times engagement in tenths, whole numbers up to 8,000; ``copy``: whether
        it repeats an earlier document.
    """
    at = microseconds(documents["available_at"])
    believed = documents[["source", "kind"]].assign(day=at // DAY_US).merge(
        trusted[["source", "kind", "day", "weight"]], on=["source", "kind", "day"], how="left")["weight"]
    copies = duplicates.copies(texts, at, np.argsort(at, kind="stable"))
    return pd.DataFrame({
        "weight": believed.fillna(0).to_numpy(dtype=np.int64) * engagement_weight(documents["engagement"]),
        "copy": copies >= 0})


def engagement_weight(engagement: pd.Series) -> Ints:
    """1 + log10(1 + count) in whole tenths, at most 40. Where nothing was counted it is that of no reaction: the count
    that is known when a post appears is nearly always small, and one from a later crawl must not be used at all
    (sources that have only such counts deliver none)."""
    count = engagement.to_numpy(dtype=np.float64)
    weight = 1.0 + np.log10(1.0 + np.where(np.isnan(count), 0.0, np.maximum(count, 0.0)))
    return np.asarray(np.rint(ENGAGEMENT_SCALE * np.minimum(weight, MOST_ENGAGED)).astype(np.int64))
