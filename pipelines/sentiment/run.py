"""Score what became available in a partition, and its aggregates: one transaction, safe to repeat."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection, delete

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.sentiment import credibility, duplicates, lexicon, mentions, outages, scorer, weights
from pipelines.sentiment.aggregate import LONGEST_HOURS, WINDOW_TICKS, aggregate
from pipelines.sentiment.hours import TICK_US, full_hour, full_tick, times
from pipelines.sentiment.universe import ALIVE_HOURS, Universe
from pipelines.store import Warehouse, asof, derived, loads, tables
from pipelines.store.upsert import upsert

#: The scorer of the stored scores; another lexicon version is another scorer.
SCORER = f"tidemark-{lexicon.VERSION}"
#: Name of these partitions in ``store.loads``.
DATASET = "sentiment"
#: How far back the documents of a partition's windows and the copies among them reach.
LEAD = timedelta(hours=LONGEST_HOURS + duplicates.HORIZON_HOURS)
#: How far back the mentions reach from which the credibility of those documents is learned.
HISTORY = timedelta(hours=LONGEST_HOURS) + credibility.REACH

_KEY = ["source", "doc_id", "event_time"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentimentReport:
    """Documents that became available in the window, mentions in them, aggregate rows of its full ten minutes, and
    how many of the documents were copies of earlier ones."""

    scored: int
    mentions: int
    aggregates: int
    duplicates: int


def run(warehouse: Warehouse, window: Window, configured: Mapping[str, float] | None = None, *,
        part: bool = False) -> SentimentReport:
    """Score the documents whose first revision became available in ``window``, find their mentions, and aggregate at
    its full ten minutes. Rows that are there already do not change.

    What is looked back on (``HISTORY``) and has not been scored yet is scored, too: partitions may run in any order.
    Needs the bars of the window and the week before, else no symbol is known and only the market (``*``) has rows.

    Args:
        configured: weights of sources by name or kind, over those of ``credibility.PRIORS``.
        part: the window is a slice of a partition that is under way and will be scored as a whole later.

    Raises:
        StoreUnavailable, StoreError
    """
    known, lead, history = asof.just_before(window.end), window.start - LEAD, window.start - HISTORY
    documents = _documents(warehouse, lead, window.end)
    bars = asof.read(warehouse, Kind.BARS, as_of=known, by="available_at", revisions="first", end=window.end,
                     start=history - timedelta(hours=ALIVE_HOURS + 1))
    # One hour earlier than the first document: its mentions ask for the full hour before it.
    universe = Universe.of(bars, full_hour(history) - 1, full_hour(window.end))
    first, last = full_tick(window.start), full_tick(window.end)
    coverage = _coverage(warehouse, known, first, last)
    missed = _missed(warehouse, Window(history, lead))
    with warehouse.begin() as connection:
        if missed is not None:
            earlier = _Part(connection, missed, universe, Window(history, lead), history)
            earlier.score()
            earlier.find_mentions()
        piece = _Part(connection, documents, universe, window, lead)
        piece.score()
        piece.find_mentions()
        trusted = weights.learn(derived.read(connection, tables.mentions, by="available_at", start=history,
                                             end=window.end), bars, documents, window,
                                {**credibility.PRIORS, **(configured or {})})
        upsert(connection, tables.source_credibility, weights.stored(trusted, documents, window))
        weighed = weights.weigh(documents, text_of(documents), trusted)
        scores = piece.scores.assign(weight=weighed["weight"], copy=weighed["copy"])
        rows = aggregate(scores, piece.mentions.merge(scores[[*_KEY, "compound", "weight", "copy"]], on=_KEY), universe,
                         first, last, coverage)
        upsert(connection, tables.sentiment_aggregates, rows)
        report = SentimentReport(int(piece.own.sum()), piece.own_mentions, len(rows),
                                 int(weighed["copy"].to_numpy()[piece.own].sum()))
        loads.mark(connection, DATASET, window, rows=report.scored, digest=None, at=window.end, part=part)
    if report.scored and not universe.alive[:, full_hour(lead) - universe.first:].any():
        _log.warning("no bars are known in the week before %s: %d documents count for the market only; load the bars "
                     "and run this partition again", window.end, report.scored)
    return report


def text_of(documents: pd.DataFrame) -> list[str]:
    """What is scored of each document: its title and its text, once if the text begins with the title."""
    return [body if not title or body.startswith(title) else f"{title}\n{body}"
            for title, body in zip(documents["title"].fillna(""), documents["text"].fillna(""), strict=True)]


def _documents(warehouse: Warehouse, start: datetime, end: datetime) -> pd.DataFrame:
    return asof.read(warehouse, Kind.DOCUMENTS, as_of=asof.just_before(end), start=start, end=end, by="available_at",
                     revisions="first")


def _missed(warehouse: Warehouse, stretch: Window) -> pd.DataFrame | None:
    """The documents of a stretch before the partition, if any of them has no score. In order of time all have."""
    scored = len(derived.read(warehouse, tables.sentiment_scores, columns=["doc_id"], where={"scorer": SCORER},
                              by="available_at", start=stretch.start, end=stretch.end))
    known = asof.just_before(stretch.end)
    if scored == asof.count(warehouse, Kind.DOCUMENTS, as_of=known, start=stretch.start, end=stretch.end):
        return None
    return _documents(warehouse, stretch.start, stretch.end)


def _coverage(warehouse: Warehouse, known: datetime, first: int, last: int) -> outages.Floats:
    windows = tuple(WINDOW_TICKS.values())
    start = times(np.array([first * TICK_US]))[0].to_pydatetime() - timedelta(days=outages.lead_days(max(windows)) + 1)
    arrivals = asof.arrivals(warehouse, as_of=known, start=start, end=known + timedelta(microseconds=1),
                             step=timedelta(microseconds=TICK_US))
    return outages.coverage(arrivals, first, last, windows)


class _Part:
    """The documents of one partition and the time before it, inside one transaction."""

    def __init__(self, connection: Connection, documents: pd.DataFrame, universe: Universe, window: Window,
                 lead: datetime) -> None:
        self._connection, self._universe, self._window = connection, universe, window
        known = derived.read(connection, tables.sentiment_scores, columns=[*_KEY, "compound"],
                             where={"scorer": SCORER}, by="available_at", start=lead, end=window.end)
        self.scores = documents[[*_KEY, "available_at"]].merge(known, on=_KEY, how="left")
        self._stored = derived.read(connection, tables.mentions, by="available_at", start=lead, end=window.end)
        self.own = (documents["available_at"] >= pd.Timestamp(window.start)).to_numpy()
        self._fresh = self.scores["compound"].isna().to_numpy()
        self._touched = self._fresh | self.own
        self._texts = text_of(documents[self._touched])
        self.mentions = self._stored
        self.own_mentions = 0

    def score(self) -> None:
        """Score what has no score yet."""
        fresh = self._fresh
        texts = [text for text, new in zip(self._texts, fresh[self._touched], strict=True) if new]
        polarity = scorer.get("tidemark").score(texts)
        rows = self.scores.loc[fresh, [*_KEY, "available_at"]].reset_index(drop=True)
        upsert(self._connection, tables.sentiment_scores, pd.concat([rows, polarity], axis=1).assign(scorer=SCORER))
        self.scores.loc[fresh, "compound"] = polarity["compound"].to_numpy()

    def find_mentions(self) -> None:
        """Find what the partition's documents mention, and drop stored mentions that are no longer found."""
        touched = self.scores[self._touched].reset_index(drop=True)
        found = mentions.mentions(self._texts, touched["compound"].to_numpy(dtype=np.float64), self._universe.symbols)
        rows = pd.concat([touched.loc[found["row"], [*_KEY, "available_at"]].reset_index(drop=True),
                          found[["symbol", "label"]]], axis=1)
        rows = rows[self._universe.knows(rows["symbol"], rows["available_at"])].reset_index(drop=True)
        start = pd.Timestamp(self._window.start)
        stored = self._stored
        stale = stored[stored["available_at"] >= start].merge(
            rows[[*_KEY, "symbol"]], on=[*_KEY, "symbol"], how="left", indicator=True)["_merge"] == "left_only"
        if stale.any():
            table = tables.mentions
            self._connection.execute(delete(table).where(
                table.c.available_at >= self._window.start, table.c.available_at < self._window.end))
        upsert(self._connection, tables.mentions, rows)
        self.own_mentions = int((rows["available_at"] >= start).sum())
        before = stored[stored["available_at"] < start]
        self.mentions = pd.concat([before, rows]).drop_duplicates([*_KEY, "symbol"], keep="last", ignore_index=True)
