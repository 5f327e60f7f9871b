"""
### Score sentiment

Scores the documents that became available on a UTC day, finds which coins they mention, and rebuilds the hourly
aggregates of that day (looking back 1 h, 4 h, 1 d and 1 w). Runs when both `documents` and `bars` have rung for the
day, because a coin can be mentioned only once it has bars; rings `sentiment` for the same day. A rerun changes
nothing.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import partition_params, tell, work
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=PartitionedAssetTimetable(assets=assets.DOCUMENTS & assets.BARS), params=partition_params(),
    **dag_defaults("score_sentiment", title="Score sentiment", doc=__doc__, tags={"sentiment"}),
):

    @task(outlets=[assets.SENTIMENT], doc_md="Scores, mentions and aggregates of one day.")
    def score() -> list[dict]:
        from pipelines.sentiment import run

        with work() as w:
            reports = [run.run(w.warehouse, day) for day in w.days]
            w.announce(assets.SENTIMENT)
            return tell("scored", reports)

    score()
