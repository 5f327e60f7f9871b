"""Reading what a champion has said and what came of it, summed up in the database: a year costs milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Double, Float, Integer, Select, and_, cast, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from pipelines.contracts.line import Line
from pipelines.monitoring.live import DAY, SCORE_DAYS, Lived, block_length
from pipelines.monitoring.promise import Array
from pipelines.store import frames, tables
from pipelines.validation import metrics


def read(connection: Connection, line: Line, version: int, since: datetime, edges: Array, as_of: datetime) -> Lived:
    """What was known before ``as_of`` of the version's predictions from ``since`` on.

    A row counts as known when its horizon is over, not when a barrier is touched: early touches are not a fair sample.

    Args:
        since: when it took over (data time, UTC). edges: bounds of the bins of P.
    """
    said = tables.predictions
    return Lived(since, frames.fetch(connection, _hours(line.name, version, since, as_of)),
                 frames.fetch(connection, _bins(line, version, since, edges, as_of)),
                 frames.fetch(connection, _rows(line.name, version, since, as_of).where(
                     said.c.label_end >= as_of - timedelta(days=SCORE_DAYS))))


def _rows(line: str, version: int, since: datetime, as_of: datetime) -> Select[Any]:
    said, came = tables.predictions, tables.outcomes
    known = and_(came.c.line == said.c.line, came.c.symbol == said.c.symbol, came.c.event_time == said.c.event_time,
                 came.c.label_end < as_of, said.c.label_end < as_of)
    return select(said.c.event_time, said.c.probability, type_coerce(came.c.y, Double).label("y")).select_from(
        said.outerjoin(came, known)).where(
        said.c.line == line, said.c.version == version, said.c.available_at >= since, said.c.available_at < as_of,
        ).order_by(said.c.event_time, said.c.symbol)


def _hours(line: str, version: int, since: datetime, as_of: datetime) -> Select[Any]:
    said = tables.predictions
    rows = _rows(line, version, since, as_of).add_columns(said.c.symbol).order_by(None).subquery()
    p = func.least(func.greatest(rows.c.probability, metrics.CLIP), 1 - metrics.CLIP)

    def mean(value: Any, name: str) -> Any:  # in a fixed order: the same rows give the same bits
        return type_coerce(func.avg(aggregate_order_by(value, rows.c.symbol)), Double).label(name)

    y = cast(rows.c.y, Double)
    return select(rows.c.event_time, mean(rows.c.probability, "level"),
                  mean(func.abs(rows.c.probability - 0.5), "confidence"),
                  mean(-(y * func.ln(p) + (1 - y) * func.ln(1 - p)), "loss"), mean(y, "rate"),
                  ).group_by(rows.c.event_time).order_by(rows.c.event_time)


def _bins(line: Line, version: int, since: datetime, edges: Array, as_of: datetime) -> Select[Any]:
    rows = _rows(line.name, version, since, as_of).order_by(None).subquery()
    place = func.floor(func.extract("epoch", rows.c.event_time + line.bar - since)
                       / (block_length(line) / DAY * 86_400)).cast(Integer).label("block")
    bounds = [float(edge) for edge in edges] or [0.5]  # without a reference nobody looks
    number = type_coerce(func.width_bucket(rows.c.probability, literal(bounds, ARRAY(Float))), Integer).label("bin")
    counted: Any = select(place, number, func.count().label("rows"))
    return counted.group_by(place, number).order_by(place, number)  # type: ignore[no-any-return]
