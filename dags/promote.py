"""
### Promote

Judges one candidate when `candidate/<line>` rings with its version: the same rows, scored by the candidate and by
the champion (or by naive baselines while there is none), after costs. The verdict goes into the ledger with its
reasons, and into this task's log. Only a verdict `promote` goes further: on a line with `approval = "human"` a person
answers in *Required actions*; then the ledger names the new champion and MLflow's alias follows.

Refused or inconclusive: `promote` is skipped, the champion stays.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.approval import LedgerApproval
from tidemark_airflow.context import Json, work
from tidemark_airflow.judging import promote_params
from tidemark_airflow.lines import asked_for, lines
from tidemark_airflow.policies import ML_POOL, dag_defaults


@task.short_circuit(pool=ML_POOL, doc_md="Evidence → verdict → ledger. Goes on only when the verdict is `promote`.")
def judge(name: str) -> Json:
    from tidemark_airflow import judging

    with work() as w:
        return judging.judge(w, name)


@task(doc_md="Ledger first, under its lock; then the MLflow alias.")
def promote(name: str, judged: dict) -> Json:
    from tidemark_airflow import judging

    with work() as w:
        row = judging.promote(w, name, judged["version"])
        w.announce(assets.champion(name), [f"v{judged['version']}"], sentences=judged["sentences"])
        return row


for line in asked_for(lines()):
    with DAG(
        schedule=PartitionedAssetTimetable(assets=assets.candidate(line.name)), params=promote_params(),
        **dag_defaults("promote", title="Promote", doc=__doc__, tags={"gate", "registry"}, line=line),
    ):
        judged = judge(line.name)
        promoted = promote.override(outlets=[assets.champion(line.name)])(line.name, judged)
        if line.approval == "human":
            judged >> LedgerApproval.of(line) >> promoted
