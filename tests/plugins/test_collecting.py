"""Collecting between the daily partitions: which stretch is next, and that a look brings facts and aggregates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.store import Warehouse, asof, derived, loads, tables
from tidemark_airflow import collecting, lines
from tidemark_airflow.context import work
from tidemark_airflow.lines import schedule_collect


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-25T{text}+00:00")


@pytest.mark.parametrize(("now", "last", "expected"), [
    ("10:20:03", "10:10", ("10:10", "10:20")),
    ("10:29:59", "10:10", ("10:10", "10:20")),
    ("10:19:59", "10:10", None),
    ("10:20:00", "10:20", None),
    ("10:20:00", "10:30", None),  # the day is loaded already
    ("14:05:00", "10:10", ("10:10", "14:00")),  # nobody looked for hours
])
def test_the_stretch_goes_from_the_last_look_to_the_last_full_step(now, last, expected) -> None:
    assert collecting.stretch(at(now), at(last)) == (None if expected is None else tuple(map(at, expected)))


@pytest.mark.parametrize("last", [None, at("10:00") - timedelta(days=30)])
def test_a_first_look_and_one_after_a_long_pause_go_a_day_back(last) -> None:
    assert collecting.stretch(at("10:00:05"), last) == (at("10:00") - timedelta(days=1), at("10:00"))


def test_a_look_brings_facts_scores_and_aggregates_and_leaves_the_day_to_the_day(
        settings: Settings, in_task: Callable[..., Any]) -> None:
    in_task("collect", params={"source": "simulator"})
    with work() as w:
        moment = settings.simulator.start + timedelta(days=2, hours=13, minutes=14)
        first = collecting.collect(_at(w, moment))
        again = collecting.collect(_at(w, moment + timedelta(minutes=3)))
        after = collecting.collect(_at(w, moment + timedelta(minutes=8)))
    assert first["window"].endswith("2024-01-03T13:10:00+00:00")
    assert first["facts"]["counts"]["bars"]["inserted"] > 0
    assert first["sentiment"]["scored"] > 0
    assert "nothing" in again
    assert after["window"] == "2024-01-03T13:10:00+00:00/2024-01-03T13:20:00+00:00"
    house = Warehouse.from_settings(settings)
    documents = asof.read(house, Kind.DOCUMENTS, as_of=moment + timedelta(days=1))
    assert documents["available_at"].max() < datetime(2024, 1, 3, 13, 20, tzinfo=UTC)
    assert len(derived.read(house, tables.sentiment_aggregates)) > 0
    with house.begin() as connection:
        assert loads.last_end(connection, ["bars", "documents", "indicators", "sentiment"]) is None
        assert loads.last_end(connection, ["collected/bars"]) == datetime(2024, 1, 3, 13, 20, tzinfo=UTC)
    house.close()


def test_a_look_weighs_sources_as_the_day_will(settings: Settings, in_task: Callable[..., Any]) -> None:
    in_task("collect", params={"source": "simulator"})
    with work() as w:
        configured = w.settings.model_copy(update={"credibility": {"news": 1.7, "post": 0.3}})
        for day in (2, 3):  # a source is weighed once it has written something
            collecting.collect(dataclasses.replace(w, settings=configured,
                                                   at=settings.simulator.start + timedelta(days=day)))
        found = derived.read(w.warehouse, tables.source_credibility)
    assert found.groupby("kind")["weight"].first().to_dict() == pytest.approx({"news": 1.7, "post": 0.3}, abs=0.1)


def _at(w: Any, moment: datetime) -> Any:
    return dataclasses.replace(w, at=moment)


@pytest.mark.parametrize(("environment", "expected"), [
    ({"TIDEMARK_SOURCE": "exchange,rss"}, "*/10 * * * *"),
    ({"TIDEMARK_SOURCE": "exchange,rss", "TIDEMARK_SCHEDULE_COLLECT": "*/5 * * * *"}, "*/5 * * * *"),
    ({"TIDEMARK_SOURCE": "exchange,rss", "TIDEMARK_SCHEDULE_COLLECT": "never"}, None),
    ({"TIDEMARK_SOURCE": "exchange,rss", "TIDEMARK_SCHEDULE_END": "2024-04-01T00:00:00+00:00"}, None),
    ({"TIDEMARK_SOURCE": "files"}, None),
    ({"TIDEMARK_SOURCE": "simulator"}, None),
])
def test_only_sources_where_something_new_appears_are_collected(monkeypatch, tmp_path, environment, expected) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))  # no stack of this machine
    monkeypatch.setattr(lines, "_stack_file", lines._stack_file.__wrapped__)
    for name in ("TIDEMARK_SOURCE", "TIDEMARK_SCHEDULE_COLLECT", "TIDEMARK_SCHEDULE_END"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert schedule_collect() == expected
