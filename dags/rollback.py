"""
### Roll back

Puts a former champion back into production, by hand only: the version that the trigger form names, or the one before
the present champion. The ledger first, with who and why; then MLflow's alias. The version scores the partitions that
start at *As of* or later. Rings `champion/<line>`.

A rollback is not repeated by a second try: a task that fails after the ledger was written says so, and `maintain`
mends the alias. Automatic rollbacks are made by `monitor_<line>` (see `[gate.rollback]` of the line).
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, work
from tidemark_airflow.lines import asked_for, lines
from tidemark_airflow.looking import rollback_params
from tidemark_airflow.policies import dag_defaults


@task(doc_md="Ledger first, under its lock; then the MLflow alias.")
def roll_back(name: str) -> Json:
    from tidemark_airflow import looking

    with work() as w:
        return looking.roll_back(w, name)


for line in asked_for(lines()):
    with DAG(
        schedule=None, params=rollback_params(),
        **dag_defaults("rollback", title="Roll back", doc=__doc__, tags={"registry"}, line=line),
    ):
        roll_back.override(outlets=[assets.champion(line.name)])(line.name)
