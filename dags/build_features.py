"""
### Build features

Materialises one UTC day of features per line when `sentiment` rings for the day: an immutable, content-addressed
Parquet file per line, its digest in the warehouse. Each line has its own task and rings its own `features/<line>`, so
that one line's trouble does not hold up the others. When the day's bars or an earlier day are still missing, the task
says so and tries again later.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, tell, work
from tidemark_airflow.lines import bar_lines
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=PartitionedAssetTimetable(assets=assets.SENTIMENT), params=partition_params(),
    **dag_defaults("build_features", title="Build features", doc=__doc__, tags={"features"}),
):

    @task(doc_md="One day's feature matrix of one line; XCom carries its reference and digest only.")
    def build(name: str) -> Json:
        from pipelines.features import run
        from tidemark_airflow.ordering import look_back, require_days

        with work() as w:
            line = w.line(name)
            require_days(w.warehouse, w.days[0], ("bars",), back=look_back(line))
            require_days(w.warehouse, w.days[0], ("sentiment",))
            refs = [run.materialise(w.warehouse, line, day) for day in w.days]
            w.announce(assets.features(name), digests=[ref.digest for ref in refs])
            return tell("materialised", refs)

    for line in bar_lines():
        build.override(task_id=f"build_{line.name}", owner=line.owner, inlets=[assets.BARS, assets.SENTIMENT],
                       outlets=[assets.features(line.name)])(line.name)
