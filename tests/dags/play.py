"""Runs DAGs with ``dag.test()`` in a process of its own: reads one ``["dag_id", {"param": value}]`` per line, answers
each with a line ``PLAYED {...}``.

Its environment says which Airflow, which warehouse and which MLflow. One process for all, because the first task of
an Airflow process costs seconds and the following ones a tenth of one.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def metadata_database() -> None:
    """Make Airflow's tables in the empty database that the environment names."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    initdb()
    Pool.create_or_update_pool("ml", slots=2, description="model fitting", include_deferred=False)


def play(dag: Any, conf: dict[str, Any]) -> dict[str, Any]:
    """Run one DAG; the states of its tasks, and the events it has rung."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    began = time.perf_counter()
    dag.deadline = None  # Airflow 3.3.2: dag.test() hands the alerts' definitions to a query that wants their ids
    run = dag.test(run_conf=conf)
    with create_session() as session:
        tasks = session.execute(select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state,
                                       TaskInstance.rendered_map_index).where(TaskInstance.run_id == run.run_id,
                                                                              TaskInstance.dag_id == dag.dag_id)).all()
        rung = session.execute(select(AssetModel.name, AssetEvent.partition_key).join(
            AssetModel, AssetModel.id == AssetEvent.asset_id).where(
            AssetEvent.source_run_id == run.run_id, AssetEvent.source_dag_id == dag.dag_id)).all()
    return {
        "dag": dag.dag_id, "state": str(run.state), "seconds": round(time.perf_counter() - began, 2),
        "tasks": {f"{row.task_id}[{row.map_index}]" if row.map_index >= 0 else row.task_id: row.state
                  for row in tasks},
        "names": sorted(row.rendered_map_index for row in tasks if row.rendered_map_index),
        "rung": sorted(f"{name}@{key}" for name, key in rung)}


def main() -> None:
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    metadata_database()
    bag = DagBag(conf.get("core", "dags_folder"), collect_dags=True)
    if bag.import_errors:
        sys.exit(str(bag.import_errors))
    for line in sys.stdin:
        dag_id, params = json.loads(line)
        print("PLAYED " + json.dumps(play(bag.dags[dag_id], params)), flush=True)


if __name__ == "__main__":
    main()
