"""
### Monitor

Looks at one line as of the end of a UTC day, when `predictions/<line>` rings for it: lets outcomes mature, measures
data, prediction and performance drift against what the champion was trained on, and asks the retrain policy what
follows. A request goes into the ledger first; only then `retrain/<line>` rings. When the ledger holds no open
request the bell stays silent.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import partition_params, work
from tidemark_airflow.lines import lines
from tidemark_airflow.policies import dag_defaults


@task.short_circuit(doc_md="Mature outcomes → drift check → retrain policy. Returns whether a request is open.")
def watch(name: str) -> bool:
    from tidemark_airflow.watching import watch_line

    with work() as w:
        return watch_line(w, name)


@task(doc_md="The doorbell. The request itself is in the ledger already.")
def ring(name: str) -> None:
    with work() as w:
        w.announce(assets.retrain(name))


for line in lines():
    with DAG(
        schedule=PartitionedAssetTimetable(assets=assets.predictions(line.name)), params=partition_params(),
        **dag_defaults("monitor", title="Monitor", doc=__doc__, tags={"monitoring"}, line=line),
    ):
        watch(line.name) >> ring.override(outlets=[assets.retrain(line.name)])(line.name)
