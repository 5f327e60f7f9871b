"""Every asset by name. An event is a doorbell: it says which partition to look at and carries no truth.

Data assets (``bars``, ``documents``, ``sentiment``, ``features/<line>``, ``predictions/<line>``) are keyed by UTC
day, ``YYYY-MM-DD``. Doorbells for the ledger are keyed by what they are about: ``retrain/<line>`` by the day of the
request's ``as_of``, ``candidate/<line>`` and ``champion/<line>`` by the version, ``v3``.

Two rules, both from how Airflow 3.3 works:

* All are partitioned: an event with a partition key is passed to partition-aware DAGs only, so one DAG in the circle
  without keys would cut it.
* A DAG listens to one asset. Of two assets that ring for the same partition in the same moment, each can end up in a
  pending run of its own that waits for the other for ever (apache/airflow#71070). What else a day needs is read from
  the warehouse (``ordering.py``).
"""

from __future__ import annotations

from airflow.sdk import Asset

GROUP = "tidemark"
SCHEMA = "ai_trading"


def _table(name: str, table: str) -> Asset:
    return Asset(name=name, uri=f"tidemark://warehouse/{SCHEMA}/{table}", group=GROUP)


BARS = _table("bars", "bars")
DOCUMENTS = _table("documents", "documents")
SENTIMENT = _table("sentiment", "sentiment_aggregates")


def features(line: str) -> Asset:
    """Daily feature partitions of a line: content-addressed Parquet, digest in the warehouse."""
    return Asset(name=f"features/{line}", uri=f"tidemark://snapshots/{line}", group=GROUP)


def predictions(line: str) -> Asset:
    """Daily partitions of what champion and challenger predicted."""
    return _table(f"predictions/{line}", f"predictions/{line}")


def retrain(line: str) -> Asset:
    """Doorbell: the ledger holds an open retrain request of this line."""
    return _table(f"retrain/{line}", f"retrain_requests/{line}")


def candidate(line: str) -> Asset:
    """Doorbell: the ledger holds a candidate that waits for its verdict."""
    return _table(f"candidate/{line}", f"candidates/{line}")


def champion(line: str) -> Asset:
    """Doorbell: the ledger names another champion."""
    return _table(f"champion/{line}", f"promotions/{line}")
