"""A day waits for the days it looks back on, and for nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.contracts.window import Window
from pipelines.errors import NotReady
from pipelines.store import Warehouse, loads
from tidemark_airflow.ordering import LOOK_BACK, look_back, require_days

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def days(first: int, last: int) -> Window:
    return Window(T0 + timedelta(days=first), T0 + timedelta(days=last))


CASES: list[tuple[list[tuple[int, int]], int, bool]] = [
    ([], 0, False),                          # nothing is loaded
    ([(0, 1)], 0, True),                     # the first day of all
    ([(0, 1)], 1, False),                    # the day itself is missing
    ([(0, 1), (1, 2)], 1, True),
    ([(0, 1), (2, 3)], 2, False),            # yesterday is missing
    ([(0, 1), (2, 4)], 3, False),            # a hole
    ([(0, 2), (1, 4)], 3, True),             # overlapping loads
    ([(0, 31)], 30, True),                   # one big load
    ([(0, 1), (2, 31)], 30, True),           # the hole is too old to matter
    ([(0, 20), (21, 31)], 30, True),
    ([(0, 25), (26, 31)], 30, False),
    ([(2, 3), (5, 6)], 2, True),             # nothing before the first load can be missing
    ([(5, 6)], 2, False),
]


def test_days(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for number, (loaded, _, _) in enumerate(CASES):
            for start, end in loaded:
                loads.mark(connection, f"case {number}", days(start, end), rows=1, at=T0)
    for number, (_, day, ready) in enumerate(CASES):
        dataset = f"case {number}"
        with nullcontext() if ready else pytest.raises(NotReady, match=f"the {dataset} from "):
            require_days(warehouse, days(day, day + 1), (dataset,))


def test_what_a_source_need_not_have(warehouse: Warehouse) -> None:
    require_days(warehouse, days(0, 1), (), if_any=("documents",))
    with warehouse.begin() as connection:
        loads.mark(connection, "documents", days(0, 1), rows=1, at=T0)
    with pytest.raises(NotReady, match="the documents from"):
        require_days(warehouse, days(1, 2), (), if_any=("documents",))


def test_it_looks_back_as_far_as_the_longest_feature() -> None:
    from pipelines.features import catalog
    from pipelines.sentiment.aggregate import LONGEST_HOURS
    from tests.unit.features.world import line

    assert timedelta(hours=LONGEST_HOURS) < LOOK_BACK
    assert look_back(line(groups=("returns", "time"))) == LOOK_BACK
    for name, group in catalog.GROUPS.items():
        if group.from_texts is None:
            assert look_back(line(groups=(name,))) > timedelta(hours=catalog.lookback([group]))


def test_an_older_hole_matters_to_a_line_that_looks_back_further(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for start, end in ((0, 1), (2, 31)):
            loads.mark(connection, "bars", days(start, end), rows=1, at=T0)
    require_days(warehouse, days(30, 31), ("bars",))
    with pytest.raises(NotReady, match="2024-01-01 to 2024-02-01"):
        require_days(warehouse, days(30, 31), ("bars",), back=timedelta(days=36))
