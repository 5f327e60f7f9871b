"""The warehouse's tables for reading and writing (SQLAlchemy Core).

The truth about keys, checks, partitions and triggers is the migrations in ``infra/postgres/migrations``; a test holds
columns, types, nullability and keys of both together.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from pipelines.contracts.columns import SCHEMAS, Kind

SCHEMA = "ai_trading"
metadata = MetaData(schema=SCHEMA)

#: Tables with one partition per calendar month (UTC) of ``event_time``.
MONTHLY = frozenset({"bars", "documents", "sentiment_scores", "predictions"})

_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "str": Text, "float": Double, "int": Integer, "big": BigInteger, "bool": Boolean, "json": JSONB}
_NOW = text("clock_timestamp()")


def _column(name: str, kind: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    type_ = DateTime(timezone=True) if kind == "time" else _TYPES[kind]()
    return Column(name, type_, nullable=null, primary_key=key)


def _columns(columns: dict[str, str]) -> list[SchemaItem]:
    return [_column(name, kind.rstrip("?"), null=kind.endswith("?")) for name, kind in columns.items()]


def _table(name: str, key: dict[str, str], columns: dict[str, str], *extra: SchemaItem) -> Table:
    """``columns``: name → kind, with a trailing ``?`` where null is allowed."""
    items: list[SchemaItem] = [_column(column, kind, key=True) for column, kind in key.items()]
    return Table(name, metadata, *items, *_columns(columns), *extra)


def _ledger_table(name: str, columns: dict[str, str], *extra: SchemaItem) -> Table:
    number: SchemaItem = Column("id", BigInteger, Identity(always=True), primary_key=True)
    return Table(name, metadata, number, *_columns(columns), *extra)


def _fact(kind: Kind) -> Table:
    schema = SCHEMAS[kind]
    return _table(
        kind.value,
        {**{name: "time" if name == "event_time" else "str" for name in schema.key}, "revision": "int"},
        {"available_at": "time",
         **{name: type_ + ("" if name in schema.required else "?") for name, type_ in schema.values.items()}},
        Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
        Index(f"{kind.value}_available_at", "available_at"))


def _of_candidate(*columns: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(columns, [f"{SCHEMA}.candidates.line", f"{SCHEMA}.candidates.version"])


bars = _fact(Kind.BARS)
documents = _fact(Kind.DOCUMENTS)
indicators = _fact(Kind.INDICATORS)
trades = _fact(Kind.TRADES)
labels = _fact(Kind.LABELS)
Index("trades_symbol", trades.c.symbol, trades.c.event_time)
FACTS: dict[Kind, Table] = {Kind.BARS: bars, Kind.DOCUMENTS: documents, Kind.INDICATORS: indicators,
                            Kind.TRADES: trades, Kind.LABELS: labels}

_DOCUMENT = {"source": "str", "doc_id": "str", "event_time": "time"}
sentiment_scores = _table(
    "sentiment_scores", {**_DOCUMENT, "scorer": "str"},
    {"available_at": "time", "compound": "float", "positive": "float", "neutral": "float", "negative": "float"},
    Index("sentiment_scores_available_at", "available_at"))
mentions = _table(
    "mentions", {**_DOCUMENT, "symbol": "str"}, {"available_at": "time", "label": "str"},
    Index("mentions_available_at", "available_at"), Index("mentions_symbol", "symbol", "available_at"))
sentiment_aggregates = _table(
    "sentiment_aggregates", {"symbol": "str", "window": "str", "at": "time"},
    {"available_at": "time", "documents": "int", "mean": "float?", "dispersion": "float?", "bullish": "int",
     "bearish": "int", "neutral": "int", "duplicates": "int", "weighted": "float?", "confidence": "float",
     "coverage": "float"})
source_credibility = _table(
    "source_credibility", {"source": "str", "kind": "str", "at": "time"},
    {"available_at": "time", "weight": "float", "n": "int", "hits": "float"})
snapshots = _table(
    "snapshots", {"digest": "str", "kind": "str", "line": "str", "window_start": "time", "window_end": "time"},
    {"uri": "str", "rows": "big", "columns": "json"},
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index("snapshots_window_of_line", "line", "kind", "window_start", "window_end", "created_at"))

retrain_requests = _ledger_table(
    "retrain_requests",
    {"line": "str", "reason": "str", "as_of": "time", "requested_by": "str", "evidence": "json", "state": "str",
     "requested_at": "time", "claimed_by": "str?", "claimed_at": "time?", "expires_at": "time?",
     "finished_at": "time?", "detail": "str?"},
    Index("retrain_requests_one_open", "line", unique=True, postgresql_where=text("state IN ('pending', 'claimed')")),
    Index("retrain_requests_line", "line", "id"))
candidates = _table(
    "candidates", {"line": "str", "version": "int"},
    {"run_id": "str", "family": "str", "as_of": "time", "trained_through": "time", "snapshot_digest": "str",
     "evidence_digest": "str", "trials": "int", "request_id": "big?", "search_digest": "str?",
     "audited": "bool", "registered_at": "time"},
    ForeignKeyConstraint(["request_id"], [f"{SCHEMA}.retrain_requests.id"]),
    Index("candidates_request", "request_id"))
training_steps = _ledger_table(
    "training_steps",
    {"line": "str", "request_id": "big?", "run_id": "str?", "step": "str", "worker": "int", "cpu_seconds": "float",
     "wall_seconds": "float", "trials": "int", "recipe": "json?"},
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    ForeignKeyConstraint(["request_id"], [f"{SCHEMA}.retrain_requests.id"]),
    Index("training_steps_run", "line", "run_id"), Index("training_steps_request", "request_id"))
verdicts = _ledger_table(
    "verdicts",
    {"line": "str", "version": "int", "as_of": "time", "outcome": "str", "opponent": "str",
     "champion_version": "int?", "effect": "float?", "effect_low": "float?", "effect_high": "float?",
     "p_value": "float?", "minimum_detectable": "float?", "periods": "int", "rows": "int", "reasons": "json",
     "metrics": "json", "trials": "int", "recorded_at": "time"},
    _of_candidate("line", "version"), Index("verdicts_version", "line", "version", "id"))
approvals = _ledger_table(
    "approvals",
    {"line": "str", "version": "int", "approved": "bool", "actor": "str", "reason": "str", "decided_at": "time"},
    _of_candidate("line", "version"), Index("approvals_version", "line", "version", "id"))
promotions = _ledger_table(
    "promotions",
    {"line": "str", "number": "int", "version": "int", "previous": "int?", "action": "str", "actor": "str",
     "reason": "str", "effective_at": "time", "recorded_at": "time"},
    _of_candidate("line", "version"), _of_candidate("line", "previous"),
    UniqueConstraint("line", "number", name="promotions_linear"),
    Index("promotions_effective", "line", "effective_at"))
shadow_looks = _ledger_table(
    "shadow_looks",
    {"line": "str", "purpose": "str", "version": "int", "champion_version": "int", "number": "int", "looks": "int",
     "due": "time", "as_of": "time", "decision": "str", "effect": "float?", "low": "float?", "high": "float?",
     "z": "float?", "boundary": "float", "futility": "float?", "p_value": "float?", "rows": "int", "timestamps": "int",
     "blocks": "int", "reasons": "json", "recorded_at": "time"},
    _of_candidate("line", "version"), _of_candidate("line", "champion_version"),
    UniqueConstraint("line", "version", "champion_version", "number", name="shadow_looks_once"))
line_configs = _ledger_table(
    "line_configs", {"line": "str", "version": "int", "digest": "str", "toml": "str", "recorded_at": "time"},
    UniqueConstraint("line", "version", name="line_configs_version"),
    UniqueConstraint("line", "digest", name="line_configs_content"))

predictions = _table(
    "predictions", {"line": "str", "version": "int", "symbol": "str", "event_time": "time"},
    {"role": "str", "available_at": "time", "label_end": "time", "probability": "float", "feature_digest": "str"},
    _of_candidate("line", "version"), Index("predictions_available_at", "line", "available_at"))
outcomes = _table(
    "outcomes", {"line": "str", "symbol": "str", "event_time": "time"},
    {"y": "int", "forward_return": "float?", "label_end": "time", "matured_at": "time"},
    Index("outcomes_label_end", "line", "label_end"))
drift_reports = _ledger_table(
    "drift_reports",
    {"line": "str", "as_of": "time", "champion_version": "int?", "reference_digest": "str?", "share": "float?",
     "data_drift": "bool", "prediction_drift": "bool", "performance_drift": "bool", "rows": "int", "columns": "json",
     "metrics": "json", "evidently": "json?"},
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("line", "as_of", name="drift_reports_line_as_of"), _of_candidate("line", "champion_version"))

quarantine = _ledger_table(
    "quarantine",
    {"digest": "str", "source": "str", "kind": "str", "reason": "str", "payload": "json", "event_time": "time?",
     "recorded_at": "time", "replayed_at": "time?"},
    UniqueConstraint("digest", name="quarantine_digest_key"),
    Index("quarantine_waiting", "kind", "id", postgresql_where=text("replayed_at IS NULL")))
system_events = _ledger_table(
    "system_events", {"at": "time", "kind": "str", "line": "str?", "detail": "json"},
    Index("system_events_at", "at"), Index("system_events_kind", "kind", "at"))
loads = _table(
    "loads", {"dataset": "str", "window_start": "time", "window_end": "time"},
    {"rows": "big", "digest": "str?", "loaded_at": "time"})
gaps = _table(
    "gaps", {"kind": "str", "series": "str", "start": "time"},
    {"end": "time", "missing": "int", "open_ended": "bool", "found_at": "time", "closed_at": "time?"},
    Index("gaps_open", "kind", "series", postgresql_where=text("closed_at IS NULL")))

notices = _ledger_table(
    "notices",
    {"key": "str", "kind": "str", "line": "str?", "severity": "str", "title": "str", "body": "json", "brief": "json",
     "html": "str?", "link": "str?", "event_time": "time", "found_at": "time"},
    UniqueConstraint("key", name="notices_key_key"), Index("notices_found_at", "found_at"))
deliveries = _table(
    "deliveries", {"notice_id": "big", "channel": "str"},
    {"state": "str", "folded": "bool", "attempts": "int", "next_at": "time", "sent_at": "time?", "error": "str?"},
    ForeignKeyConstraint(["notice_id"], [f"{SCHEMA}.notices.id"]),
    Index("deliveries_waiting", "channel", "next_at", postgresql_where=text("state = 'waiting'")),
    Index("deliveries_sent_at", "channel", "sent_at"))
notice_cursors = _table("notice_cursors", {"source": "str"}, {"seen": "big", "looked_at": "time"})
