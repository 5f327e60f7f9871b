"""The digest of a day: what a line predicted, how good that was, what drifted, what was trained and decided.

A pure function of the warehouse's contents as of a data time. The day is the 24 hours before it: predictions are
counted by when their row was known (the partition ``[start, as_of)``), outcomes by when they matured, checks,
requests, verdicts and changes by their own data time (``(start, as_of]``). System events have no data time, so they
are counted by the clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, func, select

from pipelines.contracts.line import Line
from pipelines.notify import gather, happenings
from pipelines.notify.findings import ALARMS, cost, drifted_columns, rings
from pipelines.notify.wording import House, finite
from pipelines.registry import standing
from pipelines.store import Warehouse, frames, ledger, tables
from pipelines.validation import metrics

DAY = timedelta(days=1)
WEEK = 7 * DAY
MOST_COLUMNS = 5


@dataclass(frozen=True)
class Scores:
    """What the champion's matured predictions were worth; None where ``n`` is too few to say. Log loss in nats."""

    n: int = 0
    accuracy: float | None = None
    auc: float | None = None
    log_loss: float | None = None


@dataclass(frozen=True)
class Checked:
    """The last drift check of the day: share of columns that have drifted, the worst of them, and what rings."""

    as_of: datetime
    share: float | None
    drifted: tuple[str, ...]
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class Retraining:
    """A request of the day, or one that is still open: what became of it so far and what it cost."""

    id: int
    reason: str
    state: str
    as_of: datetime
    version: int | None
    cost: str
    detail: str | None


@dataclass(frozen=True)
class Judgement:
    """What the gate said about a version; ``effect`` in nats of log loss saved per prediction. ``stage``: ``gate`` or
    ``shadow``."""

    version: int
    stage: str
    outcome: str
    against: int | None
    effect: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Change:
    """A champion made or put back."""

    version: int
    previous: int | None
    action: str
    actor: str
    effective_at: datetime


@dataclass(frozen=True)
class LineDigest:
    """One line's day. ``awaiting``: versions that wait for a person's approval (now, not as of the day)."""

    line: str
    title: str
    champion: int | None
    since: datetime | None
    challenger: int | None
    awaiting: tuple[int, ...]
    predictions: int
    day: Scores
    week: Scores
    checked: Checked | None
    alarm_days: int
    retraining: tuple[Retraining, ...]
    verdicts: tuple[Judgement, ...]
    changes: tuple[Change, ...]

    @property
    def eventful(self) -> bool:
        """Whether there is more to say than figures."""
        return bool(self.awaiting or self.retraining or self.verdicts or self.changes
                    or (self.checked and self.checked.alarms))


@dataclass(frozen=True)
class Digest:
    """The day before ``as_of`` (UTC). ``troubles``: failed tasks, late runs and silent series, in words."""

    as_of: datetime
    start: datetime
    lines: tuple[LineDigest, ...]
    troubles: tuple[str, ...]


def data_time(warehouse: Warehouse, *, at: datetime) -> datetime:
    """The last UTC midnight up to which data has been loaded, at ``at`` (wall clock) at the latest: in a replay of
    history the days go by at their own pace."""
    with warehouse.begin() as connection:
        loaded = connection.execute(select(func.max(tables.loads.c.window_end))).scalar_one_or_none()
    newest = at if loaded is None else min(at, loaded)
    return newest.replace(hour=0, minute=0, second=0, microsecond=0)


def collect(warehouse: Warehouse, lines: Iterable[Line], as_of: datetime) -> Digest:
    """The digest of these lines for the 24 hours before ``as_of``."""
    with warehouse.begin() as connection:
        return Digest(as_of, as_of - DAY, tuple(_line(connection, line, as_of) for line in lines),
                      _troubles(connection, as_of))


def _line(connection: Connection, line: Line, as_of: datetime) -> LineDigest:
    start, name = as_of - DAY, line.name
    present = ledger.champion(connection, name, as_of=as_of)
    champion = present.version if present else None
    states = standing.standing(connection, line).states
    known = [candidate.version for candidate in ledger.candidates(connection, name) if candidate.as_of <= as_of]
    made = tables.predictions.c
    predicted = connection.execute(select(func.count()).select_from(tables.predictions).where(
        made.line == name, made.role == "champion", made.available_at >= start, made.available_at < as_of))
    matured = _matured(connection, name, as_of)
    checks = _between(connection, tables.drift_reports, name, as_of - WEEK, as_of)
    looks = [row for row in _between(connection, tables.shadow_looks, name, start, as_of)
             if row["purpose"] == "shadow" and row["decision"] in ("promote", "reject")]
    return LineDigest(
        line=name, title=line.title, champion=champion, since=present.effective_at if present else None,
        challenger=standing.challenger(connection, line, champion, as_of=as_of),
        awaiting=tuple(version for version in known if states[version] is standing.State.AWAITING_APPROVAL),
        predictions=int(predicted.scalar_one()), day=_scores(matured[matured["matured_at"] > start]),
        week=_scores(matured),
        checked=_checked(checks[-1]) if checks and checks[-1]["as_of"] > start else None,
        alarm_days=sum(any(rings(row, alarm) for alarm in ALARMS) for row in checks),
        retraining=_retraining(connection, name, start, as_of),
        verdicts=(*(_judgement(row, "gate", row["outcome"], "effect_low", "effect_high")
                    for row in _between(connection, tables.verdicts, name, start, as_of)),
                  *(_judgement(row, "shadow", row["decision"], "low", "high") for row in looks)),
        changes=tuple(Change(row["version"], row["previous"], row["action"], row["actor"], row["effective_at"])
                      for row in _between(connection, tables.promotions, name, start, as_of, by="effective_at")))


def _matured(connection: Connection, line: str, as_of: datetime) -> Any:
    """The champion's predictions whose outcome came in the week: ``probability``, ``y``, ``matured_at``."""
    made, came = tables.predictions.c, tables.outcomes.c
    return frames.fetch(connection, select(made.probability, came.y, came.matured_at).join_from(
        tables.outcomes, tables.predictions, (made.line == came.line) & (made.symbol == came.symbol)
        & (made.event_time == came.event_time)).where(
        came.line == line, made.role == "champion", came.matured_at > as_of - WEEK, came.matured_at <= as_of)
        .order_by(came.event_time, came.symbol))


def _scores(matured: Any) -> Scores:
    if not len(matured):
        return Scores()
    found = metrics.classification(matured["y"], matured["probability"])
    return Scores(len(matured), *(finite(found[name]) for name in ("accuracy", "auc", "log_loss")))


def _between(connection: Connection, table: Table, line: str, start: datetime, end: datetime,
             by: str = "as_of") -> list[dict[str, Any]]:
    """Rows of a line whose data time is in ``(start, end]``, in order."""
    query = select(table).where(table.c.line == line, table.c[by] > start, table.c[by] <= end).order_by(
        table.c[by], table.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _checked(row: dict[str, Any]) -> Checked:
    return Checked(row["as_of"], finite(row["share"]),
                   tuple(str(item.get("column")) for item in drifted_columns(row)[:MOST_COLUMNS]),
                   tuple(called for alarm, (_, called, _) in ALARMS.items() if rings(row, alarm)))


def _retraining(connection: Connection, line: str, start: datetime, as_of: datetime) -> tuple[Retraining, ...]:
    """Requests of the day, those that ended in it by the clock, and those that are open."""
    rows = [row for row in gather.requests(connection, line=line, end=as_of)
            if row["as_of"] > start or row["state"] in ("pending", "claimed")
            or (row["finished_at"] is not None and start < row["finished_at"] <= as_of)]
    return tuple(Retraining(row["id"], row["reason"], row["state"], row["as_of"], row["version"],
                            " ".join(cost(row)) if row["state"] != "pending" else "", row["detail"]) for row in rows)


def _judgement(row: dict[str, Any], stage: str, outcome: str, low: str, high: str) -> Judgement:
    return Judgement(row["version"], stage, outcome, row["champion_version"], finite(row["effect"]),
                     finite(row[low]), finite(row[high]))


def _troubles(connection: Connection, as_of: datetime) -> tuple[str, ...]:
    table = tables.system_events
    rows = connection.execute(select(table).where(table.c.at > as_of - DAY, table.c.at <= as_of,
                                                  table.c.kind.in_(("stale", "late", "task_failed")))
                              .order_by(table.c.id)).mappings()
    told = {notice.key: notice.title for row in rows for notice in happenings.of_event(dict(row), House())}
    return tuple(told.values())
