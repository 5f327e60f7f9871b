"""Looks and rollbacks inside a task: each day of the run, who is announced, and a second try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.config import Settings
from pipelines.contracts.records import Action, Candidate, Promotion
from pipelines.errors import RegistryError
from pipelines.monitoring import looks, outcomes
from pipelines.registry import client, promotion
from pipelines.store import Warehouse, ledger
from tests.unit.registry.world import FakeRegistry
from tidemark_airflow import looking, watching
from tidemark_airflow.context import work

LINE = "direction_1h"
START = datetime(2024, 3, 1, tzinfo=UTC)


def test_every_day_of_the_run_is_reviewed_and_new_champions_are_named_once(
        settings: Settings, in_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, datetime]] = []

    def review(warehouse: Warehouse, settings: Settings, line: Any, as_of: datetime, *, at: datetime) -> Any:
        seen.append(("review", as_of))
        row = Promotion(LINE, 2, 1, Action.PROMOTE, "gate", "why", as_of, at)
        return SimpleNamespace(sentences=["Champion is now v2."], changes=(row,) if as_of.day > 26 else ())

    monkeypatch.setattr(outcomes, "mature", lambda w, line, as_of: seen.append(("mature", as_of)))
    monkeypatch.setattr(looks, "review", review)
    in_task("monitor_direction_1h", params={"start": "2024-03-25", "end": "2024-03-28"})
    with work() as w:
        assert looking.look(w, LINE) == ["v2"]
    assert seen == [(step, datetime(2024, 3, day, tzinfo=UTC)) for day in (26, 27, 28) for step in ("mature", "review")]


def test_the_bells_ring_for_the_champion_and_for_the_days(offline: Settings, in_task: Callable[..., Any]) -> None:
    context = in_task("monitor_direction_1h", partition="2024-03-25")
    with work() as w:
        looking.ring_champion(w, LINE, ["v2"])
        watching.ring(w, LINE)
    assert {name: accessor.partition_keys for name, accessor in context.outlet_events.accessors.items()} == {
        f"champion/{LINE}": {"v2"}, f"retrain/{LINE}": {"2024-03-25"}}


@pytest.fixture
def champions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[tuple[str, int]]]]:
    """Versions 1 to 3 were champions in turn; answers with the history."""
    registry = FakeRegistry()
    for module in (client, promotion):
        monkeypatch.setattr(module, "ModelRegistry", registry)
    warehouse = Warehouse.from_settings(settings)
    with warehouse.begin() as connection:
        for version in (1, 2, 3):
            ledger.add_candidate(connection, Candidate(
                LINE, version, f"run{version}", "lightgbm", START, START, "s", "e", 2), at=START)
            ledger.append_promotion(connection, LINE, version, action=Action.PROMOTE, actor="ann", reason="better",
                                    expected_previous=version - 1 or None, effective_at=START, at=START)

    def read() -> list[tuple[str, int]]:
        with warehouse.begin() as connection:
            return [(row.action.value, row.version) for row in ledger.history(connection, LINE)][3:]

    yield read
    warehouse.close()


def roll_back(in_task: Callable[..., Any], run_id: str, **params: Any) -> tuple[dict[str, Any], set[str]]:
    context = in_task("rollback_direction_1h", run_type="manual", run_id=run_id,
                      params={"version": None, "reason": "it loses money", "as_of": None} | params)
    with work() as w:
        row = looking.roll_back(w, LINE)
    return row, context.outlet_events.accessors[f"champion/{LINE}"].partition_keys


def test_one_run_rolls_back_once(champions: Callable[[], list[tuple[str, int]]], in_task: Callable[..., Any]) -> None:
    row, rung = roll_back(in_task, "one")
    assert (row["version"], row["previous"], row["reason"], rung) == (2, 3, "it loses money", {"v2"})
    assert row["actor"] == "rollback_direction_1h/one"
    assert roll_back(in_task, "one") == (row, rung)  # a second try of the same run
    assert champions() == [("rollback", 2)]
    assert roll_back(in_task, "two")[1] == {"v1"}
    assert champions() == [("rollback", 2), ("rollback", 1)]


def test_the_form_names_version_and_time(champions: Callable[[], list[tuple[str, int]]],
                                         in_task: Callable[..., Any]) -> None:
    later = START + timedelta(days=3)
    row, rung = roll_back(in_task, "one", version=1, as_of=later.isoformat())
    assert (row["version"], row["effective_at"], rung) == (1, later.isoformat(), {"v1"})
    with pytest.raises(RegistryError, match="version 9 of direction_1h was never champion"):
        roll_back(in_task, "two", version=9)
    assert champions() == [("rollback", 1)]
