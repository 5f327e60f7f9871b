"""
### Maintain

Every hour, and by hand: what a crash in between, a lost bell or the calendar has left open.

* `reconcile`: MLflow's aliases and tags are set to what the ledger says, and runs that died are marked FAILED
* `watchdog`: claims that have expired go back, requests that nobody serves are escalated once and then closed,
  trainings in vain are told; the tables have their partitions for the months to come; the text of each line is recorded
* `listen`: a pending request, an unjudged candidate or an ingested day that nobody works on has its bell rung again

* `freshness`: a series whose newest fact is older than its deadline raises an alarm, once per stale stretch

The first three are repairs: on a healthy system they change nothing.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import work
from tidemark_airflow.lines import lines
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=CronTriggerTimetable("17 * * * *", timezone="UTC"),
    **dag_defaults("maintain", title="Maintain", doc=__doc__, tags={"upkeep"}),
):

    @task(doc_md="Aliases follow the ledger; dead MLflow runs are marked FAILED.")
    def reconcile() -> list[str]:
        from tidemark_airflow import upkeep

        with work() as w:
            return upkeep.reconcile(w)

    @task(doc_md="No claim and no request stays open for ever; partitions for the next months exist.")
    def watchdog() -> list[str]:
        from tidemark_airflow import upkeep

        with work() as w:
            return upkeep.watchdog(w)

    @task(doc_md="A series that went silent is an event and a warning in the log.")
    def freshness() -> list[str]:
        from tidemark_airflow import upkeep

        with work() as w:
            return upkeep.freshness(w)

    @task.branch(doc_md="Which bells have to ring again; none on a healthy system.")
    def listen() -> list[str]:
        from tidemark_airflow import upkeep

        with work() as w:
            return upkeep.bells(w)

    @task
    def ring_retrain(name: str) -> None:
        with work() as w:
            w.announce(assets.retrain(name), [w.at.date().isoformat()])

    @task
    def ring_candidate(name: str) -> None:
        from tidemark_airflow import upkeep

        with work() as w:
            w.announce(assets.candidate(name), upkeep.waiting_versions(w, name))

    @task(outlets=[assets.DOCUMENTS])
    def ring_days() -> None:
        from tidemark_airflow import ordering

        with work() as w:
            w.announce(assets.DOCUMENTS, ordering.forgotten_days(w))

    heard = listen()
    reconcile()
    freshness()
    watchdog() >> heard >> ring_days()
    for line in lines():
        heard >> ring_retrain.override(
            task_id=f"ring_retrain_{line.name}", outlets=[assets.retrain(line.name)])(line.name)
        heard >> ring_candidate.override(
            task_id=f"ring_candidate_{line.name}", outlets=[assets.candidate(line.name)])(line.name)
