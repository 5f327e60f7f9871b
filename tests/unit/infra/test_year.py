"""A short year of a tiny line, end to end: the real policy, gate, registry, serving and monitoring, and their books."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from infra.studies import scratch
from infra.studies.year import drawing, keeping, playing, scoring, setting, study, world
from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, RequestState
from pipelines.serving.batch import CHAMPION
from pipelines.store import Warehouse, derived, ledger, tables

CALENDAR = world.Calendar(history=15, days=12, turn=4, back=9, death=11)
TINY = {
    "name": "year_tiny", "title": "A tiny line", "target": {"kind": "direction", "horizon_bars": 1},
    "features": {"groups": ["sentiment", "volatility.realised_volatility_6h"]},
    "walk_forward": {"scheme": "rolling", "train_days": 6, "test_days": 2, "search_folds": 2, "evidence_days": 4,
                     "evidence_fold_days": 2, "embargo_bars": 1},
    "search": {"families": ["logistic_regression"], "trials": 1, "workers": 1, "nested_runs": 1},
    "costs": {"fee_bps": 1.0, "slippage_bps": 0.5, "band": 0.02},
    "gate": {"min_rows": 90, "require_audit": False},
    "drift": {"window_days": 3, "share": 0.3, "persistence": 1},
    "retrain": {"on": ["performance", "data_drift", "schedule"], "every_days": 7, "cooldown_days": 3,
                "min_new_days": 3}}


@pytest.fixture(scope="module")
def year() -> world.Year:
    return world.make(5, CALENDAR, symbols=1, edge=3.0)


@pytest.fixture(scope="module")
def place(shared_warehouse: Warehouse, year: world.Year, tmp_path_factory: pytest.TempPathFactory) -> Iterator[
        tuple[Warehouse, Settings]]:
    lines = [Line.model_validate(TINY), Line.model_validate({**TINY, "name": "year_again"})]
    scratch.load(shared_warehouse, world.YearProvider(year), year.window, at=year.window.end)
    with setting.tracking(tmp_path_factory.mktemp("mlflow"), [*lines, setting.rival_line(lines[0])]) as url, \
            setting.undrawn(False):
        yield shared_warehouse, Settings(
            mlflow_url=url, optuna_url=scratch.database(shared_warehouse, f"year_optuna_{os.getpid()}"))


@pytest.fixture(scope="module")
def result(place: tuple[Warehouse, Settings], year: world.Year) -> study.Result:
    return study.play(*place, Line.model_validate(TINY), year, 5, audited=False)


def test_the_marks_of_the_figure_are_the_rows_of_the_ledger(
        result: study.Result, place: tuple[Warehouse, Settings]) -> None:
    name = result.line.name
    with place[0].begin() as connection:
        asked = ledger.requests(connection, name)
        changed = ledger.history(connection, name)
        versions = [candidate.version for candidate in ledger.candidates(connection, name)]
        reports = derived.read(connection, tables.drift_reports, where={"line": name}, order=["as_of"])
    shown = {row: list(drawing.marks_of(result, row)) for row, *_ in drawing.ROWS}
    for kind in scoring.KINDS:
        row = kind.replace("_", " ")
        assert shown[row] == list(reports.loc[reports[kind], "as_of"])
    assert shown["promoted"] == [row.effective_at for row in changed if row.action is Action.PROMOTE]
    assert shown["rolled back"] == [row.effective_at for row in changed if row.action is Action.ROLLBACK]
    assert shown["trained by schedule"] == [item.as_of for item in asked if item.reason == "schedule"]
    assert len(reports) == CALENDAR.days
    assert asked[0].reason == "bootstrap"
    assert {item.state for item in asked} == {RequestState.SERVED}
    assert len(asked) == len(versions) == result.trainings(scoring.POLICY) == len(result.marks.verdicts)
    assert shown["promoted"]
    assert shown["data drift"] or shown["performance drift"]  # something happened


def test_the_rivals_ask_nobody(result: study.Result, place: tuple[Warehouse, Settings]) -> None:
    rivals = setting.rival_line(result.line)
    with place[0].begin() as connection:
        assert ledger.requests(connection, rivals.name) == []
        assert ledger.history(connection, rivals.name) == []
        trained = ledger.candidates(connection, rivals.name)
    starts = [CALENDAR.at(day) for day in (0, 7)]
    assert [candidate.as_of for candidate in trained] == starts
    assert result.reigns[scoring.NEVER] == [(starts[0], 1)]
    assert result.reigns[scoring.NEWEST] == list(zip(starts, (1, 2), strict=True))
    assert set(result.reigns[scoring.BETTER]) <= set(result.reigns[scoring.NEWEST])
    assert [result.trainings(arm) for arm in (scoring.NEVER, scoring.NEWEST, scoring.BETTER)] == [1, 2, 2]


def test_every_arm_is_judged_on_the_same_rows(result: study.Result, place: tuple[Warehouse, Settings]) -> None:
    frame = result.frame
    assert len(frame) == CALENDAR.days * 24 - 1  # the outcome of the last hour lies beyond the year
    assert frame[list(scoring.ARMS)].notna().all(axis=None)
    served = derived.read(place[0], tables.predictions, where={"line": result.line.name, "role": CHAMPION})
    own = frame.merge(served, on=["symbol", "event_time"])
    assert np.array_equal(own[scoring.POLICY], own["probability"])
    first = result.marks.changes["effective_at"].min()
    assert len(own) == (frame["available_at"] >= first).sum()
    unserved = frame[frame["available_at"] < first]
    assert np.array_equal(unserved[scoring.POLICY], unserved[scoring.BASE])
    same = frame[(frame["available_at"] >= first) & (frame["available_at"] < result.marks.changes[
        "effective_at"].iloc[1:].min())] if len(result.marks.changes) > 1 else frame[frame["available_at"] >= first]
    if first == CALENDAR.begins:  # the policy's first version is the one that is never retrained
        assert np.array_equal(same[scoring.POLICY], same[scoring.NEVER])


def test_the_same_seed_gives_the_same_days(
        result: study.Result, place: tuple[Warehouse, Settings], year: world.Year) -> None:
    """And so does a year that is cut short: what comes later has no part in it."""
    short = replace(CALENDAR, days=4, turn=1, back=2, death=3)
    again = Line.model_validate({**TINY, "name": "year_again"})
    playing.policy(playing.Stage(*place, short.year), again, audited=False)
    whole, part = (derived.read(place[0], tables.predictions, where={"line": name}, end=short.year.end - timedelta(
        hours=1), columns=["symbol", "event_time", "version", "role", "probability"])
        for name in (result.line.name, again.name))
    assert len(part) >= 24 * short.days - 1
    pd.testing.assert_frame_equal(whole, part)


def test_the_figure_tells_what_it_shows(result: study.Result, tmp_path: Path) -> None:
    picture = drawing.draw(result, tmp_path / "year.svg")
    assert picture.read_bytes() == drawing.draw(result, tmp_path / "again.svg").read_bytes()
    told = " | ".join("".join(node.itertext()) for node in ElementTree.parse(picture).iter()
                      if node.tag.endswith("}text"))
    assert "A year of one line" in told
    for caption in ("policy and gate: ", "never retrained: ", "weekly, the newest: ",
                    "weekly, if the metric is better: ", "oracle (knows the edge)", "1 training",
                    "2 trainings", f"promoted ({len(drawing.marks_of(result, 'promoted'))})"):
        assert caption in told
    assert drawing.draw(result, tmp_path / "year.png").read_bytes().startswith(b"\x89PNG")


def test_the_year_is_kept_on_mlflow(result: study.Result, place: tuple[Warehouse, Settings]) -> None:
    client = setting.connect(place[1])
    run = client.get_run(keeping.keep(place[1], result))
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "5"
    table = result.table()
    assert run.data.metrics["policy_and_gate.millinats"] == pytest.approx(table["millinats"][scoring.POLICY])
    assert run.data.metrics["never.trainings"] == 1
    live = client.get_metric_history(run.info.run_id, "live.oracle")
    assert [point.step for point in live] == list(range(len(live)))
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    assert {file.name for file in folder.iterdir()} == {"year.svg", "year.png", "year.json"}
    assert folder.is_relative_to(Path(place[1].require("mlflow_url").removeprefix("sqlite:///")).parent)
    kept = json.loads((folder / "year.json").read_text())
    assert kept["arms"]["oracle"]["of_oracle"] == 1.0


def test_the_death_leaves_no_trace_in_documents_nor_volume() -> None:
    """With and without it every text and every volume is the same to the bit, and returns move as much."""
    usual = world.Calendar(history=20, days=60, turn=1, back=2, death=3)
    late = replace(usual, death=59)
    dead, living = (world.make(11, calendar, symbols=1, edge=1.4) for calendar in (usual, late))
    pd.testing.assert_frame_equal(dead.documents, living.documents)
    assert np.array_equal(dead.bars["volume"], living.bars["volume"])
    spread = [np.log(made.bars["close"]).diff().iloc[24 * 24:].std() for made in (dead, living)]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)
    after = dead.oracle["event_time"] >= pd.Timestamp(usual.at(usual.death))
    assert dead.oracle.loc[after, "probability"].nunique() == 1
    assert living.oracle.loc[after, "probability"].nunique() > 100


def test_the_turn_shows_in_the_inputs() -> None:
    turned, calm = (world.make(11, world.Calendar(history=20, days=40, turn=turn, back=38, death=39), symbols=1)
                    for turn in (20, 37))
    moved = [np.log(made.bars["close"]).diff()[40 * 24:57 * 24].std() for made in (turned, calm)]
    assert 1.6 < moved[0] / moved[1] < 2.4  # the same shocks, twice as strong
    written = [(made.documents["event_time"] >= pd.Timestamp(made.calendar.at(20))).sum() for made in (turned, calm)]
    assert written[0] > 1.4 * written[1]


def test_a_calendar_is_in_order() -> None:
    assert world.Calendar.of(365) == world.Calendar()
    assert (world.Calendar.of(73).turn, world.Calendar.of(73).death) == (21, 58)
    with pytest.raises(ValueError, match="in this order"):
        world.Calendar(turn=200, back=100)


def test_an_interval_over_worlds_is_students() -> None:
    found = scoring.across(np.array([1.0, 2.0, 3.0]))
    assert (found.value, round(found.low, 3), round(found.high, 3)) == (2.0, -0.484, 4.484)  # t(2) = 4.303, s = 1
