"""
### Build features

Materialises one UTC day of features per line when `sentiment` rings for the day: an immutable, content-addressed
Parquet file per line, its digest in the warehouse. Each line has its own task and rings its own `features/<line>`, so
that one line's trouble does not hold up the others. When the day's bars or an earlier day are still missing, the task
says so and tries again later.

A line that lists more than 64 symbols fans out: mapped tasks compute 64 symbols each, and one more what looks across
all of them; each keeps its columns beside the snapshots, where the line's own task finds them and writes the day. The
result is the same to the bit. A task is one process of one thread; if the line's task is given more `pool_slots`, it
computes what it does not find with as many processes.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, tell, work
from tidemark_airflow.lines import bar_lines, wide_lines
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=PartitionedAssetTimetable(assets=assets.SENTIMENT), params=partition_params(),
    **dag_defaults("build_features", title="Build features", doc=__doc__, tags={"features"}),
):

    @task(doc_md="One day's feature matrix of one line; XCom carries its reference and digest only.")
    def build(name: str) -> Json:
        from pipelines.features import run
        from tidemark_airflow.ordering import require_inputs

        with work() as w:
            line = w.line(name)
            require_inputs(w, line)
            refs = [run.materialise(w.warehouse, line, day, w.slots) for day in w.days]
            w.announce(assets.features(name), digests=[ref.digest for ref in refs])
            return tell("materialised", refs)

    @task(map_index_template="{{ task.op_kwargs.part[0] | default('across symbols', true) }}",
          doc_md="A part of the line's symbols, kept for the task that writes the day.")
    def compute(name: str, part: list) -> Json:
        from pipelines.features import run
        from tidemark_airflow.ordering import require_inputs

        with work() as w:
            line = w.line(name)
            require_inputs(w, line)
            return tell("computed", [run.prepare(w.warehouse, line, day, part) for day in w.days])

    built = {line.name: build.override(
        task_id=f"build_{line.name}", owner=line.owner, inlets=[assets.BARS, assets.SENTIMENT],
        outlets=[assets.features(line.name)])(line.name) for line in bar_lines()}
    for line in wide_lines():
        computed = compute.override(task_id=f"compute_{line.name}", owner=line.owner).partial(name=line.name)
        computed.expand(part=[list(part) for part in line.parts()]) >> built[line.name]
