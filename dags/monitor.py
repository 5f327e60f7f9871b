"""
### Monitor

Looks at one line as of the end of a UTC day, when `predictions/<line>` rings for it: lets outcomes mature, measures
data, prediction and performance drift against what the champion was trained on, and asks the retrain policy what
follows. A request goes into the ledger first; only then `retrain/<line>` rings. When the ledger holds no open
request the bell stays silent.

Then it makes the looks that are due: a fresh champion against its predecessor, which is put back if it is
significantly better, and the challenger in its shadow against the champion, which it replaces or not. When the
champion has changed, `champion/<line>` rings. A bell that stays silent is skipped by the scheduler and
costs no process.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, work
from tidemark_airflow.lines import asked_for, bar_lines
from tidemark_airflow.policies import dag_defaults


@task.branch(doc_md="Mature outcomes → drift check → retrain policy. `ring` follows if a request is open.")
def watch(name: str) -> list[str]:
    from tidemark_airflow import watching

    with work() as w:
        return watching.follow(watching.watch_line(w, name))


@task(doc_md="The doorbell. The request itself is in the ledger already.")
def ring(name: str) -> None:
    from tidemark_airflow import watching

    with work() as w:
        watching.ring(w, name)


@task.short_circuit(doc_md="The looks that are due: shadow and automatic rollback. Goes on with new champions.")
def look(name: str) -> Json:
    from tidemark_airflow import looking

    with work() as w:
        return looking.look(w, name)


@task(doc_md="Tells that the ledger names another champion.")
def ring_champion(name: str, versions: list) -> None:
    from tidemark_airflow import looking

    with work() as w:
        looking.ring_champion(w, name, versions)


for line in asked_for(bar_lines()):
    with DAG(
        schedule=PartitionedAssetTimetable(assets=assets.predictions(line.name)), params=partition_params(),
        **dag_defaults("monitor", title="Monitor", doc=__doc__, tags={"monitoring"}, line=line),
    ):
        looked = look(line.name)
        watch(line.name) >> [ring.override(outlets=[assets.retrain(line.name)])(line.name), looked]
        ring_champion.override(outlets=[assets.champion(line.name)])(line.name, looked)
