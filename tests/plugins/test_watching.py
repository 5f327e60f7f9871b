"""When the doorbell rings: exactly while the ledger holds a pending request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.config import Settings
from pipelines.contracts.records import DriftReport, Reason, RetrainRequest
from pipelines.monitoring import check, outcomes
from pipelines.retrain import run as retrain
from pipelines.store import Warehouse, ledger
from tidemark_airflow.context import work
from tidemark_airflow.watching import follow, watch_line

LINE = "direction_1h"


def test_it_rings_while_a_request_is_pending(settings: Settings, in_task: Callable[..., Any],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, datetime]] = []
    asks: list[Reason] = []

    def consider(warehouse: Warehouse, line: Any, report: Any, *, as_of: datetime, at: datetime) -> Any:
        seen.append(("consider", as_of))
        with warehouse.begin() as connection:
            for reason in asks:
                ledger.request_retrain(connection, RetrainRequest(LINE, reason, as_of, "policy"), at=at)
        return SimpleNamespace(reason_text="as told")

    monkeypatch.setattr(outcomes, "mature", lambda w, line, as_of: seen.append(("mature", as_of)))
    monkeypatch.setattr(check, "check", lambda w, s, line, as_of: seen.append(("check", as_of)) or DriftReport(
        LINE, as_of, (), 0.1, False, False, False, {}, 1, "d", 24))
    monkeypatch.setattr(retrain, "consider", consider)
    in_task("monitor_direction_1h", params={"start": "2024-03-25", "end": "2024-03-27"})

    def watch() -> bool:
        with work() as w:
            return watch_line(w, LINE)

    assert watch() is False
    ends = [datetime(2024, 3, 26, tzinfo=UTC), datetime(2024, 3, 27, tzinfo=UTC)]
    assert seen == [(step, end) for end in ends for step in ("mature", "check", "consider")]
    asks.append(Reason.DATA_DRIFT)
    assert watch() is True
    asks.clear()
    assert watch() is True  # an earlier bell may have been lost
    now = datetime(2024, 4, 1, tzinfo=UTC)
    with Warehouse.from_settings(settings).begin() as connection:
        ledger.claim_request(connection, LINE, claimed_by="train", at=now, expires_at=now + timedelta(days=1))
    assert watch() is False


def test_the_doorbell_follows_only_an_open_request() -> None:
    assert follow(False) == ["look"]
    assert follow(True) == ["ring", "look"]
