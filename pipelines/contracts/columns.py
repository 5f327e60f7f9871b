"""The columns of every frame that crosses a room's wall.

All times are pandas ``datetime64[us, UTC]``. ``event_time`` is when the thing happened (for a bar: its open),
``available_at`` the first moment anyone could have known the row (for a bar: its close, or later).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal


class Kind(StrEnum):
    """The five kinds of facts."""

    BARS = "bars"
    DOCUMENTS = "documents"
    INDICATORS = "indicators"
    TRADES = "trades"
    LABELS = "labels"


#: Characters. Longer texts are crawling accidents, and scoring them would take minutes.
LONGEST_TEXT = 100_000
LONGEST_NAME = 500


@dataclass(frozen=True)
class Column:
    """One declared column: what it means and which values it may have. The row checks and ``tidemark schema`` read it.

    Attributes:
        type: ``str``, ``float``, ``time`` (UTC) or ``json`` (an object).
        meaning: one line for a reader.
        unit: of a number; empty where there is none.
        above: a number has to be greater than this.
        at_least: a number has to be this or greater.
        allowed: the only texts that it may hold; empty: any.
        longest: most characters of a text.
    """

    type: Literal["str", "float", "time", "json"]
    meaning: str
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    allowed: tuple[str, ...] = ()
    longest: int = LONGEST_NAME


@dataclass(frozen=True)
class FactSchema:
    """Columns of one kind of fact.

    ``key`` names the fact (with ``event_time``); ``declared`` describes every column, in order; ``required`` may not be
    null; ``outcomes`` are known only when it is over, so no feature may be made of them.
    """

    key: tuple[str, ...]
    declared: Mapping[str, Column]
    required: tuple[str, ...]
    outcomes: tuple[str, ...] = ()

    @cached_property
    def values(self) -> dict[str, str]:
        """Column → type of what a revision may change."""
        return {name: column.type for name, column in self.declared.items()
                if name not in self.key and name != "available_at"}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.declared)


def _price(meaning: str) -> Column:
    return Column("float", meaning, "quote currency per unit", above=0)


def _known(meaning: str) -> Column:
    return Column("time", f"first known: {meaning}", "UTC")


SCHEMAS: dict[Kind, FactSchema] = {
    Kind.BARS: FactSchema(
        key=("symbol", "interval", "event_time"),
        declared={
            "symbol": Column("str", "the market, such as BTCUSDT"),
            "interval": Column("str", "length of the bar: a number and m, h or d, such as 1h"),
            "event_time": Column("time", "open of the bar, on the grid of its interval", "UTC"),
            "available_at": _known("its close, or later"),
            "open": _price("first price"),
            "high": _price("highest price"),
            "low": _price("lowest price"),
            "close": _price("last price"),
            "volume": Column("float", "traded amount", "units of the base asset", at_least=0),
            "source": Column("str", "who delivered it"),
        },
        required=("open", "high", "low", "close", "volume", "source"),
    ),
    Kind.DOCUMENTS: FactSchema(
        key=("source", "doc_id", "event_time"),
        declared={
            "source": Column("str", "feed, forum or API it came from"),
            "doc_id": Column("str", "its name at that source"),
            "event_time": Column("time", "when it was published", "UTC"),
            "available_at": _known("when the source delivered it"),
            "kind": Column("str", "an article or a post", allowed=("news", "post")),
            "title": Column("str", "headline", longest=LONGEST_TEXT),
            "text": Column("str", "body", longest=LONGEST_TEXT),
            "url": Column("str", "where it can be read", longest=LONGEST_TEXT),
            "engagement": Column("float", "reactions as counted at available_at, never at a later crawl", "reactions",
                                 at_least=0),
        },
        required=("kind", "text"),
    ),
    Kind.INDICATORS: FactSchema(
        key=("name", "event_time"),
        declared={
            "name": Column("str", "the index, such as fear_greed, vix or put_call"),
            "event_time": Column("time", "start of what it describes", "UTC"),
            "available_at": _known("when it was published"),
            "value": Column("float", "its level", "the index's own (fear_greed 0 to 100, vix in percent a year, "
                                                 "put_call a ratio)"),
            "source": Column("str", "who delivered it"),
            "components": Column("json", "the parts it is made of, by name, where they are given"),
        },
        required=("value", "source"),
    ),
    Kind.TRADES: FactSchema(
        key=("source", "trade_id", "event_time"),
        declared={
            "source": Column("str", "the log it came from"),
            "trade_id": Column("str", "its name in that log"),
            "event_time": Column("time", "when it was opened", "UTC"),
            "available_at": _known("its opening, and its closing for the outcome"),
            "symbol": Column("str", "the market it was in"),
            "side": Column("str", "its direction", allowed=("long", "short")),
            "entry_price": _price("price at the opening"),
            "size": Column("float", "how much was traded", "units of the base asset", above=0),
            "closed_at": Column("time", "when it was closed; missing while it is open", "UTC"),
            "exit_price": _price("price at the closing"),
            "profit_ratio": Column("float", "profit after costs by what was put in", "ratio (0.01 is 1 %)"),
            "exit_reason": Column("str", "why it was closed"),
        },
        required=("symbol", "side", "entry_price"),
        outcomes=("closed_at", "exit_price", "profit_ratio", "exit_reason"),
    ),
    Kind.LABELS: FactSchema(
        key=("source", "doc_id", "event_time"),
        declared={
            "source": Column("str", "the set it came from"),
            "doc_id": Column("str", "name of the text in that set"),
            "event_time": Column("time", "when the text was written", "UTC"),
            "available_at": _known("when somebody had judged it"),
            "text": Column("str", "what was judged", longest=LONGEST_TEXT),
            "label": Column("float", "what people think of it", "-1 (as bad as can be) to 1"),
            "raters": Column("float", "how many people agreed on it", "people", at_least=1),
        },
        required=("text", "label"),
    ),
}

#: Columns of every feature frame that are not features. One row per (symbol, event_time).
ROW_KEY = ("symbol", "event_time")
FEATURE_META = ("symbol", "event_time", "available_at")
#: Added to a training snapshot: y in {0, 1}; label_end is when the label became known (closed interval end);
#: forward_return is the simple return earned from the row's decision (see features/labels.py), NaN when the
#: target is not tradable.
LABEL_COLUMNS = ("y", "label_end", "forward_return")
