"""Daily partitions on a schedule that can end.

A DAG's own ``end_date`` cannot be used for that: Airflow 3.3 also applies it to runs by hand that carry a logical
date, as those from the trigger form do, and gives such a run no tasks at all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable


class DailyPartitions(CronPartitionTimetable):
    """One run per tick of ``cron`` (UTC) for the partition of the tick before, keyed ``YYYY-MM-DD``.

    Args:
        until: no scheduled run after this instant; backfills and runs by hand are always possible.
    """

    def __init__(self, cron: str, until: datetime | None = None) -> None:
        super().__init__(cron, timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
        self.until = until

    def next_dagrun_info_v2(self, *, last_dagrun_info: DagRunInfo | None,
                            restriction: TimeRestriction) -> DagRunInfo | None:
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        return None if info and self.until and info.run_after > self.until else info

    def serialize(self) -> dict[str, Any]:
        return {"cron": self._expression, "until": self.until.isoformat() if self.until else None}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DailyPartitions:
        until = data["until"]
        return cls(data["cron"], datetime.fromisoformat(until).astimezone(UTC) if until else None)
