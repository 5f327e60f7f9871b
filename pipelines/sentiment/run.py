"""Score what became available in a partition, and its aggregates: one transaction, safe to repeat."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection, delete

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.sentiment import lexicon, mentions, scorer
from pipelines.sentiment.aggregate import LONGEST_HOURS, aggregate
from pipelines.sentiment.hours import full_hour
from pipelines.sentiment.universe import ALIVE_HOURS, Universe
from pipelines.store import Warehouse, asof, derived, loads, tables
from pipelines.store.upsert import upsert

#: The scorer of the stored scores; another lexicon version is another scorer.
SCORER = f"tidemark-{lexicon.VERSION}"
#: Name of these partitions in ``store.loads``.
DATASET = "sentiment"

_KEY = ["source", "doc_id", "event_time"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentimentReport:
    """Documents that became available in the window, mentions in them, and aggregate rows of its full hours."""

    scored: int
    mentions: int
    aggregates: int


def run(warehouse: Warehouse, window: Window, *, part: bool = False) -> SentimentReport:
    """Score the documents whose first revision became available in ``window``, find their mentions, and aggregate at
    its full hours. Rows that are there already do not change.

    Documents of the week before that nobody has scored yet are scored, too: partitions may run in any order. Needs
    the bars of the window and the week before, else no symbol is known and only the market (``*``) has rows.

    Args:
        part: the window is a slice of a partition that is under way and will be scored as a whole later.

    Raises:
        StoreUnavailable, StoreError
    """
    lead = window.start - timedelta(hours=LONGEST_HOURS)
    documents = asof.read(warehouse, Kind.DOCUMENTS, as_of=asof.just_before(window.end), start=lead, end=window.end,
                          by="available_at", revisions="first")
    universe = _universe(warehouse, lead, window)
    with warehouse.begin() as connection:
        piece = _Part(connection, documents, universe, window, lead)
        piece.score()
        piece.find_mentions()
        first = full_hour(window.start)
        grid = Universe(universe.symbols, first, universe.alive[:, first - universe.first:])
        rows = aggregate(piece.scores, piece.mentions.merge(piece.scores[[*_KEY, "compound"]], on=_KEY), grid)
        upsert(connection, tables.sentiment_aggregates, rows)
        report = SentimentReport(int(piece.own.sum()), piece.own_mentions, len(rows))
        loads.mark(connection, DATASET, window, rows=report.scored, digest=None, at=window.end, part=part)
    if report.scored and not universe.symbols:
        _log.warning("no bars are known in the week before %s: %d documents count for the market only; load the bars "
                     "and run this partition again", window.end, report.scored)
    return report


def text_of(documents: pd.DataFrame) -> list[str]:
    """What is scored of each document: its title and its text, once if the text begins with the title."""
    return [body if not title or body.startswith(title) else f"{title}\n{body}"
            for title, body in zip(documents["title"].fillna(""), documents["text"].fillna(""), strict=True)]


def _universe(warehouse: Warehouse, lead: datetime, window: Window) -> Universe:
    bars = asof.read(warehouse, Kind.BARS, as_of=asof.just_before(window.end), by="available_at", revisions="first",
                     start=lead - timedelta(hours=ALIVE_HOURS + 1), end=window.end)
    # One hour earlier than the first document: its mentions ask for the full hour before it.
    return Universe.of(bars, full_hour(lead) - 1, full_hour(window.end))


class _Part:
    """The documents of one partition and the week before it, inside one transaction."""

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
