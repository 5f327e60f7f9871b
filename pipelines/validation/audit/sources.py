"""(e) Fields that no feature may be made of: engagement as counted when somebody crawled, and how a trade ended.

A crawler reads likes and comments long after the post: the count is stamped with the post's time and holds the days
since. Of a trade only what was known when it was opened may be used. What *earlier* trades have brought is another
thing: a feature declares it as ``closed_trades.<field>``, and prefix invariance holds it to its time. A label may be
made of an outcome, for it counts from ``label_end`` on.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from pipelines.contracts.columns import LABEL_COLUMNS, SCHEMAS, Kind
from pipelines.validation.audit.compare import differing
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import Build, Subject, columns_of

NAME = "sources"
#: Counts that go on growing after the text was published.
CRAWLED = frozenset({
    "engagement", "score", "ups", "downs", "upvotes", "downvotes", "upvote_ratio", "likes", "like_count", "favorites",
    "favorite_count", "retweets", "retweet_count", "shares", "reposts", "replies", "reply_count", "comments_count",
    "comment_count", "num_comments", "views", "view_count", "awards", "total_awards_received", "gilded"})
LABEL_END = "label_end"
_AT_ENTRY = frozenset({"symbol", "side", "entry_price", "size"})
#: What a trade log knows only when the trade is closed.
OUTCOMES = frozenset({*SCHEMAS[Kind.TRADES].values, "exit_time", "close_date", "profit", "profit_abs", "pnl",
                      "trade_duration", "min_rate", "max_rate"}) - _AT_ENTRY
#: The table of trades that were closed when the row was decided (``features.history``).
_EARLIER = "closed_trades"
_LABELS = frozenset({*LABEL_COLUMNS, "outcomes", "predictions"})


def check(subject: Subject) -> CheckResult:
    """Declared sources first; then, where the facts are at hand, scramble the forbidden fields and see what moves."""
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked = Looked()
    names = {*subject.sources, *subject.features}
    for column in sorted(names):
        looked += Looked(0, 1, 0)
        for source in (column, *subject.sources.get(column, ())):
            why = forbidden(source)
            if why:
                found[column] = _first_value(subject, column), f"{column} is made of {source}, {why}: leave it out"
                break
    for build in subject.builds:
        looked += _scramble(subject, build, found)
    if not names and not looked.cuts:
        return skipped(NAME, "no declared source and no forbidden field among the facts")
    return conclude(NAME, found, looked)


def forbidden(source: str) -> str | None:
    """Why nothing may be made of ``source`` (a field, ``kind:field`` or ``kind.field``); None if it may."""
    parts = re.split(r"[:.]", source.lower())
    field = parts[-1]
    if field in CRAWLED:
        return "a count that was taken when the text was crawled, not when it was written"
    if field in OUTCOMES and parts[0] != _EARLIER:
        return "which a trade log knows only after the trade was closed"
    if field in _LABELS:
        return "which is the outcome itself"
    return None


def _scramble(subject: Subject, build: Build, found: dict[str, tuple[pd.Timestamp | None, str]]) -> Looked:
    if build.facts is None or build.function is None:
        return Looked()
    whole, looked = subject.whole(build), Looked()
    own = OUTCOMES if build.known == LABEL_END else frozenset()
    for kind, frame in build.facts.items():
        numbers = [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
        for field in [name for name in numbers if name not in own and forbidden(name)]:
            noise = subject.rng(NAME, field).standard_normal(len(frame))
            values = frame[field].astype("float64")
            facts = {**build.facts, kind: frame.assign(**{field: np.where(values.isna(), np.nan, 7 * noise + 1)})}
            other = build.function(facts)
            looked += Looked(1, 0, len(whole))
            one, two = (rows.sort_values(list(build.key), ignore_index=True) for rows in (whole, other))
            for column in columns_of(build, one):
                if len(one) != len(two):
                    found.setdefault(build.known, (one[build.event].min(), f"rows of {build.name} come and go with "
                                                   f"{kind}.{field}, {forbidden(field)}: leave it out"))
                    break
                wrong = differing(one[column], two[column])
                if wrong.any():
                    at = one.loc[wrong, build.event].min()
                    found[column] = at, (f"{build.name}: {column} of {at} is made of {kind}.{field}, "
                                         f"{forbidden(field)}: leave it out")
    return looked


def _first_value(subject: Subject, column: str) -> pd.Timestamp | None:
    frame = subject.frame
    if frame is None or column not in frame.columns or frame[column].isna().all():
        return None
    first: pd.Timestamp = frame.loc[frame[column].notna(), "event_time"].min()
    return first
