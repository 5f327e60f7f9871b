"""
### Notify

Every five minutes: what is new in the ledger, the drift reports and the system events becomes notices, and every
configured channel (mail, webhook) tells them, each once. Once a day the digest of the last whole day of data goes out:
predictions and what they were worth, drift, retraining, verdicts.

Without a channel the notices are only noted; whoever configures one is told what happens from then on. A channel that
is down is a warning here and a system event, and what it has to tell is sent later. More than a few notices of one kind
about one line become one message. Running it again sends nothing twice.

Channels and what they tell: docs/notifications.md; by hand: `tidemark notify test`, `tidemark digest --send`.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from tidemark_airflow.context import Json, work
from tidemark_airflow.policies import dag_defaults

with DAG(
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    **dag_defaults("notify", title="Notify", doc=__doc__, tags={"upkeep"}),
):

    @task(doc_md="Note what is new, write the digest when its hour has come, send what waits.")
    def send() -> Json:
        from tidemark_airflow import notifiers

        with work() as w:
            return notifiers.send_round(w)

    send()
