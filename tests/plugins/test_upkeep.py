"""What maintain finds and mends, and that it leaves a healthy system alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import insert

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import load_lines
from pipelines.contracts.records import Candidate, Reason, RetrainRequest
from pipelines.contracts.window import Window
from pipelines.store import Warehouse, facts, ledger, loads, tables
from tidemark_airflow import upkeep
from tidemark_airflow.context import work
from tidemark_airflow.ordering import PATIENCE, forgotten_days

DAY = Window.day("2024-03-25")
SHIPPED = load_lines(Settings.model_fields["lines_dir"].default)
LINES = sorted(name for name, line in SHIPPED.items() if line.on_bars)
LINE = LINES[0]


@pytest.fixture
def house(settings: Settings, in_task: Callable[..., Any]) -> Warehouse:
    in_task("maintain")
    return Warehouse.from_settings(settings)


def loaded(house: Warehouse, window: Window, ago: timedelta, dataset: str = "documents") -> None:
    with house.begin() as connection:
        loads.mark(connection, dataset, window, rows=1, at=datetime.now(UTC) - ago)


def monitored(house: Warehouse, as_of: datetime, lines: list[str]) -> None:
    nothing = {"share": 0.0, "data_drift": False, "prediction_drift": False, "performance_drift": False, "rows": 0,
               "columns": [], "metrics": {}}
    with house.begin() as connection:
        for line in lines:
            connection.execute(insert(tables.drift_reports).values(line=line, as_of=as_of, **nothing))


def days(house: Warehouse) -> list[str]:
    with work() as w:
        return forgotten_days(w)


def test_a_healthy_house_is_left_alone(house: Warehouse) -> None:
    loaded(house, DAY, PATIENCE * 2)
    monitored(house, DAY.end, LINES)
    with work() as w:
        assert upkeep.bells(w) == []
        upkeep.watchdog(w)
        assert upkeep.watchdog(w) == []  # the second time there is nothing left to do
        assert upkeep.freshness(w) == []


def test_a_day_that_one_line_has_not_seen_is_forgotten(house: Warehouse) -> None:
    loaded(house, DAY, PATIENCE * 2)
    assert days(house) == [DAY.key]
    monitored(house, DAY.end, LINES[:-1])
    assert days(house) == [DAY.key]
    with work() as w:
        assert upkeep.bells(w) == ["ring_days"]
    monitored(house, DAY.end, LINES[-1:])
    assert days(house) == []


def test_a_day_under_way_is_not_forgotten(house: Warehouse) -> None:
    loaded(house, DAY, PATIENCE / 2)
    assert days(house) == []


def test_history_loaded_in_one_go_is_not_forgotten(house: Warehouse) -> None:
    loaded(house, Window(DAY.start - timedelta(days=25), DAY.start), PATIENCE * 2)
    assert days(house) == []


def test_only_days_that_later_ones_look_back_on_ring_again(house: Warehouse) -> None:
    for back in (20, 9, 2, 0):
        loaded(house, Window(DAY.start - timedelta(days=back), DAY.end - timedelta(days=back)), PATIENCE * 2, "bars")
    assert days(house) == ["2024-03-25", "2024-03-23"]


def test_pending_requests_and_unjudged_candidates_ring_again(house: Warehouse) -> None:
    at = DAY.start
    with house.begin() as connection:
        ledger.request_retrain(connection, RetrainRequest(LINE, Reason.MANUAL, at, "ann"), at=at)
        for version in (2, 3):
            ledger.add_candidate(connection, Candidate(
                LINES[1], version, "run", "lightgbm", at, at, "d", "e", trials=3), at=at)
    with work() as w:
        assert upkeep.bells(w) == [f"ring_retrain_{LINE}", f"ring_candidate_{LINES[1]}"]
        assert upkeep.waiting_versions(w, LINES[1]) == ["v2", "v3"]
    with house.begin() as connection:
        ledger.claim_request(connection, LINE, claimed_by="run", at=at, expires_at=at + timedelta(hours=1))
    with work() as w:
        assert upkeep.bells(w) == [f"ring_candidate_{LINES[1]}"]


def test_months_are_made_ahead_and_lines_are_recorded(house: Warehouse) -> None:
    with work() as w:
        assert any("monthly partitions" in finding for finding in upkeep.watchdog(w))
        last = (w.at + upkeep.AHEAD).date()
    with house.begin() as connection:
        assert connection.exec_driver_sql(
            f"SELECT to_regclass('ai_trading.bars_{last:%Y_%m}') IS NOT NULL").scalar_one()
        assert connection.exec_driver_sql("SELECT count(*) FROM ai_trading.line_configs").scalar_one() == len(SHIPPED)


def test_mlflow_follows_the_ledger_and_dead_runs_are_ended(
        house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.registry import reconcile
    from pipelines.training import stage

    monkeypatch.setattr(reconcile, "reconcile", lambda *_, at: ["an alias was set"])
    monkeypatch.setattr(stage, "reap", lambda *_, at: ["a run was ended"])
    with work() as w:
        assert upkeep.reconcile(w) == ["an alias was set", "a run was ended"]


def test_a_feed_that_went_silent_is_an_alarm_once(house: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    times = pd.date_range(DAY.start, periods=5, freq="h", unit="us")
    facts.write(house, Kind.BARS, pd.DataFrame({
        "symbol": "BTCUSDT", "interval": "1h", "event_time": times, "available_at": times + pd.Timedelta(hours=1),
        "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "source": "test"}))
    loaded(house, DAY, timedelta(hours=1), "bars")
    with work() as w:
        assert upkeep.freshness(w) == ["bars of BTCUSDT 1h are stale: the newest came 19.0 h before the end of what "
                                       "was loaded, 6 h are allowed"]
        assert [record.levelname for record in caplog.records if "are stale" in record.message][:1] == ["WARNING"]
        assert upkeep.freshness(w) == []
