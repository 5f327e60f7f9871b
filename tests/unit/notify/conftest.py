"""A warehouse on which things happen, and channels that remember, refuse or die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from pipelines.config_notify import Notify
from pipelines.contracts.notices import Notice
from pipelines.contracts.records import Action, Candidate, Outcome, Reason, RetrainRequest, Verdict
from pipelines.notify import deliver, gather
from pipelines.notify.wording import House
from pipelines.store import Warehouse, events, ledger, tables
from tests.unit.registry.world import make_line

L = "direction_1h"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


class Killed(BaseException):
    """What a SIGKILL would do, for a test."""


class Memory:
    """A channel that remembers. ``script``: what happens to each message: an error to raise, "before" or "after" to
    be killed before or after it was taken, None for nothing."""

    def __init__(self, name: str = "memory") -> None:
        self.name, self.told, self.script, self.closed = name, [], [], 0

    told: list[Notice]
    script: list[Any]

    def send(self, notice: Notice) -> None:
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if step == "before":
            raise Killed
        self.told.append(notice)
        if step == "after":
            raise Killed

    def close(self) -> None:
        self.closed += 1

    @property
    def keys(self) -> list[str]:
        return [notice.key for notice in self.told]


class Scene:
    """Things that happen, and rounds of notifications; the clock goes on by five minutes with each round."""

    def __init__(self, warehouse: Warehouse, approval: str = "auto") -> None:
        self.warehouse, self.at = warehouse, AT
        self.line = make_line(gate={"approval": approval})
        self.house, self.rules = House({L: self.line}), Notify(fold_above=100)

    def gather(self, *channels: str) -> list[str]:
        self.at += 5 * MINUTE
        return gather.gather(self.warehouse, self.house, self.rules, channels or ("memory",), at=self.at)

    def deliver(self, channel: Memory) -> deliver.Delivered:
        return deliver.deliver(self.warehouse, channel, self.rules, at=self.at)

    def event(self, kind: str, line: str | None = None, /, **detail: Any) -> None:
        with self.warehouse.begin() as connection:
            events.record(connection, at=self.at, kind=kind, line=line, detail=detail)

    def stale(self, number: int) -> None:
        self.event("stale", kind="bars", series=f"S{number}", age_hours=7.0, deadline_hours=6.0)

    def report(self, as_of: datetime, **flags: Any) -> None:
        quiet = {"share": 0.1, "data_drift": False, "prediction_drift": False, "performance_drift": False, "rows": 1,
                 "columns": [], "metrics": {}}
        with self.warehouse.begin() as connection:
            connection.execute(insert(tables.drift_reports).values(line=L, as_of=as_of, **quiet | flags))

    def request(self, reason: Reason = Reason.MANUAL, as_of: datetime = AS_OF) -> int:
        with self.warehouse.begin() as connection:
            return ledger.request_retrain(connection, RetrainRequest(L, reason, as_of, "ann"), at=self.at)[0]

    def candidate(self, version: int, as_of: datetime = AS_OF, request: int | None = None) -> Candidate:
        made = Candidate(L, version, f"run{version}", "lightgbm", as_of, as_of, "s", "e", 16, request_id=request)
        with self.warehouse.begin() as connection:
            ledger.add_candidate(connection, made, at=self.at)
        return made

    def verdict(self, version: int, outcome: Outcome, champion: int | None = None, as_of: datetime = AS_OF) -> None:
        said = Verdict(outcome, ("Because.",), "champion", 0.01, 0.0, 0.02, 0.01, 0.01, 9, 99,
                       champion_version=champion)
        with self.warehouse.begin() as connection:
            ledger.add_verdict(connection, L, version, said, as_of=as_of, at=self.at)

    def promote(self, version: int, previous: int | None = None, action: Action = Action.PROMOTE,
                effective_at: datetime = AS_OF, actor: str = "gate") -> None:
        with self.warehouse.begin() as connection:
            ledger.append_promotion(connection, L, version, action=action, expected_previous=previous, actor=actor,
                                    reason="Because.", effective_at=effective_at, at=self.at)


#: What a test leaves behind that uses neither candidates nor what follows from them: the ledger is append-only.
LEFT = ("deliveries", "notices", "notice_cursors", "system_events", "drift_reports", "retrain_requests")


def swept(warehouse: Warehouse) -> Warehouse:
    with warehouse.begin() as connection:
        for table in LEFT:
            connection.exec_driver_sql(f"DELETE FROM ai_trading.{table}")
    return warehouse


@pytest.fixture
def swept_warehouse(shared_warehouse: Warehouse) -> Warehouse:
    """The module's warehouse, without what the test before has left."""
    return swept(shared_warehouse)


@pytest.fixture
def scene(swept_warehouse: Warehouse) -> Scene:
    """A warehouse whose history has been noted: what happens now is news."""
    made = Scene(swept_warehouse)
    made.gather()
    return made


@pytest.fixture
def scenes(new_database: Callable[..., str]) -> Iterator[Callable[..., Scene]]:
    """``scenes(approval="human")`` → one on a warehouse of its own, for the ledger."""
    stores: list[Warehouse] = []

    def make(**options: Any) -> Scene:
        stores.append(Warehouse(new_database(), "unused"))
        made = Scene(stores[-1], **options)
        made.gather()
        return made

    yield make
    for store in stores:
        store.close()
