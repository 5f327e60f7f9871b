"""The story of the demo on the real LocalExecutor stack, with the scheduler killed in the middle."""

from __future__ import annotations

import httpx
import pytest

from infra.demo.airflow import Airflow, poll
from infra.demo.story import INGESTION
from infra.demo.world import simulated
from pipelines.contracts.records import Action
from pipelines.store import ledger
from tests.e2e.conftest import Played, pids, run

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

#: table → the columns that name a fact; a second row with the same ones would be a duplicate
FACTS = {
    "bars": 'symbol, "interval", event_time, open, high, low, close, volume',
    "documents": "source, doc_id, event_time, text",
    "indicators": "name, event_time, value",
    "sentiment_scores": "source, doc_id, event_time, scorer",
    "sentiment_aggregates": 'symbol, "window", at',
    "predictions": "line, version, symbol, event_time",
    "outcomes": "line, symbol, event_time",
    "drift_reports": "line, as_of",
    "candidates": "line, as_of",
    "verdicts": "line, version",
    "quarantine": "digest",
}


def models(played: Played, line: str) -> list[dict]:
    return [row for row in played.summary["models"] if row["line"] == line]


def test_the_scheduler_was_killed_and_came_back(played: Played) -> None:
    assert len(played.killed) == 1
    assert pids(played.environment)["scheduler"] != played.killed[0]


def test_the_first_champions_beat_the_baselines_and_the_line_without_edge_is_refused(played: Played) -> None:
    first = {line: models(played, line)[0] for line in ("direction_1h", "volatility_24h", "calendar_1h")}
    assert first["direction_1h"]["verdict"] == "promote"
    assert first["volatility_24h"]["verdict"] == "promote"
    assert first["calendar_1h"]["verdict"] != "promote"
    assert first["calendar_1h"]["why"]
    assert played.summary["champions"]["calendar_1h"] is None


def test_the_shift_is_seen_only_after_it_came(played: Played) -> None:
    alarms = [row for row in played.summary["alarms"] if row["line"] == "direction_1h"]
    assert alarms
    assert min(row["as_of"] for row in alarms) > "2024-05-23"  # history of 140 days and 3 quiet ones from 2024-01-01


def test_an_alarm_led_to_a_new_champion_and_a_rollback_brought_the_old_one_back(played: Played) -> None:
    asked = [row for row in played.summary["models"] if row["asked_for_by"] not in (None, "bootstrap", "manual")]
    assert any(row["verdict"] == "promote" for row in asked)
    renewed = next(row["line"] for row in asked if row["verdict"] == "promote")
    steps = [row for row in played.summary["promotions"] if row["line"] == renewed]
    assert [row["action"] for row in steps] == ["promote", "promote", "rollback"]
    assert steps[2]["version"] == steps[0]["version"] == played.summary["champions"][renewed]


def test_aliases_say_what_the_ledger_says(played: Played) -> None:
    url, auth = played.settings.require("mlflow_url"), ("admin", played.settings.require("mlflow_password"))
    for line, version in played.summary["champions"].items():
        answer = httpx.get(f"{url}/api/2.0/mlflow/registered-models/alias", auth=auth,
                           params={"name": f"tidemark.{line}", "alias": "champion"})
        assert (answer.json()["model_version"]["version"] if answer.is_success else None) == (
            None if version is None else str(version))


def test_every_run_in_mlflow_has_ended_well(played: Played) -> None:
    assert {row["run_status"] for row in played.summary["models"]} == {"FINISHED"}


@pytest.mark.parametrize("table", FACTS)
def test_no_row_is_doubled(played: Played, table: str) -> None:
    with played.warehouse.begin() as connection:
        rows, distinct = connection.exec_driver_sql(
            f"SELECT count(*), count(DISTINCT ({FACTS[table]})) FROM ai_trading.{table}").one()
    assert rows > 0
    assert rows == distinct


def test_every_prediction_was_written_before_its_outcome_could_be_known(played: Played) -> None:
    with played.warehouse.begin() as connection:
        late = connection.exec_driver_sql(
            "SELECT count(*) FROM ai_trading.predictions WHERE available_at >= label_end").scalar_one()
        unknown = connection.exec_driver_sql(
            "SELECT count(*) FROM ai_trading.outcomes WHERE matured_at < label_end").scalar_one()
    assert (late, unknown) == (0, 0)


def test_refused_rows_are_in_quarantine_with_a_reason(played: Played) -> None:
    with played.warehouse.begin() as connection:
        rows, reasons = connection.exec_driver_sql(
            "SELECT count(*), count(*) FILTER (WHERE reason <> '') FROM ai_trading.quarantine").one()
    assert rows == reasons > 0


def test_a_repeated_backfill_changes_nothing(played: Played) -> None:


    def facts() -> list[tuple]:
        with played.warehouse.begin() as connection:
            return [(table, *connection.exec_driver_sql(
                f"SELECT count(*), md5(string_agg(row, '' ORDER BY row)) "
                f"FROM (SELECT md5(({columns})::text) AS row FROM ai_trading.{table}) AS digests").one())
                for table, columns in FACTS.items()]

    before = facts()
    airflow = Airflow(played.settings.require("airflow_url"), "admin", played.settings.require("airflow_password"))
    day = next(iter(simulated().quiet.days()))
    watched = [f"monitor_{line}" for line in played.summary["champions"]]
    earlier = {run.run_id for run in airflow.newest(watched, 100)}
    for dag_id in INGESTION:
        airflow.backfill(dag_id, day)

    def repeated() -> bool:
        again = [run for run in airflow.newest(watched) if run.run_id not in earlier]
        return len(again) == len(watched) and all(run.state == "success" for run in again)

    assert poll(repeated, timeout=300, what="the repeated day")
    assert facts() == before


def test_the_ledger_is_append_only_and_linear(played: Played) -> None:
    with played.warehouse.begin() as connection:
        for line in played.summary["champions"]:
            rows = ledger.history(connection, line)
            assert [row.previous for row in rows] == [None, *(row.version for row in rows)][: len(rows)]
            assert all(row.action in (Action.PROMOTE, Action.ROLLBACK) for row in rows)


def test_pages_and_apis_need_a_login(played: Played) -> None:
    airflow, mlflow = played.settings.require("airflow_url"), played.settings.require("mlflow_url")
    assert httpx.get(f"{airflow}/api/v2/dags").status_code == 401
    assert httpx.get(f"{mlflow}/api/2.0/mlflow/experiments/search", params={"max_results": 1}).status_code == 401


def test_up_again_is_idempotent(played: Played) -> None:
    """With the settings it runs with; changed ones would restart what reads them."""
    before = pids(played.environment)
    done = run({**played.environment, **simulated().environment}, "infra.local", "up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pids(played.environment) == before
