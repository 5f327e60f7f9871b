"""
### Score sentiment

Scores the documents that became available on a UTC day, finds which coins they mention, and rebuilds the aggregates
of that day: a row every 10 minutes (looking back 1 h, 4 h, 1 d and 1 w), near-duplicates counted once, with weights
by source, engagement and age, and with the share of the window in which the collectors were alive. Runs when
`documents` rings for the day, and waits for the day's bars (it tries again while they are missing), because a coin
can be mentioned only once it has bars. Rings `sentiment` for the same day. A rerun changes nothing.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, tell, work
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=PartitionedAssetTimetable(assets=assets.DOCUMENTS), params=partition_params(),
    **dag_defaults("score_sentiment", title="Score sentiment", doc=__doc__, tags={"sentiment"}),
):

    @task(inlets=[assets.DOCUMENTS, assets.BARS], outlets=[assets.SENTIMENT],
          doc_md="Scores, mentions and aggregates of one day.")
    def score() -> Json:
        from pipelines.sentiment import run
        from tidemark_airflow.ordering import require_days

        with work() as w:
            require_days(w.warehouse, w.days[0], ("bars",), if_any=("documents",))
            reports = [run.run(w.warehouse, day, w.settings.credibility) for day in w.days]
            w.announce(assets.SENTIMENT)
            return tell("scored", reports)

    score()
