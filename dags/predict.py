"""
### Predict

Scores the bars of one UTC day with the line's champion (the one effective at the start of the day) and its
challenger, when `features/<line>` rings for the day. A prediction is written with the time at which its row was
known and is refused when its outcome was known already. Without a champion the day has no predictions, and that
is not an error. Rings `predictions/<line>` for the day. A rerun changes nothing.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, tell, work
from tidemark_airflow.lines import asked_for, bar_lines
from tidemark_airflow.policies import dag_defaults


@task(doc_md="Champion and challenger score one day's rows.")
def predict(name: str) -> Json:
    from pipelines.serving import batch

    with work() as w:
        reports = [batch.predict(w.warehouse, w.settings, w.line(name), day) for day in w.days]
        w.announce(assets.predictions(name))
        return tell("predicted", reports)


for line in asked_for(bar_lines()):
    with DAG(
        schedule=PartitionedAssetTimetable(assets=assets.features(line.name)), params=partition_params(),
        **dag_defaults("predict", title="Predict", doc=__doc__, tags={"serving"}, line=line),
    ):
        predict.override(outlets=[assets.predictions(line.name)])(line.name)
