"""
### Collect

Every ten minutes: takes in the bars, texts and indicators that have become available since the last look, scores the
texts, and brings the sentiment aggregates up to now. So what people look at is fresh; it rings no bell. Features,
predictions and everything after them follow the daily partitions, which read each day again as a whole: what was
collected already is found unchanged, what a source says differently by then is a revision of its own time.

Off for sources of history (`simulator`, `files`) and replays; `TIDEMARK_SCHEDULE_COLLECT` is its cron, or `never`.
After a pause it goes on where it stopped, at most a day back.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from tidemark_airflow.context import Json, work
from tidemark_airflow.lines import schedule_collect
from tidemark_airflow.policies import dag_defaults, late_after

with DAG(
    schedule=schedule_collect(), deadline=late_after(timedelta(minutes=30)),
    **dag_defaults("collect", title="Collect", doc=__doc__, tags={"ingest", "sentiment"}),
):

    @task(doc_md="Fetch, check, write, score and aggregate what is new.")
    def collect() -> Json:
        from tidemark_airflow import collecting

        with work() as w:
            return collecting.collect(w)

    collect()
