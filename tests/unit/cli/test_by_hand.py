"""The whole way by hand: every command that does the work of a DAG, on a small world with real servers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.local.postgres import EmbeddedPostgres
from pipelines import cli, config
from pipelines.errors import InsufficientData
from tests.fixtures.mlflow_server import MlflowServer

LINE = "hand_1h"
TOML = f"""
name = "{LINE}"
title = "A small line for a small world"
[target]
kind = "direction"
horizon_bars = 1
[features]
groups = ["returns", "sentiment"]
[walk_forward]
train_days = 14
test_days = 3
search_folds = 2
evidence_days = 7
[search]
families = ["logistic_regression"]
trials = 3
nested_runs = 1
[gate]
alpha = 0.2
min_rows = 100
"""
START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=40)
HISTORY = ["--start", START.isoformat(), "--end", END.isoformat()]
NEXT = ["--start", END.isoformat(), "--end", (END + timedelta(days=1)).isoformat()]

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(postgres: EmbeddedPostgres, template_database: str, mlflow_server: MlflowServer,
        tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a command with --json; answers (exit code, the document it printed)."""
    home = tmp_path_factory.mktemp("home")
    (home / "lines").mkdir()
    (home / "lines" / f"{LINE}.toml").write_text(TOML, encoding="utf-8")
    names = [f"hand_{os.getpid()}_{what}" for what in ("warehouse", "optuna")]
    postgres.create_databases(names)
    warehouse, optuna = map(postgres.url, names)
    from pipelines.store.migrate import upgrade

    upgrade(warehouse)
    environment = {
        "TIDEMARK_HOME": str(home), "TIDEMARK_LINES_DIR": str(home / "lines"), "TIDEMARK_DATABASE_URL": warehouse,
        "TIDEMARK_OPTUNA_URL": optuna, "TIDEMARK_SIMULATOR__DAYS": "45", "TIDEMARK_SIMULATOR__SYMBOLS": "3",
        "TIDEMARK_SIMULATOR__EDGE": "3",
        **{f"TIDEMARK_{key.upper()}": value for key, value in mlflow_server.settings.items()}}

    def invoke(*arguments: str) -> Any:
        result = CliRunner().invoke(cli.app, [*arguments, "--json"], catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)

    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        config.settings.cache_clear()
        yield invoke
    config.settings.cache_clear()


@pytest.fixture(scope="module")
def loaded(run: Run) -> Any:
    return run("ingest", *HISTORY)


@pytest.fixture(scope="module")
def trained(run: Run, loaded: Any) -> Any:
    run("sentiment", *HISTORY)
    return run("train", LINE, "--as-of", END.isoformat(), "--reason", "first")


def test_ingest_counts_what_came_in_and_twice_changes_nothing(run: Run, loaded: Any) -> None:
    code, months = loaded
    assert code == 0
    assert sum(month["counts"]["bars"]["inserted"] for month in months) > 40 * 24 * 3 * 0.95
    assert sum(month["newly_refused"] for month in months) > 0
    _, again = run("ingest", *HISTORY)
    assert sum(counts["inserted"] + counts["revised"] for month in again for counts in month["counts"].values()) == 0
    assert sum(month["newly_refused"] for month in again) == 0


def test_quarantine_lists_shows_and_replays(run: Run, loaded: Any) -> None:
    code, rows = run("quarantine", "list", "--limit", "5")
    assert code == 0
    assert 0 < len(rows) <= 5
    _, row = run("quarantine", "show", str(rows[0]["id"]))
    assert row["reason"] == rows[0]["reason"]
    assert row["payload"]
    code, report = run("quarantine", "replay", str(rows[0]["id"]))
    assert code == 0
    assert list(report["refused"]) == [str(rows[0]["id"])]  # nothing was mended


def test_a_candidate_is_trained_judged_and_put_into_production(run: Run, trained: Any) -> None:
    code, candidate = trained
    assert code == 0
    assert (candidate["line"], candidate["version"], candidate["family"]) == (LINE, 1, "logistic_regression")
    code, verdicts = run("gate", LINE)
    assert (code, [item["verdict"]["outcome"] for item in verdicts]) == (0, ["promote"])
    assert run("gate", LINE) == (0, [])  # nothing waits any more
    code, champion = run("champion", LINE)
    assert (code, champion["version"]) == (0, 1)
    _, [row] = run("history", LINE)
    assert (row["action"], row["version"]) == ("promote", 1)
    assert row["cpu_seconds"] > 0
    assert row["wall_seconds"] > 0
    _, [line] = run("lines")
    assert (line["line"], line["champion"], line["last verdict"]) == (LINE, 1, "promote")


def test_the_next_day_is_predicted_and_watched(run: Run, trained: Any) -> None:
    run("gate", LINE)
    run("ingest", *NEXT)
    run("sentiment", *NEXT)
    _, parts = run("features", LINE, *NEXT)
    assert [part["rows"] for part in parts] == [72]
    again = (END + timedelta(days=1, hours=5)).isoformat()
    assert run("features", LINE, "--as-of", again) == (0, parts)  # the last whole day before that time
    assert run("features", "build", LINE, *NEXT) == (0, parts)
    _, [report] = run("predict", LINE, *NEXT)
    assert (report["rows"], report["new"], report["by_role"]) == (72, 72, {"champion": 72})
    code, drift = run("monitor", LINE, "--as-of", NEXT[3])
    assert drift["champion_version"] == 1
    assert code == (1 if drift["data_drift"] or drift["prediction_drift"] or drift["performance_drift"] else 0)


def test_the_leak_audit_by_hand_finds_nothing(run: Run, trained: Any) -> None:
    code, report = run("audit", LINE, "--as-of", END.isoformat())
    assert (code, report["passed"]) == (0, True)


def test_retraining_intervals_are_compared_with_never(run: Run, trained: Any) -> None:
    code, report = run("intervals", LINE, "--as-of", END.isoformat(), "--days", "14")
    assert code == 0
    assert [row["interval"] for row in report["intervals"]] == ["never", "28d", "14d", "7d", "3d", "1d"]
    assert [row["fits"] for row in report["intervals"]] == [1, 1, 1, 2, 5, 14]
    assert report["best"] in {row["interval"] for row in report["intervals"]}
    assert report["note"].endswith(".")


def test_a_version_is_followed_to_its_sources_and_made_again(run: Run, trained: Any) -> None:
    """After a day of new facts, revisions among them: the past is still what it was."""
    run("ingest", *NEXT)
    run("sentiment", *NEXT)
    code, found = run("lineage", LINE, "1")
    assert code == 0
    assert (found["line"], found["version"], found["family"], found["seed"]) == (LINE, 1, "logistic_regression", 7)
    assert {item["kind"] for item in found["sources"]} == {"bars", "documents"}
    assert all(item["facts"] <= item["revisions"] for item in found["sources"])
    assert all(datetime.fromisoformat(item["last_available"]) <= END for item in found["sources"])
    code, again = run("reproduce", f"{LINE}@1")
    assert (code, again["identical"], again["differences"]) == (0, True, [])
    assert {check["what"]: check["recorded"] == check["rebuilt"] for check in again["checks"]} == dict.fromkeys(
        ("snapshot", "model content", "model file", "stored file"), True)
    for command in (["lineage", LINE, "1"], ["reproduce", f"{LINE}@1"]):
        shown = CliRunner().invoke(cli.app, command, catch_exceptions=False)
        assert shown.exit_code == 0
        assert "identical" in shown.stdout or "facts it was made from" in shown.stdout


def test_two_trainings_are_compared(run: Run, trained: Any) -> None:
    _, second = run("train", LINE, "--as-of", (END + timedelta(hours=12)).isoformat())
    code, found = run("compare", trained[1]["run_id"], f"{LINE}@{second['version']}")
    assert code == 0
    assert found["runs"] == [trained[1]["run_id"], f"{LINE}@2"]
    assert {"evidence.log_loss", "evidence.auc"} <= set(found["metrics"])
    assert found["pairs"][0]["rows"] > 6 * 24 * 3 * 0.9
    assert found["recommendation"].startswith(("Prefer ", "No difference ", "They predict the same"))
    shown = CliRunner().invoke(cli.app, ["compare", f"{LINE}@1", f"{LINE}@2"], catch_exceptions=False)
    assert "evidence.log_loss" in shown.stdout


def test_the_leaderboard_ranks_families_and_the_versions_that_share_rows(run: Run, trained: Any, tmp_path: Any) -> None:
    _, second = run("train", LINE, "--as-of", (END + timedelta(hours=12)).isoformat())
    code, boards = run("leaderboard", LINE, "--html", str(tmp_path / "board.html"))
    assert code == 0
    of_families, of_versions = ({entry["name"] for entry in board["entries"]} for board in boards)
    assert of_families == {"logistic_regression", "base_rate"}
    assert {"version 1", f"version {second['version']}", "base_rate"} <= of_versions
    assert boards[1]["periods"] > 6 * 24
    page = (tmp_path / "board.html").read_text(encoding="utf-8")
    assert all(board["recommendation"] in page for board in boards)
    code, first = run("leaderboard", LINE, "--version", "1")
    assert first[0]["title"].startswith("Families in the search of version 1, as of 2024-02-10")


def test_the_learning_curve_says_whether_more_history_would_help(run: Run, trained: Any) -> None:
    code, found = run("learning-curve", LINE, "--as-of", END.isoformat())
    assert code == 0
    assert [point["share"] for point in found["points"]] == [0.125, 0.25, 0.5, 0.75, 1.0]
    assert found["points"][-1]["days"] == pytest.approx(14, abs=0.2)
    assert found["note"].endswith(".")


@pytest.mark.parametrize("words", [["reproduce", LINE], ["reproduce", f"{LINE}@one"]])
def test_a_version_is_named_with_its_line(words: list[str], monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["tidemark", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "write it like direction_1h@3" in capsys.readouterr().err


def test_there_is_nothing_to_roll_back_to(run: Run, trained: Any, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    run("gate", LINE)
    monkeypatch.setattr("sys.argv", ["tidemark", "rollback", LINE])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "has no champion before the present one" in capsys.readouterr().err


def test_a_training_that_cannot_open_gives_its_request_back(run: Run, loaded: Any) -> None:
    from pipelines.store import Warehouse, ledger

    with pytest.raises(InsufficientData):
        run("train", LINE, "--as-of", (START + timedelta(days=3)).isoformat())
    store = Warehouse.from_settings(config.settings())
    with store.begin() as connection:
        states = [item.state.value for item in ledger.requests(connection, LINE)]
    store.close()
    assert "claimed" not in states


def test_a_line_that_does_not_exist_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["tidemark", "champion", "nowhere"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert f"there are: {LINE}" in capsys.readouterr().err


def test_a_person_asks_is_refused_and_forces_and_the_list_says_what_it_cost(run: Run, trained: Any) -> None:
    """Last in this file: what it leaves open, a training would serve."""
    from pipelines.contracts.records import RequestState
    from pipelines.store import Warehouse, ledger

    store = Warehouse.from_settings(config.settings())
    with store.begin() as connection:  # what others in this file have given back
        for item in ledger.requests(connection, LINE, states={RequestState.PENDING}):
            ledger.finish_request(connection, item.id, RequestState.FAILED, at=END)
    store.close()
    run("gate", LINE)
    _, rows = run("retrain", "list", LINE)
    first = rows[0]
    assert (first["reason"], first["state"], first["version"], first["verdict"]) == ("manual", "served", 1, "promote")
    assert first["promoted"]
    assert first["trials"] == 3
    assert first["cpu_seconds"] > 0
    early = ["retrain", "ask", LINE, "--reason", "the fees changed", "--by", "ann", "--as-of",
             (END + timedelta(days=1)).isoformat()]
    code, refused = run(*early)
    assert (code, refused["asked"], refused["phase"]) == (1, False, "cooling")
    assert run("retrain", "explain", LINE, "--as-of", early[-1])[1]["would"].startswith("cooling: cooling down until")
    code, asked = run(*early, "--force")
    assert (code, asked["asked"]) == (0, True)
    code, joined = run(*early[:-1], (END + timedelta(days=2)).isoformat(), "--force")
    assert (code, joined["asked"], joined["joined"]) == (0, False, True)
    _, rows = run("retrain", "list")
    assert (rows[-1]["by"], rows[-1]["forced"]["reason"], rows[-1]["state"]) == ("ann", "the fees changed", "pending")
    code, stands = run("retrain", "explain", LINE, "--as-of", early[-1])
    assert (code, stands["state"], stands["would"]) == (0, "in_flight", "joins the open request")
    shown = CliRunner().invoke(cli.app, ["retrain", "list"], catch_exceptions=False)
    assert "the fees changed" in shown.stdout
