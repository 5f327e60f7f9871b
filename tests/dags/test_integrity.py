"""Every DAG is complete: what it is, whose it is, how it retries, where it runs, and what it rings."""

from __future__ import annotations

import re
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Asset
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.serialization.serialized_objects import DagSerialization

from pipelines.config import ROOT, Settings
from pipelines.contracts.line import load_lines
from tidemark_airflow.notifiers import TidemarkNotifier
from tidemark_airflow.policies import DEFAULT_POOL, ML_POOL, RETRIES, RetryWhenItHelps
from tidemark_airflow.timetables import DailyPartitions

FILES = sorted((ROOT / "dags").glob("*.py"))
LINES = load_lines(Settings.model_fields["lines_dir"].default)
SHARED = ("bootstrap", "build_features", "collect", "ingest_market", "ingest_text", "maintain", "notify",
          "score_sentiment")
PER_LINE = ("monitor", "predict", "promote", "rollback", "train")
#: Of a line that learns from texts nothing is predicted day by day, so there is nothing to watch.
ON_BARS = ("monitor", "predict")
EXPECTED = sorted([*SHARED, *(f"{stage}_{name}" for stage in PER_LINE for name, line in LINES.items()
                              if line.on_bars or stage not in ON_BARS)])
HEAVY = {"audit", "trials", "conclude", "judge", "open_training"}

#: DAG → (assets that ring it, assets that it rings), for the line L.
WAY: dict[str, tuple[set[str], set[str]]] = {
    "bootstrap": (set(), set()),
    "collect": (set(), set()),
    "ingest_market": (set(), {"bars"}),
    "ingest_text": (set(), {"documents"}),
    "score_sentiment": ({"documents"}, {"sentiment"}),
    "build_features": ({"sentiment"}, {"features/L"}),
    "predict_L": ({"features/L"}, {"predictions/L"}),
    "monitor_L": ({"predictions/L"}, {"retrain/L", "champion/L"}),
    "rollback_L": (set(), {"champion/L"}),
    "train_L": ({"retrain/L"}, {"candidate/L"}),
    "promote_L": ({"candidate/L"}, {"champion/L"}),
    "notify": (set(), set()),
    "maintain": (set(), {"retrain/L", "candidate/L", "documents"}),
}


def heard(dag: DAG) -> set[str]:
    condition = getattr(coerce_to_core_timetable(dag.timetable), "asset_condition", None)
    return {key.name for key, _ in condition.iter_assets()} if condition else set()


def rung(dag: DAG) -> set[str]:
    return {asset.name for task in dag.tasks for asset in task.outlets if isinstance(asset, Asset)}


def for_lines(names: set[str]) -> set[str]:
    return {name.replace("/L", f"/{line.name}") for name in names for line in LINES.values()
            if line.on_bars or not name.startswith("features/")}


@pytest.fixture(params=EXPECTED)
def dag(request: pytest.FixtureRequest, bag: DagBag) -> DAG:
    return bag.dags[request.param]


def test_every_file_is_imported(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == EXPECTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_stays_short(path: Any) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 100


def test_a_dag_says_what_it_is(dag: DAG) -> None:
    assert len((dag.doc_md or "").strip()) > 200
    assert dag.description
    assert dag.dag_display_name != dag.dag_id
    assert "tidemark" in dag.tags
    assert len(dag.tags) >= 2


def test_a_dag_of_a_line_belongs_to_its_owner(bag: DagBag) -> None:
    for stage in PER_LINE:
        for name, line in LINES.items():
            if f"{stage}_{name}" not in EXPECTED:
                continue
            dag = bag.dags[f"{stage}_{name}"]
            assert f"line:{name}" in dag.tags
            assert {task.owner for task in dag.tasks} == {line.owner}
            assert line.title in (dag.description or "")


def test_runs_come_one_at_a_time_and_are_not_caught_up(dag: DAG) -> None:
    """No ``end_date``: it would leave runs from the trigger form without tasks."""
    assert dag.end_date is None
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_every_param_is_described_and_has_a_default(dag: DAG) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert len(param.description or "") > 15, name
        assert param.schema.get("title"), name
        param.resolve()


def test_every_task_has_its_policy(dag: DAG) -> None:
    for task in dag.tasks:
        arguments = getattr(task, "partial_kwargs", {})
        policy = arguments.get("retry_policy", getattr(task, "retry_policy", None))
        assert isinstance(policy, RetryWhenItHelps), task.task_id
        assert arguments.get("retries", task.retries) == RETRIES
        told = arguments["on_failure_callback"] if arguments else task.on_failure_callback[0]
        assert isinstance(told, TidemarkNotifier), task.task_id
        assert task.owner != "airflow"
        assert not arguments.get("multiple_outputs", getattr(task, "multiple_outputs", False)), task.task_id
        assert task.pool == (ML_POOL if task.task_id in HEAVY else DEFAULT_POOL), task.task_id
        assert task.task_id.startswith("ring_") or task.doc_md, task.task_id


def test_every_mapped_task_names_its_pieces(bag: DagBag) -> None:
    mapped = {f"{dag.dag_id}.{task.task_id}": task.map_index_template
              for dag in bag.dags.values() for task in dag.tasks if task.is_mapped}
    assert set(mapped) == {"bootstrap.load", *(f"train_{name}.trials" for name in LINES)}
    assert all(mapped.values())


def test_ingest_has_a_deadline_and_daily_partitions(bag: DagBag) -> None:
    for name in ("ingest_market", "ingest_text"):
        dag = bag.dags[name]
        assert dag.deadline, name
        assert isinstance(dag.timetable, DailyPartitions)


@pytest.mark.parametrize("shape", WAY)
def test_the_way(bag: DagBag, shape: str) -> None:
    hears, rings = WAY[shape]
    if shape.endswith("_L"):
        for line in LINES:
            if shape.replace("_L", f"_{line}") not in EXPECTED:
                continue
            dag = bag.dags[shape.replace("_L", f"_{line}")]
            assert (heard(dag), rung(dag)) == tuple({name.replace("/L", f"/{line}") for name in names}
                                                    for names in (hears, rings))
    else:
        assert (heard(bag.dags[shape]), rung(bag.dags[shape])) == (for_lines(hears), for_lines(rings))


def test_whoever_is_rung_listens_to_partitions(bag: DagBag) -> None:
    """Airflow passes events with a partition key to partition-aware DAGs only."""
    deaf = [dag.dag_id for dag in bag.dags.values()
            if heard(dag) and type(dag.timetable).__name__ != "PartitionedAssetTimetable"]
    assert deaf == []


def test_nobody_waits_for_two_bells(bag: DagBag) -> None:
    """Two that ring in the same moment can each wait for the other (apache/airflow#71070)."""
    assert {dag.dag_id: heard(dag) for dag in bag.dags.values() if len(heard(dag)) > 1} == {}


def test_only_the_doorbell_closes_the_circle(bag: DagBag) -> None:
    edges = {(one.dag_id, other.dag_id, bell) for one in bag.dags.values() if one.dag_id != "maintain"
             for other in bag.dags.values() for bell in rung(one) & heard(other)}
    assert any(bell.startswith("retrain/") for _, _, bell in edges)
    forward = {(one, other) for one, other, bell in edges if not bell.startswith("retrain/")}
    left = set(bag.dags)
    while ready := {node for node in left if not any(other == node and one in left for one, other in forward)}:
        left -= ready
    assert left == set()


def test_people_are_asked_only_where_the_line_says_so(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Any, bag: DagBag) -> None:
    assert not [dag.dag_id for dag in bag.dags.values() if dag.has_task("approve")]
    for path in (ROOT / "mlflow" / "lines").glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        if path.stem == "volatility_24h":
            text = re.sub(r'approval = "auto"', 'approval = "human"', text)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(tmp_path))
    asked = DagBag(str(ROOT / "dags" / "promote.py"), collect_dags=True)
    assert asked.import_errors == {}
    assert [dag.dag_id for dag in asked.dags.values() if dag.has_task("approve")] == ["promote_volatility_24h"]
    chain = asked.dags["promote_volatility_24h"]
    assert chain.get_task("judge").downstream_task_ids == {"approve", "promote"}
    assert chain.get_task("approve").downstream_task_ids == {"promote"}


def test_it_survives_serialisation(dag: DAG) -> None:
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert set(again.task_dict) == set(dag.task_dict)
    assert all(task.has_retry_policy for task in again.tasks)


def test_a_line_of_many_symbols_fans_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, bag: DagBag) -> None:
    assert {task.task_id for task in bag.dags["build_features"].tasks} == {
        f"build_{name}" for name, line in LINES.items() if line.on_bars}
    symbols = ", ".join(f'"S{number:03d}"' for number in range(130))
    text = (ROOT / "mlflow" / "lines" / "volatility_24h.toml").read_text(encoding="utf-8")
    kept = [row for row in text.splitlines() if not row.startswith("symbols")]
    kept.insert(kept.index('name = "volatility_24h"') + 1, f"symbols = [{symbols}]")
    (tmp_path / "volatility_24h.toml").write_text("\n".join(kept), encoding="utf-8")
    monkeypatch.setenv("TIDEMARK_LINES_DIR", str(tmp_path))
    wide = DagBag(str(ROOT / "dags" / "build_features.py"), collect_dags=True)
    assert wide.import_errors == {}
    dag = wide.dags["build_features"]
    computed = dag.get_task("compute_volatility_24h")
    assert computed.downstream_task_ids == {"build_volatility_24h"}
    assert computed.is_mapped
    assert computed.map_index_template
    assert [len(part) for part in computed.op_kwargs_expand_input.value["part"]] == [64, 64, 2, 0]
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert set(again.task_dict) == {"compute_volatility_24h", "build_volatility_24h"}


@pytest.mark.parametrize("name", ["ingest_market", "ingest_text"])
def test_the_way_from_a_task_to_its_data_quality_survives_too(bag: DagBag, name: str) -> None:
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags[name]))
    assert [link.name for link in again.get_task("ingest").operator_extra_links] == ["Data quality"]
