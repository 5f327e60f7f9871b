"""What a task body is given, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError, ContractError, SourceUnavailable
from pipelines.store import Warehouse, events
from tidemark_airflow import assets
from tidemark_airflow.context import TASK_FAILED, plain, work

pytestmark = pytest.mark.usefixtures("offline")


@pytest.mark.parametrize(("partition", "params", "days"), [
    ("2024-03-25", {}, ["2024-03-25"]),
    ("2024-03-25", {"partition": "2024-01-01"}, ["2024-03-25"]),  # the run's own key wins
    (None, {"partition": "2024-02-29", "start": None, "end": None}, ["2024-02-29"]),
    (None, {"start": "2024-02-28", "end": "2024-03-01"}, ["2024-02-28", "2024-02-29"]),
    ("2024-03-25T00:00:00", {}, ["2024-03-25"]),
])
def test_days(in_task: Callable[..., Any], partition: str | None, params: dict[str, Any], days: list[str]) -> None:
    in_task(partition=partition, params=params)
    with work() as w:
        assert [day.key for day in w.days] == days


@pytest.mark.parametrize(("params", "error"), [
    ({}, ConfigError), ({"start": "2024-01-01"}, ConfigError), ({"partition": "soon"}, ContractError),
    ({"start": "2024-01-02", "end": "2024-01-01"}, ContractError)])
def test_a_run_without_days_says_what_to_do(in_task: Callable[..., Any], params: dict[str, Any],
                                            error: type[Exception]) -> None:
    in_task(params=params)
    with pytest.raises(error), work() as w:
        assert w.days


def test_announcing_names_the_days(in_task: Callable[..., Any]) -> None:
    task = in_task(params={"start": "2024-01-01", "end": "2024-01-03"})
    with work() as w:
        w.announce(assets.BARS, rows=np.int64(7))
        w.announce(assets.candidate("x_line"), ["v3"])
    bells = task.outlet_events.accessors
    assert bells["bars"].partition_keys == {"2024-01-01", "2024-01-02"}
    assert bells["bars"].extra == {"rows": 7}
    assert bells["candidate/x_line"].partition_keys == {"v3"}


@pytest.mark.parametrize(("run_type", "by_hand"), [("manual", True), ("asset_triggered", False), ("backfill", False)])
def test_by_hand(in_task: Callable[..., Any], run_type: str, by_hand: bool) -> None:
    in_task("a_dag", run_type=run_type)
    with work() as w:
        assert w.by_hand is by_hand
        assert w.run == "a_dag/run-1"
        assert w.at.tzinfo is UTC


def test_a_failure_leaves_its_cause(in_task: Callable[..., Any], settings: Settings) -> None:
    in_task("train_x", task_id="trials", run_id="r9")
    for error in (SourceUnavailable("the exchange is down"), ConfigError("a wrong key"), KeyError("bug"),
                  AirflowSkipException("no failure")):
        with pytest.raises(type(error)), work():
            raise error
    with Warehouse.from_settings(settings).begin() as connection:
        details = list(events.list_rows(connection, kind=TASK_FAILED)["detail"])
    assert details[-1] == {"run": "train_x/r9", "task": "trials", "map_index": -1, "try": 1, "retryable": True,
                           "error": "SourceUnavailable: the exchange is down"}
    assert [(detail["error"], detail["retryable"]) for detail in details[:-1]] == [
        ("KeyError: 'bug'", None), ("ConfigError: a wrong key", False)]


def test_the_first_error_is_shown_even_when_the_warehouse_is_gone(
        in_task: Callable[..., Any]) -> None:
    in_task()
    with pytest.raises(SourceUnavailable, match="the first error"), work():
        raise SourceUnavailable("the first error")


def test_a_line_is_read_in_full(in_task: Callable[..., Any]) -> None:
    in_task()
    with work() as w:
        assert w.line("direction_1h").horizon == timedelta(hours=1)


@dataclass(frozen=True)
class Report:
    day: datetime
    counts: dict[Kind, int]
    share: Any


@pytest.mark.parametrize(("value", "expected"), [
    (Report(datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), {Kind.BARS: 2}, np.float64(0.5)),
     {"day": "2024-01-01T00:00:00+00:00", "counts": {"bars": 2}, "share": 0.5}),
    ([Kind.BARS, ("a", None)], ["bars", ["a", None]]),
    ("text", "text"), (np.bool_(True), True), (3, 3),
])
def test_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected
