"""
### Ingest bars, indicators and trades

One UTC day of bars, indicators and trades per run (as far as the provider named by `TIDEMARK_SOURCE` has them):
fetched, checked, refused rows put into quarantine, the rest written as bitemporal facts. The day `D` holds what became
*available* on `D`; a late bar lands in a later day. A rerun or a backfill of the same day changes nothing.

The task links to a report about the data of the day (*Data quality*).

Rings `bars` for the day.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, partition_params, tell, work
from tidemark_airflow.lines import schedule_end, schedule_ingest
from tidemark_airflow.links import QualityLink
from tidemark_airflow.policies import dag_defaults, late_after
from tidemark_airflow.timetables import DailyPartitions

with DAG(
    schedule=DailyPartitions(schedule_ingest(), until=schedule_end()), params=partition_params(),
    deadline=late_after(timedelta(hours=1)),
    **dag_defaults("ingest_market", title="Ingest market", doc=__doc__, tags={"ingest"}),
):

    @task(outlets=[assets.BARS], doc_md="Fetch, check and write one day of bars, indicators and trades.")
    def ingest() -> Json:
        from tidemark_airflow import history

        with work() as w:
            return tell("ingested", history.take_in(w, assets.BARS, "bars", "indicators", "trades"))

    ingest().operator.operator_extra_links = (QualityLink(),)
