"""Daily partitions: which day a run is for, when scheduling ends, and that Airflow gets it back from its database."""

from __future__ import annotations

from datetime import UTC, datetime

import pendulum
import pytest
from airflow.timetables.base import DagRunInfo, TimeRestriction

from tidemark_airflow.timetables import DailyPartitions

ANY_TIME = TimeRestriction(earliest=None, latest=None, catchup=True)


def after(timetable: DailyPartitions, last: datetime) -> DagRunInfo | None:
    ran = DagRunInfo(run_after=pendulum.instance(last), data_interval=None)
    return timetable.next_dagrun_info_v2(last_dagrun_info=ran, restriction=ANY_TIME)


@pytest.mark.parametrize(("cron", "last", "runs", "key"), [
    ("0 0 * * *", datetime(2024, 3, 25, tzinfo=UTC), datetime(2024, 3, 26, tzinfo=UTC), "2024-03-25"),
    ("30 2 * * *", datetime(2024, 2, 28, 2, 30, tzinfo=UTC), datetime(2024, 2, 29, 2, 30, tzinfo=UTC), "2024-02-28"),
    ("0 * * * *", datetime(2024, 3, 25, 23, tzinfo=UTC), datetime(2024, 3, 26, tzinfo=UTC), "2024-03-25"),
])
def test_a_run_is_for_the_day_that_has_ended(cron: str, last: datetime, runs: datetime, key: str) -> None:
    info = after(DailyPartitions(cron), last)
    assert info is not None
    assert (info.run_after, info.partition_key) == (runs, key)


@pytest.mark.parametrize(("until", "scheduled"), [
    (None, True), (datetime(2024, 3, 26, tzinfo=UTC), True), (datetime(2024, 3, 25, 23, 59, tzinfo=UTC), False),
    (datetime(2020, 1, 1, tzinfo=UTC), False)])
def test_scheduling_ends(until: datetime | None, scheduled: bool) -> None:
    assert (after(DailyPartitions("0 0 * * *", until), datetime(2024, 3, 25, tzinfo=UTC)) is not None) is scheduled


def test_a_backfill_is_possible_after_the_end_in_order() -> None:
    ended = DailyPartitions("0 0 * * *", datetime(2020, 1, 1, tzinfo=UTC))
    infos = ended.iter_partition_dagrun_infos(earliest=datetime(2024, 2, 28, tzinfo=UTC),
                                              latest=datetime(2024, 3, 1, tzinfo=UTC))
    assert [info.partition_key for info in infos] == ["2024-02-28", "2024-02-29", "2024-03-01"]


@pytest.mark.parametrize("until", [None, datetime(2024, 1, 1, tzinfo=UTC)])
def test_it_comes_back_as_it_was(until: datetime | None) -> None:
    again = DailyPartitions.deserialize(DailyPartitions("5 0 * * *", until).serialize())
    assert (again._expression, again.until, again._run_offset, again._key_format) == ("5 0 * * *", until, -1,
                                                                                   "%Y-%m-%d")
