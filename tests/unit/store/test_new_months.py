"""Months that are made as they are loaded: the same rows as by any other way, also with others at work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from pipelines.contracts.columns import Kind
from pipelines.contracts.records import WriteCounts
from pipelines.errors import StoreError
from pipelines.store import Warehouse, asof, facts, frames, months
from tests.unit.store.test_asof import T0, Oracle, Row, frame, rows_of, seen

DAYS = timedelta(days=1)
MANY = [(bar, 1, float(bar)) for bar in range(60)]  # from 31 January 20:00 on: two months


def forget(warehouse: Warehouse) -> None:
    """Drop the partitions."""
    with warehouse.begin() as connection:
        for name in partitions(connection):
            connection.exec_driver_sql(f"DROP TABLE {name}")


def partitions(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql(
        "SELECT relname FROM pg_class WHERE relname ~ '^bars_[0-9]' AND relkind = 'r' ORDER BY 1").scalars())


def ensure(connection: Connection, *days: str) -> None:
    connection.exec_driver_sql("SELECT ensure_months('bars', %s::date[])", (list(days),))


@pytest.mark.parametrize("there", [[], ["2024-01-01"], ["2024-02-01"], ["2024-01-01", "2024-02-01"]])
@hypothesis_settings(max_examples=12)
@given(batches=st.lists(rows_of, min_size=1, max_size=3), cautious=st.booleans())
def test_new_and_known_months_follow_the_same_rule(shared_warehouse: Warehouse, there: list[str], cautious: bool,
                                                   batches: list[list[Row]]) -> None:
    forget(shared_warehouse)
    with shared_warehouse.begin() as connection:
        ensure(connection, *there)
    oracle = Oracle()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "_ROWS_PER_SERIES", 10**6 if cautious else 0)
        for batch in batches:
            assert facts.write(shared_warehouse, Kind.BARS, frame(batch)) == oracle.write(batch)
            assert facts.write(shared_warehouse, Kind.BARS, frame(batch)) == WriteCounts(unchanged=len(batch))
    for pick in ("latest", "all"):
        read = asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 2 * DAYS, revisions=pick)
        assert seen(read) == oracle.read(T0 + 2 * DAYS, pick)


@given(st.lists(st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=12),
       st.booleans())
def test_places_count_the_rows_of_a_key(rows: list[tuple[str, int, int]], ordered: bool) -> None:
    rows = sorted(rows) if ordered else rows
    made = frame([(bar, known, 1.0) for _, bar, known in rows]).assign(symbol=[symbol for symbol, _, _ in rows])
    arrow = facts._rows(facts.FACTS[Kind.BARS], facts.SCHEMAS[Kind.BARS], made, None)
    expected = [1 + sum((other[2], place) < (row[2], at) for place, other in enumerate(rows) if other[:2] == row[:2])
                for at, row in enumerate(rows)]
    assert arrow["place"].to_pylist() == expected


def test_only_other_series_and_times_spare_the_comparison(warehouse: Warehouse) -> None:
    facts.write(warehouse, Kind.BARS, frame(MANY))
    schema, table = facts.SCHEMAS[Kind.BARS], facts.FACTS[Kind.BARS]

    def unknown(rows: pd.DataFrame) -> bool:
        with warehouse.begin() as connection:
            return facts._unknown(connection, table, schema, facts._rows(table, schema, rows, None))

    later = frame([(bar, 1, 1.0) for bar in range(60, 99)])
    other = frame(MANY).assign(symbol="ETH")
    assert unknown(later)
    assert unknown(other)
    assert unknown(frame(MANY).assign(interval="4h"))
    assert not unknown(pd.concat([later, frame(MANY[-1:])]))
    assert not unknown(pd.concat([other, frame(MANY[:1])]))
    assert not unknown(other.iloc[:5])  # too few to be worth the question
    assert facts.write(warehouse, Kind.BARS, pd.concat([other, other])) == WriteCounts(60, 0, 60)
    assert facts.write(warehouse, Kind.BARS, pd.concat([other, later])) == WriteCounts(39, 0, 60)


def test_a_loaded_month_is_built_as_an_ensured_one(warehouse: Warehouse) -> None:
    def described(connection: Connection, name: str) -> list[object]:
        found = connection.exec_driver_sql(
            "SELECT 'index', pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %(name)s::regclass "
            "UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = %(name)s::regclass "
            "UNION ALL SELECT attname, format_type(atttypid, atttypmod) || attnotnull || coalesce(pg_get_expr("
            "adbin, adrelid), '') || attcollation::regcollation FROM pg_attribute LEFT JOIN pg_attrdef "
            "ON adrelid = attrelid AND adnum = attnum WHERE attrelid = %(name)s::regclass AND attnum > 0 "
            "UNION ALL SELECT 'parent', count(*)::text FROM pg_inherits WHERE inhrelid = %(name)s::regclass "
            "UNION ALL SELECT 'indexes attached', count(*)::text FROM pg_inherits JOIN pg_index "
            "ON inhrelid = indexrelid WHERE indrelid = %(name)s::regclass", {"name": name}).all()
        return sorted(tuple(text.replace(name, "bars_X") for text in row) for row in found)

    facts.write(warehouse, Kind.BARS, frame(MANY))
    with warehouse.begin() as connection:
        ensure(connection, "2024-03-01")
        assert partitions(connection) == ["bars_2024_01", "bars_2024_02", "bars_2024_03"]
        loaded, ensured = (described(connection, name) for name in ("bars_2024_01", "bars_2024_03"))
        bounds = connection.exec_driver_sql(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'bars_2024_01'").scalar_one()
    assert loaded == ensured
    assert bounds == "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00')"


def test_december_ends_with_the_year(warehouse: Warehouse) -> None:
    at = pd.DatetimeIndex(["2023-12-31T23:00Z", "1969-12-31T23:00Z"]).as_unit("us")
    rows = frame(MANY[:2]).assign(event_time=at, available_at=at)
    assert facts.write(warehouse, Kind.BARS, rows) == WriteCounts(inserted=2)
    with warehouse.begin() as connection:
        assert partitions(connection) == ["bars_1969_12", "bars_2023_12"]


def test_rows_that_cannot_be_true_leave_no_month(warehouse: Warehouse) -> None:
    wrong = frame(MANY)
    wrong.loc[59, "low"] = 10.0  # in February, when January is ready
    with pytest.raises(StoreError, match="bars_low_high"):
        facts.write(warehouse, Kind.BARS, wrong)
    with warehouse.begin() as connection:
        assert partitions(connection) == []
    assert facts.write(warehouse, Kind.BARS, frame(MANY)).inserted == 60


def test_a_month_made_meanwhile_is_filled(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = frames.copy

    def slow(connection: Connection, target: str, *rest: object) -> None:
        copy(connection, target, *rest)
        with warehouse.begin() as other:
            ensure(other, "2024-01-01", "2024-02-01")

    with monkeypatch.context() as patch:
        patch.setattr(frames, "copy", slow)
        assert facts.write(warehouse, Kind.BARS, frame(MANY)).inserted == 60
    with warehouse.begin() as connection:
        assert partitions(connection) == ["bars_2024_01", "bars_2024_02"]
    assert facts.write(warehouse, Kind.BARS, frame(MANY)) == WriteCounts(unchanged=60)


def test_nobody_waits_for_a_month_being_loaded_nor_sees_it(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        ensure(connection, "2024-02-01")
    rows = facts._rows(facts.FACTS[Kind.BARS], facts.SCHEMAS[Kind.BARS], frame(MANY[:2]), None)
    first, _ = facts._first(rows)
    with warehouse.begin() as loading:
        month = np.datetime64("2024-01")
        months.lock(loading, facts.FACTS[Kind.BARS], [month])
        months.build(loading, facts.FACTS[Kind.BARS], month, first)
        months.attach(loading, facts.FACTS[Kind.BARS], month)
        with warehouse.begin() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            assert other.exec_driver_sql("SELECT count(*) FROM bars").scalar_one() == 0
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(facts.write, warehouse, Kind.BARS, frame(MANY[4:]))  # February, which is there
            assert written.result(timeout=30).inserted == 56
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM bars").scalar_one() == 58


def test_many_load_the_same_and_other_months_at_once(warehouse: Warehouse) -> None:
    def write(number: int) -> int:
        rows = frame(MANY).assign(symbol=f"S{number % 3}")
        shift = 30 * (number % 2) * DAYS
        return facts.write(warehouse, Kind.BARS, rows.assign(
            event_time=rows["event_time"] + shift, available_at=rows["available_at"] + shift)).inserted

    def make(_: int) -> int:
        with warehouse.begin() as connection:
            ensure(connection, "2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")
        return 0

    work: list[tuple[Callable[[int], int], int]] = [(write, number) for number in range(12)]
    work[4:4] = [(make, 0)]
    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda item: item[0](item[1]), work)) == 6 * 60
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*), max(revision) FROM bars").one() == (360, 1)
