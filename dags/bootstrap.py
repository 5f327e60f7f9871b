"""
### Bootstrap

Loads a stretch of history in one go, by hand: bars by month and symbol, everything else by month, as mapped tasks;
then scores the sentiment of the whole stretch, month after month, because an aggregate looks back one week. Facts
are written by an idempotent upsert, so a second run changes nothing. It rings no bell: daily partitions begin where
this ends, and a training is started from the form of a train DAG.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from tidemark_airflow.context import Json, tell, work
from tidemark_airflow.history import bootstrap_params
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=None, params=bootstrap_params(),
    **dag_defaults("bootstrap", title="Bootstrap", doc=__doc__, tags={"ingest"}),
):

    @task(doc_md="Cut the stretch into pieces.")
    def plan() -> Json:
        from tidemark_airflow import history

        with work() as w:
            return history.pieces(w)

    @task(doc_md="Fetch, check and write one piece.",
          map_index_template="{{ task.op_kwargs.symbol or task.op_kwargs.kind }} {{ task.op_kwargs.start[:7] }}")
    def load(start: str, end: str, kind: str, symbol: str | None) -> Json:
        from tidemark_airflow import history

        with work() as w:
            return history.load(w, start, end, kind, symbol)

    @task(doc_md="Scores, mentions and aggregates of the stretch, in order of time.")
    def score() -> Json:
        from pipelines.sentiment import run
        from tidemark_airflow import history

        with work() as w:
            history.mark_whole(w)
            stretch = history.span(w, history.source(w))
            return tell("scored", [
                run.run(w.warehouse, month, w.settings.credibility) for month in stretch.months()])

    load.expand_kwargs(plan()) >> score()
