"""The columns of every frame that crosses a room's wall.

All times are pandas ``datetime64[us, UTC]``. ``event_time`` is when the thing happened (for a bar: its open),
``available_at`` the first moment anyone could have known the row (for a bar: its close, or later).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The five kinds of facts."""

    BARS = "bars"
    DOCUMENTS = "documents"
    INDICATORS = "indicators"
    TRADES = "trades"
    LABELS = "labels"


@dataclass(frozen=True)
class FactSchema:
    """Columns of one kind of fact.

    ``key`` names the fact (with ``event_time``); ``values`` are what a revision may change; ``required`` may
    not be null.
    """

    key: tuple[str, ...]
    values: dict[str, str]
    required: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, "available_at", *self.values)


SCHEMAS: dict[Kind, FactSchema] = {
    Kind.BARS: FactSchema(
        key=("symbol", "interval", "event_time"),
        values={"open": "float", "high": "float", "low": "float", "close": "float", "volume": "float",
                "source": "str"},
        required=("open", "high", "low", "close", "volume", "source"),
    ),
    Kind.DOCUMENTS: FactSchema(
        # `kind` is "news" or "post"; `engagement` is the count known at `available_at`, never a later crawl.
        key=("source", "doc_id", "event_time"),
        values={"kind": "str", "title": "str", "text": "str", "url": "str", "engagement": "float"},
        required=("kind", "text"),
    ),
    Kind.INDICATORS: FactSchema(
        key=("name", "event_time"),
        values={"value": "float", "source": "str", "components": "json"},
        required=("value", "source"),
    ),
    Kind.TRADES: FactSchema(
        # event_time is the opening; everything but symbol, side, entry and size is an outcome.
        key=("source", "trade_id", "event_time"),
        values={"symbol": "str", "side": "str", "entry_price": "float", "size": "float", "closed_at": "time",
                "exit_price": "float", "profit_ratio": "float", "exit_reason": "str"},
        required=("symbol", "side", "entry_price"),
    ),
    Kind.LABELS: FactSchema(
        # A person's judgement of a text that was written at event_time: -1 (as bad as can be) to 1. `raters` is how
        # many people agreed on it, where that is known. available_at is when the judgement was there.
        key=("source", "doc_id", "event_time"),
        values={"text": "str", "label": "float", "raters": "float"},
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
